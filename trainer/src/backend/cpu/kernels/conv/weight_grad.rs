//! Products of input and output gradient, summed over the pixels where they meet: the gradient of the weights.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::geometry::{Axis, Channels};
use crate::backend::cpu::kernels::simd::arch;

/// Numbers of input and output that stay in the cache while a job goes through all weights.
const CACHE: usize = 128 << 10;
/// Weights, up to which the sum is computed in parts at the same time.
const SMALL: usize = 64 << 10;
/// Partial sums of a small gradient: at most so many, each over its share of the images.
const PARTS: usize = 8;
/// Input channels of a job.
const ROWS: usize = 64;

/// Which pixels meet, made once for a size of images.
pub(super) struct WeightGradPairs {
    /// For each tap the pairs of input and output pixel of one image, by output pixel.
    taps: Vec<Vec<[u32; 2]>>,
    input: usize,
    output: usize,
}

impl WeightGradPairs {
    pub(super) fn new([rows, columns]: &[Axis; 2], [height, width]: [usize; 2]) -> Self {
        let mut taps = vec![Vec::new(); rows.taps * columns.taps];
        for row in 0..rows.len() {
            for column in 0..columns.len() {
                for (tap, pairs) in taps.iter_mut().enumerate() {
                    let source = (rows.source(row, tap / columns.taps), columns.source(column, tap % columns.taps));
                    if let (Some(y), Some(x)) = source {
                        pairs.push([y * width + x, row * columns.len() + column].map(|pixel| pixel as u32));
                    }
                }
            }
        }
        Self { taps, input: height * width, output: rows.len() * columns.len() }
    }

    /// The pairs of a tap whose output pixels are in this range.
    fn between(&self, tap: usize, pixels: &std::ops::Range<usize>) -> &[[u32; 2]] {
        let pairs = &self.taps[tap];
        let position = |pixel: usize| pairs.partition_point(|pair| (pair[1] as usize) < pixel);
        &pairs[position(pixels.start)..position(pixels.end)]
    }
}

/// One group of a convolution.
pub(super) struct WeightGrad<'a> {
    pub(super) pairs: &'a WeightGradPairs,
    pub(super) input: Channels,
    pub(super) output: Channels,
}

impl WeightGrad<'_> {
    /// Writes `[tap, input.count, output.stride]`, of which only this group's columns, from the images `x` and the output's
    /// gradient `dy`.
    pub(super) fn run(&self, x: &[f32], dy: &[f32], weights: &mut [f32]) {
        let images = dy.len() / (self.pairs.output * self.output.stride);
        let taps = self.pairs.taps.len();
        let parts = if taps * self.input.count * self.output.count <= SMALL { PARTS.min(images) } else { 1 };
        let blocks = self.input.count.div_ceil(ROWS);
        let jobs = (0..parts * blocks).into_par_iter().map(|job| {
            let (part, block) = (job / blocks, job % blocks);
            let rows = block * ROWS..((block + 1) * ROWS).min(self.input.count);
            let mut sums = vec![0.0; taps * rows.len() * self.output.count];
            let images = part * images / parts..(part + 1) * images / parts;
            arch().dispatch(Job { weight_grad: self, x, dy, images, rows, sums: &mut sums });
            sums
        });
        let sums: Vec<Vec<f32>> = jobs.collect();
        for (job, sums) in sums.into_iter().enumerate() {
            let (part, block) = (job / blocks, job % blocks);
            let rows = (self.input.count - block * ROWS).min(ROWS);
            for (index, sums) in sums.chunks_exact(self.output.count).enumerate() {
                let row = index / rows * self.input.count + block * ROWS + index % rows;
                let out = &mut weights[row * self.output.stride + self.output.first..][..self.output.count];
                if part == 0 {
                    out.copy_from_slice(sums);
                } else {
                    out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
                }
            }
        }
    }
}

/// Some input channels, over some images.
struct Job<'a> {
    weight_grad: &'a WeightGrad<'a>,
    x: &'a [f32],
    dy: &'a [f32],
    images: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
    /// `[tap, row, output.count]`
    sums: &'a mut [f32],
}

