//! By what a network is computed.

use models::ops::Shape;

use super::layout::channels;
use crate::kernels::element::Format;
use crate::kernels::onednn::{OneDnn, OneDnnError};

/// By what convolutions are computed. Everything else is Rust, and so is this unless the user wants otherwise.
#[derive(Debug, Clone, Default)]
pub enum Kernels {
    /// graft's own, in `f32`.
    #[default]
    Rust,
    /// oneDNN's, in this precision.
    OneDnn(OneDnn, Precision),
}

/// In what images, what layers make of them, and their gradients are kept. Weights, their gradients, statistics and sums
/// are `f32` in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// `f32`.
    #[default]
    F32,
    /// `bf16`, of half the size and with the range of `f32`, but with eight bits of mantissa. Processors with AMX
    /// multiply it several times faster; elsewhere measure before choosing it.
    Bf16,
}

impl Kernels {
    /// How a node's output is kept. What is no image is small and stays exact.
    pub(super) fn format(&self, shape: &Shape) -> Format {
        match self {
            Self::OneDnn(_, Precision::Bf16) if channels(shape).1 > 1 => Format::Brain,
            _ => Format::Single,
        }
    }

    /// What went wrong in the layers since the last time.
    pub(super) fn failure(&self) -> Result<(), OneDnnError> {
        match self {
            Self::Rust => Ok(()),
            Self::OneDnn(library, _) => library.failure(),
        }
    }
}
