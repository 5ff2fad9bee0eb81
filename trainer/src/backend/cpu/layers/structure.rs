//! Operators that move numbers without changing them: of `models::ops`, `structure` and `region`.

use models::ops::{Pad, Shape, Slice, Transpose};
use rayon::prelude::*;

use super::super::array::Array;
use super::super::layer::{BackwardContext, Layer, LayerOutput, PassContext, Reads};
use super::super::layout::{channels, is_row_major, row_major, strides};
use super::LayerSpec;
use crate::backend::ExecError;
use crate::backend::cpu::kernels::strided::{StridedCopy, View};

/// The input itself.
pub(super) struct IdentityLayer;

impl Layer for IdentityLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        Ok(inputs.first().map_or_else(|| run.pool.empty(), |&input| input.clone()).into())
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        back.accumulate(0, back.dy.clone())?;
        Ok(())
    }
}

/// Moves numbers within each image: slices, transpositions, padding.
pub(super) struct StridedCopyLayer {
    copy: StridedCopy,
    input: usize,
    output: usize,
    /// Fills the elements that receive no number.
    around: f32,
}

impl StridedCopyLayer {
    /// The dimensions behind the batch in another order.
    pub(super) fn transposed(op: &Transpose, input: &Shape, output: &Shape) -> Self {
        let near = strides(input);
        let from = View { start: 0, strides: op.order.iter().map(|&axis| near[axis]).collect() };
        Self::new(input, output, StridedCopy::new(output.dims(), &from, &whole(output)))
    }

    /// One span of each dimension.
    pub(super) fn slice(op: &Slice, input: &Shape, output: &Shape) -> Self {
        let near = strides(input);
        let starts = op.spans.iter().zip(&near).map(|(span, stride)| span.start as isize * stride);
        let start = starts.sum::<isize>().unsigned_abs();
        let strides = op.spans.iter().zip(&near).map(|(span, stride)| span.step * stride).collect();
        Self::new(input, output, StridedCopy::new(output.dims(), &View { start, strides }, &whole(output)))
    }

    /// A constant around the tensor.
    pub(super) fn padded(op: &Pad, input: &Shape, output: &Shape) -> Self {
        let far = whole(output);
        let start: isize = op.before.iter().zip(&far.strides).map(|(&before, stride)| before as isize * stride).sum();
        let to = View { start: start.unsigned_abs(), ..far };
        Self { around: op.value, ..Self::new(input, output, StridedCopy::new(input.dims(), &whole(input), &to)) }
    }

    fn new(input: &Shape, output: &Shape, copy: StridedCopy) -> Self {
        Self { copy, input: input.len(), output: output.len(), around: 0.0 }
    }
}

/// A copy of every image of a batch.
struct BatchCopy<'a> {
    copy: &'a StridedCopy,
    /// The numbers of an image that is read.
    input: usize,
    /// The numbers of an image that is written.
    output: usize,
    /// What is written where nothing is moved to.
    around: f32,
}

impl BatchCopy<'_> {
    fn run(&self, from: &[f32], to: &mut [f32]) {
        to.par_chunks_mut(self.output).zip(from.par_chunks(self.input)).for_each(|(to, from)| {
            if self.output > self.input {
                to.fill(self.around);
            }
            self.copy.run(from, to);
        });
    }
}

impl Layer for StridedCopyLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let mut y = run.pool.take(run.batch * self.output)?;
        let copy = BatchCopy { copy: &self.copy, input: self.input, output: self.output, around: self.around };
        copy.run(inputs[0].numbers(), y.numbers_mut()?);
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        let mut dx = run.pool.take(run.batch * self.input)?;
        let inwards = BatchCopy { copy: &self.copy.reversed(), input: self.output, output: self.input, around: 0.0 };
        inwards.run(back.dy.numbers(), dx.numbers_mut()?);
        back.accumulate(0, dx)?;
        Ok(())
    }
}

/// All of a tensor as it lies in memory.
fn whole(shape: &Shape) -> View {
    View { start: 0, strides: strides(shape) }
}

/// The same numbers, counted as the graph counts them, in another shape.
pub(super) struct ReshapeLayer {
    /// Into the graph's order, and from it; nothing where that is the order in memory.
    steps: Vec<StridedCopy>,
    length: usize,
}

impl ReshapeLayer {
    pub(super) fn new(input: &Shape, output: &Shape) -> Self {
        let view = |strides| View { start: 0, strides };
        let mut steps = Vec::new();
        if input != output && !is_row_major(input) {
            steps.push(StridedCopy::new(input.dims(), &view(strides(input)), &view(row_major(input))));
        }
        if input != output && !is_row_major(output) {
            steps.push(StridedCopy::new(output.dims(), &view(row_major(output)), &view(strides(output))));
        }
        Self { steps, length: input.len() }
    }

    fn step(&self, copy: &StridedCopy, run: &PassContext<'_>, x: &Array) -> Result<Array, ExecError> {
        let mut y = run.pool.take(x.numbers().len())?;
        let images = y.numbers_mut()?.par_chunks_mut(self.length).zip(x.numbers().par_chunks(self.length));
        images.for_each(|(y, x)| copy.run(x, y));
        Ok(y)
    }
}

impl Layer for ReshapeLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        Ok(self.steps.iter().try_fold(inputs[0].clone(), |x, copy| self.step(copy, run, &x))?.into())
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        let dy = back.dy.clone();
        let dx = self.steps.iter().rev().try_fold(dy, |dy, copy| self.step(&copy.reversed(), run, &dy))?;
        back.accumulate(0, dx)?;
        Ok(())
    }
}

/// Channels of several tensors one after another.
pub(super) struct ConcatLayer {
    channels: Vec<usize>,
}

impl ConcatLayer {
    pub(super) fn new(spec: &LayerSpec<'_>) -> Self {
        Self { channels: spec.inputs.iter().map(|shape| channels(shape).0).collect() }
    }

    /// The first channel of each input, and how many it has.
    fn parts(&self) -> impl Iterator<Item = (usize, usize)> {
        self.channels.iter().scan(0, |first, &count| {
            *first += count;
            Some((*first - count, count))
        })
    }
}

impl Layer for ConcatLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let all: usize = self.channels.iter().sum();
        let mut y = run.pool.take(inputs.iter().map(|input| input.numbers().len()).sum())?;
        y.numbers_mut()?.par_chunks_mut(all).enumerate().for_each(|(pixel, y)| {
            for ((first, count), input) in self.parts().zip(inputs) {
                y[first..first + count].copy_from_slice(&input.numbers()[pixel * count..][..count]);
            }
        });
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        let all: usize = self.channels.iter().sum();
        for (input, (first, count)) in self.parts().enumerate() {
            if !back.needs_gradient[input] {
                continue;
            }
            let dy = back.dy.numbers();
            let mut dx = run.pool.take(dy.len() / all * count)?;
            dx.numbers_mut()?.par_chunks_mut(count).zip(dy.par_chunks(all)).for_each(|(dx, dy)| {
                dx.copy_from_slice(&dy[first..first + count]);
            });
            back.accumulate(input, dx)?;
        }
        Ok(())
    }
}
