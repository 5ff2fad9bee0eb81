//! What computes a network: the forward pass, the gradients and the update of the weights.

mod compute;
pub(crate) mod cpu;
mod executor;
pub mod onednn;
#[cfg(test)]
mod tests;

use models::params::ParamsError;
use thiserror::Error;

use crate::optim::{OptimError, StateError};

pub use compute::{ComputeBackend, Precision};
pub use cpu::{CpuExecutor, Parameter, StepTime};
pub use executor::{Executor, ExecutorSpec, State, UpdateRule};
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
    /// There is no memory for an array.
    #[error("no memory for an array of {bytes} bytes; use a smaller batch or smaller images")]
    OutOfMemory {
        /// Its size.
        bytes: usize,
    },
    /// A backward pass before any forward pass, or a second one after it.
    #[error("a backward pass needs a forward pass in training of its own")]
    NoForwardPass,
    /// A step of an executor that was opened without a rule for steps.
    #[error("the executor was opened without an optimizer")]
    NoUpdateRule,
    /// The optimizer's options make no sense.
    #[error(transparent)]
    Optim(#[from] OptimError),
    /// Weights or the optimizer's state do not fit the network.
    #[error(transparent)]
    State(#[from] StateError),
}
