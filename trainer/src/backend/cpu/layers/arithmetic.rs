//! Sums and products of tensors, and scales and shifts of channels.

use std::marker::PhantomData;

use models::ops::{Normalize, Scale};
use rayon::prelude::*;

use super::super::array::Array;
use super::super::gradients::GradientOf;
use super::super::layer::{BackwardContext, Layer, LayerOutput, PassContext, Reads};
use super::super::layout::channels;
use super::LayerSpec;
use crate::backend::ExecError;
use crate::backend::cpu::kernels::element::Element;
use crate::backend::cpu::kernels::elementwise::{combine, relu_backward, update};
use crate::backend::cpu::kernels::epilogue::Epilogue;
use crate::backend::cpu::kernels::norm::{Operands, ScaleShift, products};
use crate::backend::weights::Weights;

/// The sum of arrays of one shape, with the ReLU behind it.
pub(super) struct AddLayer<T> {
    epilogue: Epilogue,
    dtype: PhantomData<T>,
}

impl<T> AddLayer<T> {
    pub(super) fn new(epilogue: Epilogue) -> Self {
        Self { epilogue, dtype: PhantomData }
    }
}

impl<T: Element> Layer for AddLayer<T> {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let mut y = run.pool.take_as::<T>(inputs[0].len())?;
        let out = y.as_mut_slice::<T>()?;
        let relu = self.epilogue.has_relu() && inputs.len() == 2;
        combine(inputs[0].as_slice(), inputs[1].as_slice(), out, move |a, b| {
            let sum = a + b;
            if relu && sum < 0.0 { 0.0 } else { sum }
        });
        for input in &inputs[2..] {
            update(out, input.as_slice(), |sum, x| sum + x);
        }
        if self.epilogue.has_relu() && inputs.len() > 2 {
            crate::backend::cpu::kernels::elementwise::relu(out);
        }
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        if self.epilogue.has_relu() { Reads::OUTPUT } else { Reads::NOTHING }
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        if self.epilogue.has_relu() {
            relu_backward(back.dy.as_mut_slice::<T>()?, back.output.as_slice());
        }
        for input in 0..back.needs_gradient.len() {
            back.accumulate(input, back.dy.clone())?;
        }
        Ok(())
    }
}

/// The product of two arrays of one shape, or of one with a number a channel of each image.
pub(super) struct MulLayer {
    channels: usize,
    /// How many pixels each input has.
    pixels: [usize; 2],
}

impl MulLayer {
    pub(super) fn new(spec: &LayerSpec<'_>) -> Self {
        let [first, second] = [0, 1].map(|input| channels(spec.inputs[input]));
        Self { channels: first.0, pixels: [first.1, second.1] }
    }

    /// The numbers of an input by which those of a pixel are multiplied.
    fn row<'x>(&self, x: &'x [f32], input: usize, pixel: usize) -> &'x [f32] {
        let most = self.pixels[0].max(self.pixels[1]);
        let row = if self.pixels[input] == most { pixel } else { pixel / most };
        &x[row * self.channels..][..self.channels]
    }

    fn gradient(&self, input: usize, back: &BackwardContext<'_>, dx: &mut [f32]) {
        let (dy, other) = (back.dy.numbers(), back.inputs[1 - input].numbers());
        let most = self.pixels[0].max(self.pixels[1]);
        let together = most / self.pixels[input];
        dx.par_chunks_mut(self.channels).enumerate().for_each(|(row, dx)| {
            dx.fill(0.0);
            for pixel in row * together..(row + 1) * together {
                let dy = &dy[pixel * self.channels..][..self.channels];
                let other = self.row(other, 1 - input, pixel);
                dx.iter_mut().zip(dy).zip(other).for_each(|((dx, dy), other)| *dx += dy * other);
            }
        });
    }
}

