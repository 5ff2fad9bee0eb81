//! The devices that candle knows.

use std::fmt;

use candle_core::Device;

use crate::backend::ExecError;

/// Where candle computes: the processor, a CUDA or a Metal device, with the name that messages give it.
#[derive(Debug, Clone)]
pub struct CandleDevice {
    name: String,
    device: Device,
}

impl CandleDevice {
    /// The processor, by candle's kernels. For tests and comparison: graft's own are faster.
    #[must_use]
    pub fn cpu() -> Self {
        Self { name: "candle-cpu".to_owned(), device: Device::Cpu }
    }

    /// The CUDA device of this number.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn cuda(number: usize) -> Result<Self, String> {
        // One stream for all threads: with candle's usual one each thread has its own, and nothing orders them.
        let device = Device::new_cuda_with_stream(number).map_err(|error| message(&error))?;
        Ok(Self { name: format!("cuda:{number}"), device })
    }

    /// The first Metal device.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn metal() -> Result<Self, String> {
        let device = Device::new_metal(0).map_err(|error| message(&error))?;
        Ok(Self { name: "metal".to_owned(), device })
    }

    /// Whether products may be of bf16 here: in tensor cores, or, to test that without any, rounded on the processor.
    pub(crate) fn has_bf16(&self) -> bool {
        !self.device.is_metal()
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// What came of something on this device.
    pub(super) fn check<T>(&self, result: candle_core::Result<T>) -> Result<T, ExecError> {
        result.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &candle_core::Error) -> ExecError {
        let (device, message) = (self.name.clone(), message(error));
        match is_out_of_memory(&message) {
            true => ExecError::DeviceMemory { device, message },
            false => ExecError::Device { device, message },
        }
    }
}

impl fmt::Display for CandleDevice {
    /// As `--device` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What an error says. With `RUST_BACKTRACE` candle's have a backtrace in the middle of the sentence that they are put into.
fn message(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => message(inner),
        error => error.to_string(),
    }
}

/// candle hands on what drivers and libraries say, and has no kind of error of its own for this.
fn is_out_of_memory(message: &str) -> bool {
    let known = [
        "CUDA_ERROR_OUT_OF_MEMORY",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "CUDNN_STATUS_ALLOC_FAILED",
        "DEVICE_ALLOCATION_FAILED",
        "FailedToCreateResource",
    ];
    known.iter().any(|name| message.contains(name))
}

#[cfg(test)]
mod tests {
    use std::backtrace::Backtrace;

    use candle_core::Error;

    use super::*;

    #[test]
    fn a_message_has_no_backtrace() {
        let inner = Box::new(Error::msg("no such device"));
        let traced = Error::WithBacktrace { inner, backtrace: Box::new(Backtrace::force_capture()) };
        assert!(traced.to_string().lines().count() > 1);
        assert_eq!(message(&traced), "no such device");
    }

    /// As cudarc writes a driver's error, and candle an error of shapes.
    #[test]
    fn a_device_without_memory_is_told_from_one_that_fails() {
        let device = CandleDevice::cpu();
        let memory = Error::msg("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")");
        let error = device.failed(&memory);
        assert!(error.is_out_of_memory() && matches!(error, ExecError::DeviceMemory { .. }), "{error}");
        let error = device.failed(&Error::OpRequiresAtLeastOneTensor { op: "cat" });
        assert!(!error.is_out_of_memory() && matches!(error, ExecError::Device { .. }), "{error}");
        assert!(error.to_string().starts_with("candle-cpu failed: cat"), "{error}");
    }
}
