//! Batch normalization on rows of channels `[rows, channels]`, a row for each pixel of each image, with the sum and the ReLU
//! that follow it in a residual block.

use models::vectorized;
use rayon::prelude::*;

use super::element::Element;
use super::epilogue::Epilogue;

/// Numbers that one job reads: few enough for the cache, and a constant, so that sums do not depend on the number of
/// threads.
const BLOCK: usize = 32 << 10;

/// Mean and variance of each channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moments {
    pub(crate) mean: Vec<f64>,
    /// Divided by the number of rows, and not by one less.
    pub(crate) variance: Vec<f64>,
    /// How many rows were averaged.
    pub(crate) rows: usize,
}

impl Moments {
    /// Of all rows of `x`. Sums are of differences from the first row, so that a large mean costs no digits.
    pub(crate) fn of<T: Element>(x: &[T], channels: usize) -> Self {
        let rows = x.len() / channels;
        let shift: Vec<f32> = x[..channels].iter().map(|x| x.to_f32()).collect();
        let sums = reduce(x.par_chunks(block(channels)), channels, |x, [first, second]| {
            for row in x.chunks_exact(channels) {
                for (((x, shift), first), second) in row.iter().zip(&shift).zip(&mut *first).zip(&mut *second) {
                    let difference = x.to_f32() - shift;
                    *first += difference;
                    *second += difference * difference;
                }
            }
        });
        let [first, second] = sums.map(|sums| sums.into_iter().map(|sum| sum / rows as f64).collect::<Vec<_>>());
        let variance = second.iter().zip(&first).map(|(second, first)| (second - first * first).max(0.0));
        Self {
            rows,
            variance: variance.collect(),
            mean: first.iter().zip(&shift).map(|(x, &shift)| x + f64::from(shift)).collect(),
        }
    }
}

/// A map of each channel, `scale · x + shift`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScaleShift {
    pub(crate) scale: Vec<f32>,
    pub(crate) shift: Vec<f32>,
}

/// The operands of a [`ScaleShift`].
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a, T> {
    pub(crate) x: &'a [T],
    /// Added behind the map, where the epilogue adds.
    pub(crate) residual: Option<&'a [T]>,
    pub(crate) epilogue: Epilogue,
}

impl<'a, T> Operands<'a, T> {
    /// The map alone.
    pub(crate) fn plain(x: &'a [T]) -> Self {
        Self { x, residual: None, epilogue: Epilogue::Identity }
    }
}

impl ScaleShift {
    /// `γ·(x - μ)/√(σ² + eps) + β`.
    pub(crate) fn normalizing(moments: &Moments, eps: f32, gamma: &[f32], beta: &[f32]) -> Self {
        let scale: Vec<f64> = moments
            .variance
            .iter()
            .zip(gamma)
            .map(|(variance, &gamma)| f64::from(gamma) / (variance + f64::from(eps)).sqrt())
            .collect();
        let shifts = moments.mean.iter().zip(&scale).zip(beta);
        Self {
            shift: shifts.map(|((mean, scale), &beta)| (f64::from(beta) - mean * scale) as f32).collect(),
            scale: scale.iter().map(|&scale| scale as f32).collect(),
        }
    }

    /// Its linear part.
    pub(crate) fn without_shift(self) -> Self {
        Self { shift: vec![0.0; self.scale.len()], ..self }
    }

    /// `y = epilogue(scale · x + shift + residual)`.
    pub(crate) fn apply<T: Element>(&self, operands: Operands<'_, T>, y: &mut [T]) {
        let Operands { x, residual, epilogue } = operands;
        let channels = self.scale.len();
        let floor = if epilogue.has_relu() { 0.0 } else { f32::NEG_INFINITY };
        let block = block(channels);
        let jobs = y.par_chunks_mut(block).zip(x.par_chunks(block));
        match residual {
            None => jobs.for_each(|(y, x)| {
                vectorized!({
                    for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                        self.row(x, y, floor);
                    }
                });
            }),
            Some(other) => jobs.zip(other.par_chunks(block)).for_each(|((y, x), other)| {
                vectorized!({
                    let rows =
                        y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)).zip(other.chunks_exact(channels));
                    for ((y, x), other) in rows {
                        self.row_and_residual([x, other], y, floor);
                    }
                });
            }),
        }
    }

    /// One row without a residual. Inlined into the kernel: a closure is not, and its `mul_add` would call the C library.
    #[inline(always)]
    fn row<T: Element>(&self, x: &[T], y: &mut [T], floor: f32) {
        for (((y, x), scale), shift) in y.iter_mut().zip(x).zip(&self.scale).zip(&self.shift) {
            *y = T::from_f32(floored(x.to_f32().mul_add(*scale, *shift), floor));
        }
    }

    /// The same with a residual.
    #[inline(always)]
    fn row_and_residual<T: Element>(&self, [x, other]: [&[T]; 2], y: &mut [T], floor: f32) {
        for ((((y, x), other), scale), shift) in y.iter_mut().zip(x).zip(other).zip(&self.scale).zip(&self.shift) {
            *y = T::from_f32(floored(x.to_f32().mul_add(*scale, *shift) + other.to_f32(), floor));
        }
    }
}

