//! Functions applied to every number, and the softmax over the classes.

use candle_core::{D, Result, Tensor};

/// `max(x, 0)`.
pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
    x.relu()
}

/// Over the classes of `[n, classes, …]`.
pub(super) fn softmax(x: &Tensor) -> Result<Tensor> {
    let rows = x.flatten_from(1)?;
    let powers = rows.broadcast_sub(&rows.max_keepdim(D::Minus1)?)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?.reshape(x.dims())
}
