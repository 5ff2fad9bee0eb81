//! Operators that move numbers without changing them.

use candle_core::{D, Result, Tensor};
use models::ops::{Shape, Transpose};

use super::super::layer::{Backward, Forward, Layer, PassContext};
use super::super::tensors::{memory_dims, to_graph, to_memory};
use super::LayerSpec;

/// The input itself.
pub(super) struct IdentityLayer;

impl Layer for IdentityLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        Ok(inputs[0].clone().into())
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        back.accumulate(0, back.dy.clone())
    }
}

/// The same numbers, counted as the graph counts them, in another shape.
pub(super) struct ReshapeLayer {
    input: Shape,
    output: Shape,
}

impl ReshapeLayer {
    pub(super) fn new(spec: &LayerSpec<'_>) -> Self {
        Self { input: spec.input().clone(), output: spec.output.clone() }
    }

    fn counted(x: &Tensor, shape: &Shape) -> Result<Tensor> {
        let dims: Vec<usize> = [x.dim(0)?].iter().chain(shape.dims()).copied().collect();
        to_memory(&to_graph(x)?.reshape(dims)?)
    }
}

impl Layer for ReshapeLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        Ok(Self::counted(inputs[0], &self.output)?.into())
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let dx = Self::counted(&back.dy, &self.input)?;
        back.accumulate(0, dx)
    }
}

/// The dimensions behind the batch in another order.
pub(super) struct TransposeLayer {
    order: Vec<usize>,
}

impl TransposeLayer {
    pub(super) fn new(op: &Transpose) -> Self {
        Self { order: op.order.clone() }
    }

    fn permuted(x: &Tensor, order: impl Iterator<Item = usize>) -> Result<Tensor> {
        let axes: Vec<usize> = [0].into_iter().chain(order.map(|axis| axis + 1)).collect();
        to_memory(&to_graph(x)?.permute(axes)?.contiguous()?)
    }
}

impl Layer for TransposeLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        Ok(Self::permuted(inputs[0], self.order.iter().copied())?.into())
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let mut inverse = vec![0; self.order.len()];
        self.order.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
        let dx = Self::permuted(&back.dy, inverse.into_iter())?;
        back.accumulate(0, dx)
    }
}

/// Channels of several tensors one after another.
pub(super) struct ConcatLayer {
    channels: Vec<usize>,
}

impl ConcatLayer {
    pub(super) fn new(spec: &LayerSpec<'_>) -> Self {
        Self { channels: spec.inputs.iter().map(|shape| memory_dims(1, shape.dims())[shape.dims().len()]).collect() }
    }
}

impl Layer for ConcatLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        Ok(Tensor::cat(inputs, D::Minus1)?.contiguous()?.into())
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let mut first = 0;
        for (input, &count) in self.channels.iter().enumerate() {
            if back.needs_gradient[input] {
                let dx = back.dy.narrow(D::Minus1, first, count)?.contiguous()?;
                back.accumulate(input, dx)?;
            }
            first += count;
        }
        Ok(())
    }
}
