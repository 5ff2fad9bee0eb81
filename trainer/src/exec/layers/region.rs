//! Tensors put into larger ones.

use models::ops::{Pad, Shape};
use rayon::prelude::*;

use super::super::array::Array;
use super::super::layer::{Back, Layer, Made, Reads, Run};
use super::super::layout::strides;
use crate::kernels::strided::{Copy, View};

/// A constant around the tensor.
pub(super) struct Padded {
    value: f32,
    copy: Copy,
    input: usize,
    output: usize,
}

impl Padded {
    pub(super) fn new(op: &Pad, input: &Shape, output: &Shape) -> Self {
        let far = strides(output);
        let start: isize = op.before.iter().zip(&far).map(|(&before, stride)| before as isize * stride).sum();
        let copy = Copy::new(
            input.dims(),
            &View { start: 0, strides: strides(input) },
            &View { start: start.unsigned_abs(), strides: far },
        );
        Self { value: op.value, copy, input: input.len(), output: output.len() }
    }
}

impl Layer for Padded {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        let mut y = run.pool.take(run.batch * self.output);
        let images = y.numbers_mut().par_chunks_mut(self.output).zip(inputs[0].numbers().par_chunks(self.input));
        images.for_each(|(y, x)| {
            y.fill(self.value);
            self.copy.run(x, y);
        });
        y.into()
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, run: &Run<'_>, back: &mut Back<'_>) {
        let mut dx = run.pool.take(run.batch * self.input);
        let inwards = self.copy.reversed();
        let images = dx.numbers_mut().par_chunks_mut(self.input).zip(back.dy.numbers().par_chunks(self.output));
        images.for_each(|(dx, dy)| inwards.run(dy, dx));
        back.give(0, dx);
    }
}
