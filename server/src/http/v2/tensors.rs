//! The tensors of a classifier, as the protocol names them.

use models::Preprocess;
pub(crate) use onnx::export::{INPUT, LOGITS, PROBABILITIES};
use serde::Serialize;
use utoipa::ToSchema;

/// The input that takes whole image files, beside [`INPUT`], which takes pixels.
pub(crate) const IMAGE: &str = "image";
/// The output that says why an answer is uncertain.
pub(crate) const UNCERTAIN: &str = "uncertain";
/// Numbers of 32 bits.
pub(crate) const FP32: &str = "FP32";
/// Texts, or any other bytes.
pub(crate) const BYTES: &str = "BYTES";

/// A tensor that a model takes or gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TensorMetadata {
    /// What requests call it.
    #[schema(example = "input")]
    pub(crate) name: &'static str,
    /// What its elements are.
    #[schema(example = "FP32")]
    pub(crate) datatype: &'static str,
    /// Its sizes, the batch first; -1 where any size is taken.
    #[schema(example = json!([-1, 3, 224, 224]))]
    pub(crate) shape: Vec<i64>,
}

/// What a request gives one of: prepared pixels, or whole files.
pub(super) fn inputs(preprocess: &Preprocess) -> [TensorMetadata; 2] {
    let (height, width) = preprocess.output_size().map_or((-1, -1), |(height, width)| (height.into(), width.into()));
    [
        TensorMetadata { name: INPUT, datatype: FP32, shape: vec![-1, 3, height, width] },
        TensorMetadata { name: IMAGE, datatype: BYTES, shape: vec![-1, 1] },
    ]
}
