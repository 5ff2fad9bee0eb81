//! A variant of a model beside the one in `f32`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The numbers that a variant of a model has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum VariantKind {
    /// Weights and arithmetic in 32 bits, as trained.
    F32,
    /// Weights stored in 16 bits, arithmetic in 32.
    Fp16,
    /// Weights and activations of 8-bit integers.
    Int8,
}

impl VariantKind {
    /// From the widest numbers to the narrowest.
    pub const ALL: [Self; 3] = [Self::F32, Self::Fp16, Self::Int8];

    /// Its word in files and addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Fp16 => "fp16",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for VariantKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for VariantKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("`{text}` is no variant; there are f32, fp16 and int8"))
    }
}

/// A variant of a model, ready to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// How its weights and activations are stored.
    pub kind: VariantKind,
    /// The ONNX file.
    pub onnx: Vec<u8>,
    /// The logits of each golden image.
    pub golden: Vec<Vec<f32>>,
    /// How far the logits may be from these on another machine, relative to the largest.
    pub tolerance: f64,
    /// What it costs.
    pub accuracy: VariantAccuracy,
}

/// How a variant compares with the model in `f32` on the same images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VariantAccuracy {
    /// How many images were compared.
    #[cfg_attr(feature = "openapi", schema(example = 340))]
    pub images: usize,
    /// The share of them that it classifies correctly; where images have several classes, the mean average precision.
    #[cfg_attr(feature = "openapi", schema(example = 0.9765))]
    pub accuracy: f64,
    /// The same of the model in `f32`.
    #[cfg_attr(feature = "openapi", schema(example = 0.9794))]
    pub reference: f64,
    /// The share of images that both answer alike, right or wrong.
    #[cfg_attr(feature = "openapi", schema(example = 0.9971))]
    pub agreement: f64,
}

impl VariantAccuracy {
    /// How much worse than the model in `f32`, in percentage points; negative where it is better.
    #[must_use]
    pub fn drop_points(&self) -> f64 {
        100.0 * (self.reference - self.accuracy)
    }
}
