//! The report of an evaluation.

use onnx::{EngineKind, Provider};
use serde::{Deserialize, Serialize};

use super::{EvaluateOptions, EvaluatedSubset, UnknownClass};
use crate::data::DatasetSummary;
use crate::metrics::{Evaluation, NotableAnswers};

/// How good a model is on images whose classes are known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvaluationReport {
    /// What the model, or its file, is called.
    #[cfg_attr(feature = "openapi", schema(example = "flowers"))]
    pub model: String,
    /// Its version; missing for a model in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = 3))]
    pub version: Option<u32>,
    /// The model's classes, in the order of their numbers.
    pub labels: Vec<String>,
    /// How the data set was understood; all its images count as `test` here.
    pub dataset: DatasetSummary,
    /// Which of its images were taken; never `auto`.
    pub subset: EvaluatedSubset,
    /// How many images there were.
    pub images: EvaluatedImages,
    /// Classes of the data set that the model does not know.
    pub unknown_classes: Vec<UnknownClass>,
    /// Classes of the model that no image was of.
    pub absent_classes: Vec<String>,
    /// The options in force.
    pub options: EvaluateOptions,
    /// The engine that ran the model.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "ort"))]
    pub engine: EngineKind,
    /// What computed inside ONNX Runtime: `cpu`, its own kernels, or a provider that was asked for; missing for another engine,
    /// and from reports of versions before 0.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, nullable = false, example = "cpu"))]
    pub provider: Option<Provider>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// What was measured.
    pub result: Evaluation,
    /// The worst mistakes and the most uncertain answers.
    pub answers: NotableAnswers,
}

/// What became of the images of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EvaluatedImages {
    /// Were classified.
    pub evaluated: usize,
    /// Were left out, because the model does not know their class.
    pub unknown_class: usize,
    /// Could not be read.
    pub unusable: usize,
}
