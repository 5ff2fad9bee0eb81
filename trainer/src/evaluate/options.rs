//! The options of an evaluation: the library's type, the JSON of jobs and HTTP, and the flags of the command line.

use models::preprocess::Limits;
use serde::{Deserialize, Serialize};

use super::{EvaluateError, TestViews};
use crate::data::BadFilePolicy;
use crate::options::{self, Bound, Interval};

/// How to evaluate; each option has a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct EvaluateOptions {
    /// Which of the images.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_SUBSET", value_enum, default_value_t))]
    pub subset: EvaluatedSubset,

    /// Views of each image whose answers are averaged.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_TTA", value_enum, default_value_t))]
    pub tta: TestViews,

    /// What to do with images that cannot be read.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_BAD_FILES", value_enum, default_value_t))]
    pub bad_files: BadFilePolicy,

    /// The largest image that is read, in millions of pixels. Decoding takes up to 16 bytes for each pixel and thread.
    #[cfg_attr(feature = "clap", arg(long, env = "GRAFT_FINETUNE_MAX_MEGAPIXELS", default_value_t = Self::default().max_megapixels))]
    pub max_megapixels: u64,
}

/// Which images of a data set a model is evaluated on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum), value(rename_all = "snake_case"))]
pub enum EvaluatedSubset {
    /// The test images that the data set gives; where it gives none, all.
    #[default]
    Auto,
    /// Every image.
    All,
    /// Those to train on: given by the data set, or, of the images that the model was trained on, drawn as they were then.
    Train,
    /// Those that choose the epoch; found as `train`.
    Validation,
    /// Those that measure the result; found as `train`.
    Test,
}

impl Default for EvaluateOptions {
    fn default() -> Self {
        Self {
            subset: EvaluatedSubset::Auto,
            tta: TestViews::None,
            bad_files: BadFilePolicy::default(),
            max_megapixels: options::MAX_MEGAPIXELS,
        }
    }
}

impl EvaluateOptions {
    /// The bounds of the numeric options. Both [`validate`](Self::validate) and the HTTP schema come from this table.
    pub const BOUNDS: &[Bound<Self>] =
        &[Bound::new("max_megapixels", Interval::at_least(1.0).at_most(1000.0), "from 1 to 1000", |options| {
            options.max_megapixels as f64
        })];

    /// Checks every number against its bounds.
    ///
    /// # Errors
    /// [`EvaluateError::Option`] naming the first option that is out of bounds.
    pub fn validate(&self) -> Result<(), EvaluateError> {
        Ok(options::check_bounds(Self::BOUNDS, self)?)
    }

    /// How large an image may be.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits::megapixels(self.max_megapixels)
    }
}
