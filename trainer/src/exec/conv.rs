//! Convolution.

use candle_core::{Result, Tensor};
use models::ops::{Conv2d, Shape};

use super::{tensor, with_data};
use crate::kernels::conv::{Geometry, conv2d};

/// `[n, in, h, w]` to `[n, out, oh, ow]`.
pub(super) fn forward(op: &Conv2d, x: &Tensor, params: &[Tensor], shape: &Shape) -> Result<Tensor> {
    let (n, _, height, width) = x.dims4()?;
    let output = [shape.dims()[1], shape.dims()[2]];
    let geometry = Geometry { conv: op, input: [height, width], output };
    let y = with_data(x, |x| {
        with_data(&params[0], |weight| match params.get(1) {
            Some(bias) => with_data(bias, |bias| conv2d(geometry, x, weight, Some(bias))),
            None => Ok(conv2d(geometry, x, weight, None)),
        })
    })???;
    tensor(y, n, shape)
}
