//! The device that the user wants.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::ComputeBackend;
#[cfg(feature = "candle")]
use super::Precision;

/// Where networks are trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A graphics processor, if this program was built for one and there is one; else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
    /// The first Metal device.
    Metal,
    /// The processor by the kernels of the device backend, which are slower: for tests and comparison.
    CandleCpu,
}

/// What a choice comes to.
#[derive(Debug, Clone)]
pub struct ChosenDevice {
    /// What computes there; `None` for the processor, on which the kernels are a choice of their own.
    pub backend: Option<ComputeBackend>,
    /// Why, as the second half of a sentence.
    pub reason: String,
}

/// There is no such device.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// This program was built without it.
    #[error(
        "--device {device} was asked for, and this graft was built without it; build one with `cargo build --release \
         --features {feature}` (docs/devices.md says what that needs), or use --device cpu"
    )]
    NotBuilt {
        /// What was asked for.
        device: DeviceChoice,
        /// The Cargo feature that builds it in.
        feature: &'static str,
    },
    /// It was looked for.
    #[error(
        "--device {device} was asked for, and {looked_for} was not found ({message}); use --device cpu, or another number"
    )]
    Missing {
        /// What was asked for.
        device: DeviceChoice,
        /// In words, such as `CUDA device 1`.
        looked_for: String,
        /// What the driver says.
        message: String,
    },
}

/// No device has this name.
#[derive(Debug, Error)]
#[error("`{0}` is no device; name auto, cpu, cuda, cuda:1 (the second), metal, or candle-cpu")]
pub struct UnknownDevice(String);

impl DeviceChoice {
    /// Looks for the device. `auto` falls back to the processor and gives the reason; asking by name never falls back.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn find(self) -> Result<ChosenDevice, DeviceError> {
        let chosen = || format!("chosen by --device {self}");
        match self {
            Self::Cpu => Ok(ChosenDevice { backend: None, reason: chosen() }),
            Self::Auto => Ok(Self::any()),
            named => Ok(ChosenDevice { backend: Some(named.open()?), reason: chosen() }),
        }
    }

    /// The first graphics processor.
    fn any() -> ChosenDevice {
        let mut tried = vec![];
        for (device, is_built) in [(Self::Cuda(0), cfg!(feature = "cuda")), (Self::Metal, cfg!(feature = "metal"))] {
            match device.open() {
                Ok(backend) => return ChosenDevice { backend: Some(backend), reason: format!("{device} was found") },
                Err(error) if is_built => tried.push(error.to_string()),
                Err(_) => {}
            }
        }
        let reason = match tried.is_empty() {
            true => "this graft was built for no graphics processor".to_owned(),
            false => tried.join("; "),
        };
        ChosenDevice { backend: None, reason }
    }

    fn open(self) -> Result<ComputeBackend, DeviceError> {
        match self {
            #[cfg(feature = "candle")]
            Self::CandleCpu => Ok(ComputeBackend::Candle(super::CandleDevice::cpu(), Precision::F32)),
            #[cfg(feature = "cuda")]
            Self::Cuda(number) => self.found(super::CandleDevice::cuda(number), format!("CUDA device {number}")),
            #[cfg(feature = "metal")]
            Self::Metal => self.found(super::CandleDevice::metal(), "a Metal device".to_owned()),
            device => Err(DeviceError::NotBuilt { device, feature: device.feature() }),
        }
    }

    #[cfg(any(feature = "cuda", feature = "metal"))]
    fn found(
        self,
        device: Result<super::CandleDevice, String>,
        looked_for: String,
    ) -> Result<ComputeBackend, DeviceError> {
        let missing = |message| DeviceError::Missing { device: self, looked_for, message };
        device.map(|device| ComputeBackend::Candle(device, Precision::F32)).map_err(missing)
    }

    /// What a build needs for it.
    fn feature(self) -> &'static str {
        match self {
            Self::Cuda(_) => "cuda",
            Self::Metal => "metal",
            Self::Auto | Self::Cpu | Self::CandleCpu => "candle",
        }
    }
}

impl fmt::Display for DeviceChoice {
    /// As it is parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal => f.write_str("metal"),
            Self::CandleCpu => f.write_str("candle-cpu"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            "candle-cpu" => Ok(Self::CandleCpu),
            _ => {
                let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
                number.map(Self::Cuda).ok_or_else(|| UnknownDevice(text.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        for name in ["auto", "cpu", "cuda:0", "cuda:1", "metal", "candle-cpu"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
        for wrong in ["gpu", "cuda:", "cuda:x", "CUDA", ""] {
            let error = wrong.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("cuda:1 (the second)"), "{error}");
        }
    }

    #[test]
    fn the_processor_is_there_without_features_and_auto_says_why() {
        assert!(DeviceChoice::Cpu.find().unwrap().backend.is_none());
        let auto = DeviceChoice::Auto.find().unwrap();
        assert!(auto.backend.is_some() || !auto.reason.is_empty());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_that_is_not_compiled_in_says_how_to_get_it() {
        let error = DeviceChoice::Cuda(1).find().unwrap_err().to_string();
        assert!(error.starts_with("--device cuda:1 was asked for"), "{error}");
        assert!(error.contains("--features cuda") && error.contains("docs/devices.md"), "{error}");
    }
}
