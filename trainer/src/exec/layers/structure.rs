//! Operators that move numbers without changing them.

use models::ops::{Shape, Slice, Transpose};
use rayon::prelude::*;

use super::super::array::Array;
use super::super::layer::{Back, Layer, Made, Reads, Run};
use super::super::layout::{channels, is_row_major, row_major, strides};
use super::Site;
use crate::kernels::strided::{Copy, View};

/// What it is given.
pub(super) struct Same;

impl Layer for Same {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        inputs.first().map_or_else(|| run.pool.take(0), |&input| input.clone()).into()
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, _: &Run<'_>, back: &mut Back<'_>) {
        back.give(0, back.dy.clone());
    }
}

/// Some numbers of each image in another order: a part of a tensor, its dimensions exchanged.
pub(super) struct Moved {
    copy: Copy,
    input: usize,
    output: usize,
}

impl Moved {
    /// The dimensions behind the batch in another order.
    pub(super) fn transposed(op: &Transpose, input: &Shape, output: &Shape) -> Self {
        let near = strides(input);
        let from = View { start: 0, strides: op.order.iter().map(|&axis| near[axis]).collect() };
        Self::new(&from, input, output)
    }

    /// One span of each dimension.
    pub(super) fn slice(op: &Slice, input: &Shape, output: &Shape) -> Self {
        let near = strides(input);
        let starts = op.spans.iter().zip(&near).map(|(span, stride)| span.start as isize * stride);
        let start = starts.sum::<isize>().unsigned_abs();
        let strides = op.spans.iter().zip(&near).map(|(span, stride)| span.step * stride).collect();
        Self::new(&View { start, strides }, input, output)
    }

    fn new(from: &View, input: &Shape, output: &Shape) -> Self {
        let to = View { start: 0, strides: strides(output) };
        Self { copy: Copy::new(output.dims(), from, &to), input: input.len(), output: output.len() }
    }
}

impl Layer for Moved {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        let mut y = run.pool.take(run.batch * self.output);
        let images = y.numbers_mut().par_chunks_mut(self.output).zip(inputs[0].numbers().par_chunks(self.input));
        images.for_each(|(y, x)| self.copy.run(x, y));
        y.into()
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, run: &Run<'_>, back: &mut Back<'_>) {
        let mut dx = run.pool.take(run.batch * self.input);
        let inwards = self.copy.reversed();
        let images = dx.numbers_mut().par_chunks_mut(self.input).zip(back.dy.numbers().par_chunks(self.output));
        images.for_each(|(dx, dy)| {
            dx.fill(0.0);
            inwards.run(dy, dx);
        });
        back.give(0, dx);
    }
}

/// The same numbers, counted as the graph counts them, in another shape.
pub(super) struct Reshaped {
    /// Into the graph's order, and from it; nothing where that is the order in memory.
    steps: Vec<Copy>,
    length: usize,
}

impl Reshaped {
    pub(super) fn new(input: &Shape, output: &Shape) -> Self {
        let view = |strides| View { start: 0, strides };
        let mut steps = Vec::new();
        if input != output && !is_row_major(input) {
            steps.push(Copy::new(input.dims(), &view(strides(input)), &view(row_major(input))));
        }
        if input != output && !is_row_major(output) {
            steps.push(Copy::new(output.dims(), &view(row_major(output)), &view(strides(output))));
        }
        Self { steps, length: input.len() }
    }

    fn step(&self, copy: &Copy, run: &Run<'_>, x: &Array) -> Array {
        let mut y = run.pool.take(x.numbers().len());
        let images = y.numbers_mut().par_chunks_mut(self.length).zip(x.numbers().par_chunks(self.length));
        images.for_each(|(y, x)| copy.run(x, y));
        y
    }
}

impl Layer for Reshaped {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        self.steps.iter().fold(inputs[0].clone(), |x, copy| self.step(copy, run, &x)).into()
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, run: &Run<'_>, back: &mut Back<'_>) {
        let dy = back.dy.clone();
        let dx = self.steps.iter().rev().fold(dy, |dy, copy| self.step(&copy.reversed(), run, &dy));
        back.give(0, dx);
    }
}

/// Channels of several tensors one after another.
pub(super) struct Concatenated {
    channels: Vec<usize>,
}

impl Concatenated {
    pub(super) fn new(site: &Site<'_>) -> Self {
        Self { channels: site.inputs.iter().map(|shape| channels(shape).0).collect() }
    }

    /// The first channel of each input, and how many it has.
    fn parts(&self) -> impl Iterator<Item = (usize, usize)> {
        self.channels.iter().scan(0, |first, &count| {
            *first += count;
            Some((*first - count, count))
        })
    }
}

impl Layer for Concatenated {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        let all: usize = self.channels.iter().sum();
        let mut y = run.pool.take(inputs.iter().map(|input| input.numbers().len()).sum());
        y.numbers_mut().par_chunks_mut(all).enumerate().for_each(|(pixel, y)| {
            for ((first, count), input) in self.parts().zip(inputs) {
                y[first..first + count].copy_from_slice(&input.numbers()[pixel * count..][..count]);
            }
        });
        y.into()
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, run: &Run<'_>, back: &mut Back<'_>) {
        let all: usize = self.channels.iter().sum();
        for (input, (first, count)) in self.parts().enumerate() {
            if !back.wanted[input] {
                continue;
            }
            let dy = back.dy.numbers();
            let mut dx = run.pool.take(dy.len() / all * count);
            dx.numbers_mut().par_chunks_mut(count).zip(dy.par_chunks(all)).for_each(|(dx, dy)| {
                dx.copy_from_slice(&dy[first..first + count]);
            });
            back.give(input, dx);
        }
    }
}
