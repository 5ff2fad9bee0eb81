//! In which precision products are computed: those of matrices, and convolutions.

use candle_core::{DType, Device, Result, Tensor};

use crate::backend::Precision;

/// Where and how a network is computed.
#[derive(Clone, Copy)]
pub(super) struct Arithmetic<'a> {
    pub(super) device: &'a Device,
    pub(super) precision: Precision,
}

/// How the operands and the result of a product are rounded. It is summed in `f32` in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Products {
    /// Not at all.
    F32,
    /// Tensors of bf16 go in and come out, which tensor cores take.
    TensorCores,
    /// As those do, but with tensors of `f32` and products of `f32`. candle has no products of bf16 on the processor.
    Rounded,
}

impl Products {
    pub(super) fn new(arithmetic: Arithmetic<'_>) -> Self {
        match arithmetic.precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 if arithmetic.device.is_cuda() => Self::TensorCores,
            Precision::Bf16 => Self::Rounded,
        }
    }

    /// For what candle would sum in bf16.
    pub(super) fn in_f32(self) -> Self {
        if self == Self::TensorCores { Self::Rounded } else { self }
    }

    /// A tensor as an operand.
    pub(super) fn operand(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::F32 => Ok(x.clone()),
            Self::TensorCores => x.to_dtype(DType::BF16),
            Self::Rounded => rounded(x),
        }
    }

    /// The product of two operands, in `f32`.
    pub(super) fn result(self, y: &Tensor) -> Result<Tensor> {
        match self {
            Self::F32 => Ok(y.clone()),
            Self::TensorCores => y.to_dtype(DType::F32),
            Self::Rounded => rounded(y),
        }
    }
}

fn rounded(x: &Tensor) -> Result<Tensor> {
    x.to_dtype(DType::BF16)?.to_dtype(DType::F32)
}
