//! Functions applied to every number, and the softmax over the classes.

use candle_core::{D, Result, Tensor};
use models::ops::Activation;

use super::map;

/// `max(x, 0)`.
pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
    x.relu()
}

/// Any other function of one number.
pub(super) fn apply(op: Activation, x: &Tensor) -> Result<Tensor> {
    match op {
        Activation::LeakyRelu { alpha } => map(x, |x| if x < 0.0 { alpha * x } else { x }),
        // Not `clamp`, which panics on limits in the wrong order; ONNX wants the upper one then.
        Activation::Clip { min, max } => map(x, |x| x.max(min).min(max)),
        Activation::Sigmoid => map(x, |x| 1.0 / (1.0 + (-x).exp())),
        Activation::HardSigmoid { alpha, beta } => map(x, |x| (alpha * x + beta).clamp(0.0, 1.0)),
        Activation::HardSwish => map(x, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        Activation::Tanh => map(x, f32::tanh),
        Activation::Elu { alpha } => map(x, |x| if x < 0.0 { alpha * x.exp_m1() } else { x }),
    }
}

/// Over the classes of `[n, classes, …]`.
pub(super) fn softmax(x: &Tensor) -> Result<Tensor> {
    let rows = x.flatten_from(1)?;
    let powers = rows.broadcast_sub(&rows.max_keepdim(D::Minus1)?)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?.reshape(x.dims())
}