impl WithSimd for Job<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let WeightGrad { pairs, output, .. } = self.weight_grad;
        // Several small images, or a part of a large one.
        let near = (CACHE / (self.rows.len() + output.count)).max(1);
        let together = (near / pairs.output.max(1)).max(1);
        let lanes = S::F32_LANES;
        for first in self.images.clone().step_by(together) {
            let images = first..(first + together).min(self.images.end);
            for start in (0..pairs.output).step_by(near) {
                let pixels = start..(start + near).min(pairs.output);
                for tap in 0..pairs.taps.len() {
                    let pairs = pairs.between(tap, &pixels);
                    let sums = &mut self.sums[tap * self.rows.len() * output.count..][..self.rows.len() * output.count];
                    let mut block = Block {
                        weight_grad: self.weight_grad,
                        x: self.x,
                        dy: self.dy,
                        images: images.clone(),
                        first: self.rows.start,
                        pairs,
                        sums,
                    };
                    let mut row = 0;
                    while row < self.rows.len() {
                        let left = self.rows.len() - row;
                        let height = if left >= 8 && S::REGISTER_COUNT >= 32 {
                            8
                        } else if left >= 4 {
                            4
                        } else {
                            1
                        };
                        for column in (0..output.count).step_by(2 * lanes) {
                            let two = output.count - column > lanes;
                            match (height, two) {
                                (8, true) => block.add::<S, 8, 2>(simd, row, column),
                                (8, false) => block.add::<S, 8, 1>(simd, row, column),
                                (4, true) => block.add::<S, 4, 2>(simd, row, column),
                                (4, false) => block.add::<S, 4, 1>(simd, row, column),
                                (_, true) => block.add::<S, 1, 2>(simd, row, column),
                                (_, false) => block.add::<S, 1, 1>(simd, row, column),
                            }
                        }
                        row += height;
                    }
                }
            }
        }
    }
}

/// One tap over some pixels of some images.
struct Block<'a> {
    weight_grad: &'a WeightGrad<'a>,
    x: &'a [f32],
    dy: &'a [f32],
    images: std::ops::Range<usize>,
    /// The input channel of the first row of the sums.
    first: usize,
    pairs: &'a [[u32; 2]],
    sums: &'a mut [f32],
}

impl Block<'_> {
    /// Adds the products of `M` input channels and `V` registers of output channels, from this row and column of the sums on.
    #[inline(always)]
    fn add<S: Simd, const M: usize, const V: usize>(&mut self, simd: S, row: usize, column: usize) {
        let WeightGrad { pairs, input, output } = self.weight_grad;
        let lanes = S::F32_LANES;
        let width = (output.count - column).min(V * lanes);
        let mut sums = [[simd.splat_f32s(0.0); V]; M];
        for image in self.images.clone() {
            let x = &self.x[image * pairs.input * input.stride..][..pairs.input * input.stride];
            let dy = &self.dy[image * pairs.output * output.stride..][..pairs.output * output.stride];
            let (x, dy) = (&x[input.first + self.first + row..], &dy[output.first + column..]);
            for &[source, destination] in self.pairs {
                let Some(a) = x[source as usize * input.stride..].first_chunk::<M>() else { return };
                let b = &dy[destination as usize * output.stride..][..width];
                let b: [S::f32s; V] = if width == V * lanes {
                    let (b, _) = S::as_simd_f32s(b);
                    std::array::from_fn(|v| b[v])
                } else {
                    std::array::from_fn(|v| {
                        simd.partial_load_f32s(&b[(v * lanes).min(width)..((v + 1) * lanes).min(width)])
                    })
                };
                for m in 0..M {
                    let a = simd.splat_f32s(a[m]);
                    for v in 0..V {
                        sums[m][v] = simd.mul_add_f32s(a, b[v], sums[m][v]);
                    }
                }
            }
        }
        for (m, sums) in sums.into_iter().enumerate() {
            let out = &mut self.sums[(row + m) * output.count + column..][..width];
            for (out, sum) in out.chunks_mut(lanes).zip(sums) {
                let sum = simd.add_f32s(simd.partial_load_f32s(out), sum);
                simd.partial_store_f32s(out, sum);
            }
        }
    }
}
