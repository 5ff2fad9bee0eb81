//! Operators that move numbers without changing them.

use candle_core::{Result, Tensor};
use models::ops::{Shape, Transpose};

/// Channels one after another.
pub(super) fn concat(inputs: &[Tensor]) -> Result<Tensor> {
    Tensor::cat(inputs, 1)?.contiguous()
}

/// `[n, c, h, w]` to `[n, c·h·w]`.
pub(super) fn flatten(x: &Tensor) -> Result<Tensor> {
    x.flatten_from(1)
}

/// The same numbers in another shape.
pub(super) fn reshape(x: &Tensor, shape: &Shape) -> Result<Tensor> {
    let dims: Vec<usize> = std::iter::once(x.dim(0)?).chain(shape.dims().iter().copied()).collect();
    x.reshape(dims)
}

/// The dimensions behind the batch in another order.
pub(super) fn transpose(op: &Transpose, x: &Tensor) -> Result<Tensor> {
    let order: Vec<usize> = std::iter::once(0).chain(op.order.iter().map(|from| from + 1)).collect();
    x.permute(order)?.contiguous()
}
