//! Depthwise convolution.

use rayon::prelude::*;

use super::Filter;
use super::geometry::Axis;
use super::sweep::SumStart;
use crate::backend::cpu::kernels::simd::arch;

/// One direction of a depthwise convolution.
pub(super) struct Depthwise<'a> {
    pub(super) axes: &'a [Axis; 2],
    /// Height and width of the source.
    pub(super) source: [usize; 2],
    pub(super) channels: usize,
}

impl Depthwise<'_> {
    /// Sums of products of source pixels and weights `[tap, channel]`.
    pub(super) fn sweep(&self, source: &[f32], filter: Filter<'_>, destination: &mut [f32]) {
        let Filter { weight, start } = filter;
        let (rows, columns) = (self.axes[0].len(), self.axes[1].len());
        let image = self.source[0] * self.source[1] * self.channels;
        let bands = destination.par_chunks_mut(columns * self.channels).enumerate();
        bands.for_each(|(index, out)| {
            let (source, row) = (&source[index / rows * image..][..image], index % rows);
            arch().dispatch(|| {
                for (column, out) in out.chunks_exact_mut(self.channels).enumerate() {
                    match start {
                        SumStart::Zero => out.fill(0.0),
                        SumStart::Bias(bias) => out.copy_from_slice(bias),
                        SumStart::Existing => {}
                    }
                    self.meet([row, column], |tap, pixel| {
                        let x = &source[pixel * self.channels..][..self.channels];
                        let weight = &weight[tap * self.channels..][..self.channels];
                        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                            *out = x.mul_add(*weight, *out);
                        }
                    });
                }
            });
        });
    }

    /// The gradient of the weights, from the source and the destination's gradient.
    pub(super) fn outer(&self, source: &[f32], dy: &[f32], dw: &mut [f32]) {
        let (rows, columns) = (self.axes[0].len(), self.axes[1].len());
        let image = self.source[0] * self.source[1] * self.channels;
        let sums = source.par_chunks(image).zip(dy.par_chunks(rows * columns * self.channels)).map(|(source, dy)| {
            let mut sums = vec![0.0; dw.len()];
            arch().dispatch(|| {
                for (at, dy) in dy.chunks_exact(self.channels).enumerate() {
                    self.meet([at / columns, at % columns], |tap, pixel| {
                        let x = &source[pixel * self.channels..][..self.channels];
                        let sums = &mut sums[tap * self.channels..][..self.channels];
                        for ((sum, x), dy) in sums.iter_mut().zip(x).zip(dy) {
                            *sum = x.mul_add(*dy, *sum);
                        }
                    });
                }
            });
            sums
        });
        let sums: Vec<Vec<f32>> = sums.collect();
        dw.fill(0.0);
        sums.iter().for_each(|sums| dw.iter_mut().zip(sums).for_each(|(dw, sum)| *dw += sum));
    }

    /// Calls for each tap that meets a source pixel, with both.
    #[inline(always)]
    fn meet(&self, [row, column]: [usize; 2], mut each: impl FnMut(usize, usize)) {
        let [down, across] = self.axes;
        for tap_row in 0..down.taps {
            let Some(y) = down.source(row, tap_row) else { continue };
            for tap_column in 0..across.taps {
                if let Some(x) = across.source(column, tap_column) {
                    each(tap_row * across.taps + tap_column, y * self.source[1] + x);
                }
            }
        }
    }
}
