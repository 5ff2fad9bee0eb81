//! Why a network cannot be quantized.

use thiserror::Error;

use crate::file::FileError;

/// Why a network cannot be quantized.
#[derive(Debug, Error)]
pub enum QuantizeError {
    /// Not an ONNX file.
    #[error(transparent)]
    File(#[from] FileError),
    /// An operator set without scales for channels.
    #[error(
        "the model is of operator set {0}, and 13 is the first with a scale for each channel; convert it with \
         onnx.version_converter and import it again"
    )]
    Opset(i64),
    /// Quantized nodes.
    #[error("the model is quantized already; quantize the one in f32 that it was made of")]
    Quantized,
    /// No convolution and no matrix product with stored weights.
    #[error("the model has no convolution and no linear layer with stored weights, so quantizing would gain nothing")]
    Nothing,
    /// No image was run.
    #[error("tensor `{0}` was not observed on any image; calibrate with at least one")]
    NotCalibrated(String),
    /// Numbers without a range.
    #[error("tensor `{0}` holds numbers that are not finite, which have no range; train or export the model again")]
    NotFinite(String),
    /// A weight that cannot be read.
    #[error("initialiser `{name}` {reason}")]
    Weight {
        /// The initializer's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}
