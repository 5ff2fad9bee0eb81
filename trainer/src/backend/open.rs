//! A network on the device of a backend.

use super::{ComputeBackend, CpuExecutor, ExecError, Executor, ExecutorSpec};

impl ComputeBackend {
    /// Puts a network on the backend's device.
    ///
    /// # Errors
    /// [`ExecError::Params`] naming the first parameter that is missing or misshapen, [`ExecError::Optim`].
    pub fn open(&self, spec: &ExecutorSpec<'_>) -> Result<Box<dyn Executor>, ExecError> {
        match self {
            Self::Rust | Self::OneDnn(..) => Ok(Box::new(CpuExecutor::open(spec, self)?)),
            #[cfg(feature = "candle")]
            Self::Candle(device, precision) => {
                Ok(Box::new(super::candle::CandleExecutor::open(spec, device, *precision)?))
            }
        }
    }
}
