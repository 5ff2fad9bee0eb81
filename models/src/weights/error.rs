//! Why a file of weights cannot be read.

use thiserror::Error;

use super::{KerasError, PyTorchError, SafetensorsError, WeightsFormat};

/// Why a file of weights cannot be read.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// An unsupported format.
    #[error(
        "this is {found}; weights are read from safetensors, PyTorch files (.pth, .pt, .th, .bin) and Keras files \
         (.h5, .keras)"
    )]
    Format {
        /// The format that the file seems to have.
        found: &'static str,
    },
    /// A supported format without weights.
    #[error("the {format} file holds no weights")]
    Empty {
        /// The format of the file.
        format: WeightsFormat,
    },
    /// A safetensors file.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
    /// A PyTorch file.
    #[error(transparent)]
    PyTorch(#[from] PyTorchError),
    /// A Keras file.
    #[error(transparent)]
    Keras(#[from] KerasError),
}
