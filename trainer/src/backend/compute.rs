//! By what a network is computed.

use std::fmt;

use models::ops::Shape;

use serde::{Deserialize, Serialize};

#[cfg(feature = "candle")]
use super::candle::CandleDevice;
use super::cpu::layout::channels;
use crate::backend::cpu::kernels::element::DType;
use crate::backend::onednn::OneDnn;

/// By what networks are computed.
#[derive(Debug, Clone, Default)]
pub enum ComputeBackend {
    /// graft's own, in `f32`.
    #[default]
    Rust,
    /// The same, with oneDNN's convolutions in this precision.
    OneDnn(OneDnn, Precision),
    /// candle's tensors on a device, with products of matrices and convolutions in this precision.
    #[cfg(feature = "candle")]
    Candle(CandleDevice, Precision),
}

/// The precision of images, activations and their gradients; on a device, that of products alone. Weights, the sums of their
/// gradients, statistics and the sums within a product are always `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Precision {
    /// Single precision, as frameworks train by default.
    #[default]
    F32,
    /// Half the memory, with 8 bits of mantissa; several times faster on processors with AMX. oneDNN has it, and CUDA devices.
    Bf16,
}

impl Precision {
    /// Its name in options and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for ComputeBackend {
    /// Such as `rust f32` and `oneDNN 3.2.0 bf16`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rust => f.write_str("rust f32"),
            Self::OneDnn(library, precision) => write!(f, "oneDNN {} {}", library.version(), precision.name()),
            #[cfg(feature = "candle")]
            Self::Candle(device, precision) => write!(f, "candle on {device} {}", precision.name()),
        }
    }
}

impl ComputeBackend {
    /// The same in this precision; `None` where it has no such.
    #[must_use]
    pub fn in_precision(self, precision: Precision) -> Option<Self> {
        match self {
            Self::Rust => (precision == Precision::F32).then_some(Self::Rust),
            Self::OneDnn(library, _) => Some(Self::OneDnn(library, precision)),
            #[cfg(feature = "candle")]
            Self::Candle(device, _) => {
                (precision == Precision::F32 || device.has_bf16()).then_some(Self::Candle(device, precision))
            }
        }
    }

    /// The same without a loss of precision, to measure what was trained.
    pub(crate) fn exact(&self) -> Self {
        match self {
            Self::OneDnn(..) => Self::Rust,
            #[cfg(feature = "candle")]
            Self::Candle(device, _) => Self::Candle(device.clone(), Precision::F32),
            Self::Rust => Self::Rust,
        }
    }

    /// Equal where equal runs end in equal bits. Threads change none in graft's own kernels; how oneDNN divides a sum
    /// depends on them.
    pub(crate) fn identity(&self) -> String {
        match self {
            Self::Rust => self.to_string(),
            Self::OneDnn(..) => format!("{self} {} threads", rayon::current_num_threads()),
            #[cfg(feature = "candle")]
            Self::Candle(..) => self.to_string(),
        }
    }

    /// The dtype of a node's output. Only images are stored in `bf16`; everything else is small and stays exact.
    pub(super) fn dtype(&self, shape: &Shape) -> DType {
        match self {
            Self::OneDnn(_, Precision::Bf16) if channels(shape).1 > 1 => DType::Bf16,
            _ => DType::F32,
        }
    }
}
