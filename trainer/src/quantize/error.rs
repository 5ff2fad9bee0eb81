//! Why there is no quantized model.

use onnx::{EngineError, EngineKind, ExportError, QuantizeError};
use thiserror::Error;

use crate::data::DatasetError;
use crate::evaluate::EvaluateError;
use crate::options::OptionError;

/// A model was not quantized.
#[derive(Debug, Error)]
pub enum QuantizationError {
    /// The run was told to stop.
    #[error("the quantization was stopped")]
    Stopped,
    /// An option out of bounds.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// An engine that does not run quantized networks.
    #[error("{0} runs no quantized networks; run `graft runtime install`, and choose the engine ort")]
    NoRuntime(EngineKind),
    /// The file cannot be quantized.
    #[error(transparent)]
    Model(#[from] QuantizeError),
    /// The images are not what the model is measured on.
    #[error(transparent)]
    Images(EvaluateError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The network cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Too few images.
    #[error(
        "there are {found} images of the model's classes; quantizing takes at least 2, some to calibrate and some to measure"
    )]
    TooFew {
        /// How many there are.
        found: usize,
    },
    /// The quantized model answers nonsense.
    #[error("golden image {0}: the {1} variant answers numbers that are not finite; keep the model in f32")]
    NotFinite(String, super::VariantKind),
}

impl From<EvaluateError> for QuantizationError {
    fn from(error: EvaluateError) -> Self {
        match error {
            EvaluateError::Stopped => Self::Stopped,
            EvaluateError::Engine(error) => Self::Engine(error),
            error => Self::Images(error),
        }
    }
}

impl From<DatasetError> for QuantizationError {
    fn from(error: DatasetError) -> Self {
        Self::Images(error.into())
    }
}
