//! Sums and products, of tensors and with numbers for each channel.

use std::marker::PhantomData;

use models::ops::{Normalize, Scale};
use rayon::prelude::*;

use super::super::array::Array;
use super::super::layer::{Back, Layer, Made, Reads, Run};
use super::super::layout::channels;
use super::super::weights::Weights;
use super::Site;
use crate::backend::kernels::element::Element;
use crate::backend::kernels::elementwise::{combine, relu_backward, update};
use crate::backend::kernels::norm::{Affine, Then, products};

/// The sum of arrays of one shape, with the ReLU behind it.
pub(super) struct Sum<T> {
    then: Then,
    format: PhantomData<T>,
}

impl<T> Sum<T> {
    pub(super) fn new(then: Then) -> Self {
        Self { then, format: PhantomData }
    }
}

impl<T: Element> Layer for Sum<T> {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        let mut y = run.pool.take_as::<T>(inputs[0].len());
        let out = y.of_mut::<T>();
        let relu = self.then == Then::Relu && inputs.len() == 2;
        combine([inputs[0].of(), inputs[1].of()], out, |a, b| {
            let sum = a + b;
            if relu && sum < 0.0 { 0.0 } else { sum }
        });
        for input in &inputs[2..] {
            update(out, input.of(), |sum, x| sum + x);
        }
        if self.then == Then::Relu && inputs.len() > 2 {
            crate::backend::kernels::elementwise::relu(out);
        }
        y.into()
    }

    fn reads(&self) -> Reads {
        if self.then == Then::Relu { Reads::OUTPUT } else { Reads::NOTHING }
    }

    fn backward(&self, _: &Run<'_>, back: &mut Back<'_>) {
        if self.then == Then::Relu {
            relu_backward(back.dy.of_mut::<T>(), back.output.of());
        }
        for input in 0..back.wanted.len() {
            back.give(input, back.dy.clone());
        }
    }
}

/// The product of two arrays of one shape, or of one with a number a channel of each image.
pub(super) struct Product {
    channels: usize,
    /// How many pixels each input has.
    pixels: [usize; 2],
}

impl Product {
    pub(super) fn new(site: &Site<'_>) -> Self {
        let [first, second] = [0, 1].map(|input| channels(site.inputs[input]));
        Self { channels: first.0, pixels: [first.1, second.1] }
    }

    /// The numbers of an input by which those of a pixel are multiplied.
    fn row<'x>(&self, x: &'x [f32], input: usize, pixel: usize) -> &'x [f32] {
        let most = self.pixels[0].max(self.pixels[1]);
        let row = if self.pixels[input] == most { pixel } else { pixel / most };
        &x[row * self.channels..][..self.channels]
    }

    fn gradient(&self, input: usize, back: &Back<'_>, dx: &mut [f32]) {
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

impl Layer for Product {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        let [a, b] = [inputs[0].numbers(), inputs[1].numbers()];
        let mut y = run.pool.take(a.len().max(b.len()));
        y.numbers_mut().par_chunks_mut(self.channels).enumerate().for_each(|(pixel, y)| {
            let (a, b) = (self.row(a, 0, pixel), self.row(b, 1, pixel));
            y.iter_mut().zip(a).zip(b).for_each(|((y, a), b)| *y = a * b);
        });
        y.into()
    }

    fn reads(&self) -> Reads {
        Reads::INPUTS
    }

    fn backward(&self, run: &Run<'_>, back: &mut Back<'_>) {
        for input in [0, 1] {
            if back.wanted[input] {
                let mut dx = run.pool.take(back.inputs[input].len());
                self.gradient(input, back, dx.numbers_mut());
                back.give(input, dx);
            }
        }
    }
}

/// `weight·x + bias` per channel.
pub(super) struct Scaled {
    channels: usize,
    weight: Option<usize>,
    bias: Option<usize>,
    trained: bool,
}

impl Scaled {
    pub(super) fn new(op: &Scale, site: &Site<'_>) -> Self {
        let mut places = site.places.iter().copied();
        Self {
            channels: op.channels,
            weight: op.weight.then(|| places.next()).flatten(),
            bias: op.bias.then(|| places.next()).flatten(),
            trained: site.trained.contains(&true),
        }
    }

    fn map(&self, weights: &Weights) -> Affine {
        let numbers = |place: Option<usize>, default: f32| match place {
            Some(place) => weights.get(place).to_vec(),
            None => vec![default; self.channels],
        };
        Affine { scale: numbers(self.weight, 1.0), shift: numbers(self.bias, 0.0) }
    }
}

impl Layer for Scaled {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        let x = inputs[0].numbers();
        let mut y = run.pool.take(x.len());
        self.map(run.weights).apply(x, None, Then::Nothing, y.numbers_mut());
        y.into()
    }

    fn reads(&self) -> Reads {
        Reads { inputs: self.trained, output: false }
    }

    fn backward(&self, run: &Run<'_>, back: &mut Back<'_>) {
        if self.trained {
            let [sums, products] = products([back.dy.numbers(), back.inputs[0].numbers()], &vec![0.0; self.channels]);
            for (place, found) in [(self.weight, products), (self.bias, sums)] {
                let Some(place) = place else { continue };
                back.gradients.put(run.pool, place, found.len(), |out| {
                    out.iter_mut().zip(&found).for_each(|(out, &sum)| *out = sum as f32);
                });
            }
        }
        if back.wanted[0] {
            let mut dx = run.pool.take(back.dy.numbers().len());
            let map = self.map(run.weights).without_shift();
            map.apply(back.dy.numbers(), None, Then::Nothing, dx.numbers_mut());
            back.give(0, dx);
        }
    }
}

/// `(x - mean) / std` per channel, subtracting first as the exported file does.
pub(super) struct Normalized {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Normalized {
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

impl Layer for Normalized {
    fn forward(&self, run: &Run<'_>, inputs: &[&Array]) -> Made {
        let mut y = run.pool.copy(inputs[0].numbers());
        self.each(y.numbers_mut(), |y, mean, std| *y = (*y - mean) / std);
        y.into()
    }

    fn reads(&self) -> Reads {
        Reads::NOTHING
    }

    fn backward(&self, _: &Run<'_>, back: &mut Back<'_>) {
        self.each(back.dy.numbers_mut(), |dy, _, std| *dy /= std);
        back.give(0, back.dy.clone());
    }
}
