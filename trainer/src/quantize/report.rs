//! The report of a quantization.

use serde::{Deserialize, Serialize};

use super::{VariantAccuracy, VariantKind};
use crate::evaluate::EvaluatedSubset;
use crate::evaluate::images::LabeledImages;

/// What a model's other variants cost and gain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuantizationReport {
    /// What the model, or its file, is called.
    #[cfg_attr(feature = "openapi", schema(example = "flowers"))]
    pub model: String,
    /// The version that was quantized; missing for one that a fine-tune has just made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 3))]
    pub version: Option<u32>,
    /// The images that told the ranges.
    pub calibration: QuantizedImages,
    /// The images that measured the variants.
    pub test: QuantizedImages,
    /// How many nodes of the network compute with integers.
    #[cfg_attr(feature = "openapi", schema(example = 53))]
    pub quantized_nodes: usize,
    /// The bits of a weight: 7 on processors that add products of 8 bits in 16, where more would be slower.
    #[serde(default = "eight")]
    #[cfg_attr(feature = "openapi", schema(example = 8))]
    pub weight_bits: u8,
    /// Each variant, that in `f32` first.
    pub variants: Vec<VariantReport>,
    /// The quantized layers, in their order.
    pub layers: Vec<LayerReport>,
    /// How many threads a run could use when its time was measured.
    #[cfg_attr(feature = "openapi", schema(example = 2))]
    pub threads: usize,
    /// Wall-clock seconds of the whole.
    pub seconds: f64,
}

/// What reports say that do not tell.
fn eight() -> u8 {
    8
}

/// Images that a quantization used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuantizedImages {
    /// Where they are from; never `auto`. `all` where neither the data set nor the model's training divides them.
    pub subset: EvaluatedSubset,
    /// How many there are.
    #[cfg_attr(feature = "openapi", schema(example = 100))]
    pub images: usize,
}

/// One variant of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VariantReport {
    /// `f32`, `fp16` or `int8`.
    pub variant: VariantKind,
    /// The size of its ONNX file.
    #[cfg_attr(feature = "openapi", schema(example = 2_957_312))]
    pub bytes: u64,
    /// How it compares with the model in `f32`.
    #[serde(flatten)]
    pub accuracy: VariantAccuracy,
    /// The median over the test images of the largest difference of a logit, relative to the largest logit in `f32`.
    #[cfg_attr(feature = "openapi", schema(example = 0.035))]
    pub logit_difference: f64,
    /// Milliseconds for one image alone on this machine: the median of runs that alternate with those of the other variants.
    #[cfg_attr(feature = "openapi", schema(example = 12.5))]
    pub milliseconds: f64,
    /// Whether it is stored with the model.
    pub stored: bool,
}

/// The difference that quantization makes in one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LayerReport {
    /// The name of the layer's node.
    #[cfg_attr(feature = "openapi", schema(example = "features.3.squeeze"))]
    pub layer: String,
    /// Its ONNX type.
    #[cfg_attr(feature = "openapi", schema(example = "Conv"))]
    pub operator: String,
    /// The root mean square of the difference to `f32`, that of the layers before it included, relative to the root mean square
    /// of the output.
    #[cfg_attr(feature = "openapi", schema(example = 0.021))]
    pub error: f64,
}

impl QuantizedImages {
    pub(super) fn of(images: &LabeledImages) -> Self {
        Self { subset: images.subset, images: images.samples.len() }
    }
}

impl QuantizationReport {
    /// One of the variants.
    #[must_use]
    pub fn variant(&self, kind: VariantKind) -> Option<&VariantReport> {
        self.variants.iter().find(|report| report.variant == kind)
    }
}
