//! What computes a network: the forward pass, the gradients and the update of the weights.

#[cfg(feature = "candle")]
mod candle;
mod choice;
mod compute;
pub(crate) mod cpu;
mod dropout;
mod executor;
mod fused;
mod mode;
pub mod onednn;
mod open;
#[cfg(test)]
mod tests;
mod weights;

use models::params::ParamsError;
use thiserror::Error;

use crate::optim::{OptimError, StateError};

#[cfg(feature = "candle")]
pub use candle::CandleDevice;
pub use choice::{ChosenDevice, DeviceChoice, DeviceError, UnknownDevice};
pub use compute::{ComputeBackend, Precision};
pub use cpu::{CpuExecutor, StepTime};
pub use executor::{Executor, ExecutorSpec, State, UpdateRule};
pub use onednn::{OneDnn, OneDnnError};
pub use weights::Parameter;

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
    /// There is no memory left on a device.
    #[error("no memory left on {device} ({message}); use a smaller batch or smaller images")]
    DeviceMemory {
        /// Its name in `--device`.
        device: String,
        /// What the driver says.
        message: String,
    },
    /// A device failed.
    #[error("{device} failed: {message}; --device cpu does without it")]
    Device {
        /// Its name in `--device`.
        device: String,
        /// What its driver or library says.
        message: String,
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

impl ExecError {
    /// Whether the same might go well with fewer images at once.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::OutOfMemory { .. } | Self::DeviceMemory { .. })
    }
}
