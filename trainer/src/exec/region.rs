//! Parts of tensors, and tensors put into larger ones.

use candle_core::{Device, Result, Tensor};
use models::ops::{Pad, Shape, Slice};

use super::{tensor, with_data};

/// One span of each dimension.
pub(super) fn slice(op: &Slice, x: &Tensor) -> Result<Tensor> {
    let mut y = x.clone();
    for (axis, span) in (1..).zip(&op.spans) {
        if span.length != y.dim(axis)? || span.step != 1 {
            let indices: Vec<u32> = span.indices().map(|index| index as u32).collect();
            y = y.index_select(&Tensor::from_vec(indices, span.length, &Device::Cpu)?, axis)?;
        }
    }
    y.contiguous()
}

/// A constant around the tensor.
pub(super) fn pad(op: &Pad, x: &Tensor, shape: &Shape) -> Result<Tensor> {
    let (n, inner) = (x.dim(0)?, x.dims()[1..].to_vec());
    let mut y = vec![op.value; n * shape.len()];
    let Some((&row, outer)) = inner.split_last() else { return Ok(x.clone()) };
    with_data(x, |x| {
        for (index, source) in x.chunks(row.max(1)).enumerate() {
            let at = target(op, shape, outer, index);
            y[at..at + row].copy_from_slice(source);
        }
    })?;
    tensor(y, n, shape)
}

/// Where the row of this number, counted through all images, begins in the padded tensor.
fn target(op: &Pad, shape: &Shape, outer: &[usize], mut row: usize) -> usize {
    let last = outer.len();
    let (mut at, mut stride) = (op.before[last], shape.dims()[last]);
    for axis in (0..last).rev() {
        at += (row % outer[axis] + op.before[axis]) * stride;
        row /= outer[axis];
        stride *= shape.dims()[axis];
    }
    at + row * stride
}