impl Layer for MulLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let [a, b] = [inputs[0].numbers(), inputs[1].numbers()];
        let mut y = run.pool.take(a.len().max(b.len()))?;
        y.numbers_mut()?.par_chunks_mut(self.channels).enumerate().for_each(|(pixel, y)| {
            let (a, b) = (self.row(a, 0, pixel), self.row(b, 1, pixel));
            y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = a * b);
        });
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads::INPUTS
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        for input in [0, 1] {
            if back.needs_gradient[input] {
                let mut dx = run.pool.take(back.inputs[input].len())?;
                self.gradient(input, back, dx.numbers_mut()?);
                back.accumulate(input, dx)?;
            }
        }
        Ok(())
    }
}

/// `weight·x + bias` per channel.
pub(super) struct ScaleLayer {
    channels: usize,
    weight: Option<usize>,
    bias: Option<usize>,
    trained: bool,
}

impl ScaleLayer {
    pub(super) fn new(op: &Scale, spec: &LayerSpec<'_>) -> Self {
        let mut param_ids = spec.param_ids.iter().copied();
        Self {
            channels: op.channels,
            weight: op.weight.then(|| param_ids.next()).flatten(),
            bias: op.bias.then(|| param_ids.next()).flatten(),
            trained: spec.trained.contains(&true),
        }
    }

    fn map(&self, weights: &Weights) -> ScaleShift {
        let numbers = |id: Option<usize>, default: f32| match id {
            Some(id) => weights.get(id).to_vec(),
            None => vec![default; self.channels],
        };
        ScaleShift { scale: numbers(self.weight, 1.0), shift: numbers(self.bias, 0.0) }
    }
}

impl Layer for ScaleLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let x = inputs[0].numbers();
        let mut y = run.pool.take(x.len())?;
        self.map(run.weights).apply(Operands::plain(x), y.numbers_mut()?);
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads { inputs: self.trained, output: false }
    }

    fn backward(&self, run: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        if self.trained {
            let [sums, products] = products(back.dy.numbers(), back.inputs[0].numbers(), &vec![0.0; self.channels]);
            for (id, gradient) in [(self.weight, products), (self.bias, sums)] {
                let Some(id) = id else { continue };
                back.gradients.put(run.pool, GradientOf { id, length: gradient.len() }, |out| {
                    out.iter_mut().zip(&gradient).for_each(|(out, &sum)| *out = sum as f32);
                })?;
            }
        }
        if back.needs_gradient[0] {
            let mut dx = run.pool.take(back.dy.numbers().len())?;
            let map = self.map(run.weights).without_shift();
            map.apply(Operands::plain(back.dy.numbers()), dx.numbers_mut()?);
            back.accumulate(0, dx)?;
        }
        Ok(())
    }
}

/// `(x - mean) / std` per channel, subtracting first as the exported file does.
pub(super) struct NormalizeLayer {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl NormalizeLayer {
    pub(super) fn new(op: &Normalize) -> Self {
        Self { mean: op.mean.clone(), std: op.std.clone() }
    }

    fn each(&self, numbers: &mut [f32], f: impl Fn(&mut f32, f32, f32) + Sync) {
        numbers.par_chunks_mut(self.mean.len()).for_each(|row| {
            row.iter_mut()
                .zip(self.mean.iter().zip(&self.std))
                .for_each(|(number, (&mean, &std))| f(number, mean, std));
        });
    }
}

impl Layer for NormalizeLayer {
    fn forward(&self, run: &PassContext<'_>, inputs: &[&Array]) -> Result<LayerOutput, ExecError> {
        let mut y = run.pool.copy(inputs[0].numbers())?;
        self.each(y.numbers_mut()?, |y, mean, std| *y = (*y - mean) / std);
        Ok(y.into())
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut BackwardContext<'_>) -> Result<(), ExecError> {
        self.each(back.dy.numbers_mut()?, |dy, _, std| *dy /= std);
        back.accumulate(0, back.dy.clone())?;
        Ok(())
    }
}
