//! Operators that move numbers without changing them.

use candle_core::{Result, Tensor};

/// Channels one after another.
pub(super) fn concat(inputs: &[Tensor]) -> Result<Tensor> {
    Tensor::cat(inputs, 1)?.contiguous()
}

/// `[n, c, h, w]` to `[n, c·h·w]`.
pub(super) fn flatten(x: &Tensor) -> Result<Tensor> {
    x.flatten_from(1)
}