/// Not `max`, which makes a number of what is not a number: a training that has failed must show it.
#[inline(always)]
fn floored(x: f32, floor: f32) -> f32 {
    if x < floor { floor } else { x }
}

/// What batch normalization divides by and multiplies with.
pub(crate) struct Normalization<'a> {
    pub(crate) moments: &'a Moments,
    pub(crate) eps: f32,
    pub(crate) gamma: &'a [f32],
}

/// The gradient of a batch normalization in training.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NormGradient {
    /// `Σ dy · x̂`, a number for each channel.
    pub(crate) gamma: Vec<f32>,
    /// `Σ dy`, a number for each channel.
    pub(crate) beta: Vec<f32>,
    /// The gradient of x is `dy · over_dy + x · over_x + constant`.
    over_dy: Vec<f32>,
    over_x: Vec<f32>,
    constant: Vec<f32>,
}

impl NormGradient {
    /// From the gradient `dy` of the output (after the ReLU's backward pass) and the input `x`, both `[rows, channels]`.
    pub(crate) fn of<T: Element>(dy: &[T], x: &[T], norm: &Normalization<'_>) -> Self {
        let Normalization { moments, eps, gamma } = *norm;
        let channels = gamma.len();
        let rows = moments.rows as f64;
        let mean: Vec<f32> = moments.mean.iter().map(|&mean| mean as f32).collect();
        let [sum, product] = products(dy, x, &mean);
        let mut gradient = Self {
            gamma: Vec::with_capacity(channels),
            beta: sum.iter().map(|&sum| sum as f32).collect(),
            over_dy: Vec::with_capacity(channels),
            over_x: Vec::with_capacity(channels),
            constant: Vec::with_capacity(channels),
        };
        for channel in 0..channels {
            let inverse = 1.0 / (moments.variance[channel] + f64::from(eps)).sqrt();
            // The rounded mean was subtracted.
            let product = product[channel] + (f64::from(mean[channel]) - moments.mean[channel]) * sum[channel];
            let over_dy = f64::from(gamma[channel]) * inverse;
            let over_x = -over_dy * inverse * inverse * product / rows;
            gradient.gamma.push((product * inverse) as f32);
            gradient.over_dy.push(over_dy as f32);
            gradient.over_x.push(over_x as f32);
            gradient.constant.push((-over_dy * sum[channel] / rows - over_x * moments.mean[channel]) as f32);
        }
        gradient
    }

    /// Turns the gradient of the output into that of the input, in place.
    pub(crate) fn apply<T: Element>(&self, dy: &mut [T], x: &[T]) {
        let channels = self.beta.len();
        let block = block(channels);
        dy.par_chunks_mut(block).zip(x.par_chunks(block)).for_each(|(dy, x)| {
            vectorized!({
                for (dy, x) in dy.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                    let factors = self.over_dy.iter().zip(&self.over_x).zip(&self.constant);
                    for ((dy, x), ((over_dy, over_x), constant)) in dy.iter_mut().zip(x).zip(factors) {
                        *dy = T::from_f32(dy.to_f32().mul_add(*over_dy, x.to_f32().mul_add(*over_x, *constant)));
                    }
                }
            });
        });
    }
}

/// Over all rows of each channel the sums of `dy` and of `dy · (x - center)`.
pub(crate) fn products<T: Element>(dy: &[T], x: &[T], center: &[f32]) -> [Vec<f64>; 2] {
    let channels = center.len();
    let block = block(channels);
    reduce(dy.par_chunks(block).zip(x.par_chunks(block)), channels, |(dy, x), [sum, product]| {
        for (dy, x) in dy.chunks_exact(channels).zip(x.chunks_exact(channels)) {
            for ((((dy, x), center), sum), product) in dy.iter().zip(x).zip(center).zip(&mut *sum).zip(&mut *product) {
                let dy = dy.to_f32();
                *sum += dy;
                *product += dy * (x.to_f32() - center);
            }
        }
    })
}

/// Sums over all rows of each channel, in `f32` within a block and in `f64` over them.
pub(crate) fn column_sums(x: &[f32], channels: usize) -> Vec<f64> {
    let [sums, _] = reduce(x.par_chunks(block(channels)), channels, |x, [sums, _]| {
        for row in x.chunks_exact(channels) {
            sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    });
    sums
}

/// Two sums a channel, over blocks that are summed at the same time.
fn reduce<B: Copy + Send>(
    blocks: impl IndexedParallelIterator<Item = B>,
    channels: usize,
    sum: impl Fn(B, [&mut [f32]; 2]) + Sync,
) -> [Vec<f64>; 2] {
    let partial: Vec<[Vec<f32>; 2]> = blocks
        .map(|block| {
            let mut sums = [vec![0.0; channels], vec![0.0; channels]];
            vectorized!({
                let [first, second] = &mut sums;
                sum(block, [first, second]);
            });
            sums
        })
        .collect();
    let mut total = [vec![0.0; channels], vec![0.0; channels]];
    for sums in &partial {
        for (total, sums) in total.iter_mut().zip(sums) {
            total.iter_mut().zip(sums).for_each(|(total, &sum)| *total += f64::from(sum));
        }
    }
    total
}

/// Whole rows.
fn block(channels: usize) -> usize {
    (BLOCK / channels.max(1)).max(1) * channels
}
