//! The options of a quantization: the library's type, the JSON of jobs and HTTP, and the flags of the command line.

use models::preprocess::Limits;
use serde::{Deserialize, Serialize};

use super::QuantizationError;
use crate::data::BadFilePolicy;
use crate::options::{self, Bound, Interval};

/// How to quantize; each option has a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct QuantizeOptions {
    /// Training images that tell the range of each layer's numbers, spread over the classes.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_CALIBRATION_IMAGES", default_value_t = Self::default().calibration_images))]
    pub calibration_images: usize,

    /// What to do with images that cannot be read.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_BAD_FILES", value_enum, default_value_t))]
    pub bad_files: BadFilePolicy,

    /// The largest image that is read, in millions of pixels. Decoding takes up to 16 bytes for each pixel and thread.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_FINETUNE_MAX_MEGAPIXELS", default_value_t = Self::default().max_megapixels))]
    pub max_megapixels: u64,
}

/// In which variants a new model is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum), value(rename_all = "lowercase"))]
pub enum ModelPrecision {
    /// As trained, in 32 bits.
    #[default]
    F32,
    /// With 8-bit integers as well; the server takes the fastest variant whose loss of accuracy is small enough.
    Auto,
}

impl Default for QuantizeOptions {
    fn default() -> Self {
        Self { calibration_images: 100, bad_files: BadFilePolicy::default(), max_megapixels: options::MAX_MEGAPIXELS }
    }
}

impl QuantizeOptions {
    /// The bounds of the numeric options. Both [`validate`](Self::validate) and the HTTP schema come from this table.
    pub const BOUNDS: &[Bound<Self>] = &[
        Bound::new("calibration_images", Interval::at_least(1.0).at_most(1e5), "from 1 to 100000", |options| {
            options.calibration_images as f64
        }),
        Bound::new("max_megapixels", Interval::at_least(1.0).at_most(1000.0), "from 1 to 1000", |options| {
            options.max_megapixels as f64
        }),
    ];

    /// Checks every number against its bounds.
    ///
    /// # Errors
    /// [`QuantizationError::Option`] naming the first option that is out of bounds.
    pub fn validate(&self) -> Result<(), QuantizationError> {
        Ok(options::check_bounds(Self::BOUNDS, self)?)
    }

    /// How large an image may be.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits::megapixels(self.max_megapixels)
    }
}
