//! Operators that take a part of a tensor, or put it into a larger one.

use candle_core::{Result, Tensor};
use models::ops::{Pad, Slice, Span};

use super::super::gather::{Gather, Table};
use super::super::layer::{Backward, Forward, Layer, PassContext};
use super::LayerSpec;

/// One span of each dimension.
pub(super) struct SliceLayer {
    axes: Vec<SlicedAxis>,
}

/// A dimension of which not all is taken.
struct SlicedAxis {
    /// Where it is in memory, behind the batch.
    axis: usize,
    taken: Gather,
    /// Where each index of the input is in the output.
    put: Gather,
}

impl SliceLayer {
    pub(super) fn new(op: &Slice, spec: &LayerSpec<'_>) -> Result<Self> {
        let dims = spec.input().dims();
        let parts = op.spans.iter().zip(dims).enumerate().filter(|(_, (span, size))| **span != Span::all(**size));
        let axes = parts.map(|(axis, (span, &size))| {
            let table = Table { rows: span.indices().map(Some).collect(), taps: 1 };
            Ok(SlicedAxis {
                axis: memory_axis(axis, dims.len()),
                taken: Gather::new(&table, size, spec.device)?,
                put: Gather::new(&table.inverted(size), span.length, spec.device)?,
            })
        });
        Ok(Self { axes: axes.collect::<Result<_>>()? })
    }
}

/// Where a dimension of the graph's shape is in memory, behind the batch: the channels are the last.
fn memory_axis(axis: usize, rank: usize) -> usize {
    if axis == 0 { rank } else { axis }
}

/// A tensor with another choice of indices along one dimension.
fn along(x: &Tensor, axis: usize, gather: &Gather) -> Result<Tensor> {
    let dims = x.dims();
    let [outer, inner] = [&dims[..axis], &dims[axis + 1..]].map(|dims| dims.iter().product::<usize>());
    let y = gather.sum(&x.reshape((outer, dims[axis], inner))?)?;
    let mut dims = dims.to_vec();
    dims[axis] = gather.length();
    y.reshape(dims)
}

impl Layer for SliceLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let take = |x: Tensor, part: &SlicedAxis| along(&x, part.axis, &part.taken);
        Ok(self.axes.iter().try_fold(inputs[0].clone(), take)?.into())
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let put = |dy: Tensor, part: &SlicedAxis| along(&dy, part.axis, &part.put);
        let dx = self.axes.iter().rev().try_fold(back.dy.clone(), put)?;
        back.accumulate(0, dx)
    }
}

/// A constant around the tensor.
pub(super) struct PadLayer {
    /// For each dimension behind the batch in memory how much is before, what is inside, and how much is behind.
    axes: Vec<[usize; 3]>,
    value: f32,
}

impl PadLayer {
    pub(super) fn new(op: &Pad, spec: &LayerSpec<'_>) -> Self {
        let dims = spec.input().dims();
        let mut axes: Vec<[usize; 3]> =
            (0..dims.len()).map(|axis| [op.before[axis], dims[axis], op.after[axis]]).collect();
        if !axes.is_empty() {
            axes.rotate_left(1);
        }
        Self { axes, value: op.value }
    }
}

impl Layer for PadLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let mut y = inputs[0].clone();
        for (axis, &[before, _, behind]) in self.axes.iter().enumerate() {
            let constant = |length: usize| {
                let mut dims = y.dims().to_vec();
                dims[axis + 1] = length;
                Tensor::full(self.value, dims, y.device())
            };
            let mut parts = vec![];
            if before > 0 {
                parts.push(constant(before)?);
            }
            parts.push(y.clone());
            if behind > 0 {
                parts.push(constant(behind)?);
            }
            y = Tensor::cat(&parts, axis + 1)?.contiguous()?;
        }
        Ok(y.into())
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let inside = |dy: Tensor, (axis, &[before, size, _]): (usize, &[usize; 3])| dy.narrow(axis + 1, before, size);
        let dx = self.axes.iter().enumerate().try_fold(back.dy.clone(), inside)?.contiguous()?;
        back.accumulate(0, dx)
    }
}
