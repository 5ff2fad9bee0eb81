//! What computes a network: the forward pass, the gradients and the update of the weights.

mod compute;
pub(crate) mod cpu;
pub mod onednn;

use models::params::ParamsError;
use thiserror::Error;

pub use compute::{ComputeBackend, Precision};
pub use cpu::{CpuExecutor, Gradients, Parameter, StepTime, Tape, Weights};
pub use onednn::{OneDnn, OneDnnError};

/// Why a network does not run.
#[derive(Debug, Error)]
pub enum ExecError {
    /// A parameter is missing or has the wrong shape.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The input is not what the graph takes.
    #[error("the network takes {expected}, is given {found:?}")]
    Input {
        /// What the graph's input node says.
        expected: String,
        /// The tensor's shape, batch first.
        found: Vec<usize>,
    },
    /// The library of convolutions failed.
    #[error(transparent)]
    OneDnn(#[from] OneDnnError),
}
