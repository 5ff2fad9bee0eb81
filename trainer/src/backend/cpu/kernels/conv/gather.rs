//! Convolutions of few channels, such as a network's first. Looking up where a pixel's three channels are costs more than
//! multiplying them, so the window of each output pixel is gathered into a row first (im2col, image by image).

use rayon::prelude::*;

use super::Filter;
use super::geometry::{Axis, Channels, Geometry};
use super::panels::Panels;
use super::plan::Plan;
use super::sweep::Sweep;
use super::weight_grad::{WeightGrad, WeightGradPairs};
use crate::backend::cpu::kernels::simd::lanes;

/// Images that are summed by themselves in the gradient of the weights.
const PARTS: usize = 8;

pub(super) struct Gathered {
    axes: [Axis; 2],
    runs: Vec<Vec<Run>>,
    /// Numbers in a line of the window, in a row of the image, and in the image.
    line: usize,
    row: usize,
    image: usize,
    /// A linear map of each output pixel's row.
    plan: Plan,
    pairs: WeightGradPairs,
    from: Channels,
    to: Channels,
}

impl Gathered {
    /// Fewer channels than this are gathered.
    const FEW: usize = 8;

    /// `None` where a convolution has channels enough, or nothing to gather.
    pub(super) fn new(geometry: &Geometry) -> Option<Self> {
        let Geometry { conv, input, output } = geometry;
        if conv.in_channels >= Self::FEW || conv.groups > 1 || geometry.taps() == 1 {
            return None;
        }
        let pixels = Geometry {
            conv: models::ops::Conv2d::new(geometry.taps() * conv.in_channels, conv.out_channels, 1),
            input: *output,
            output: *output,
        };
        let (axes, forward) = (pixels.forward(), geometry.forward());
        let all = |count: usize| Channels { first: 0, count, stride: count };
        Some(Self {
            plan: Plan::new(&axes, *output, 1),
            pairs: WeightGradPairs::new(&axes, *output),
            runs: runs(&forward[1], conv.in_channels),
            axes: forward,
            line: conv.kernel[1] * conv.in_channels,
            row: input[1] * conv.in_channels,
            image: input[0] * input[1] * conv.in_channels,
            from: all(pixels.conv.in_channels),
            to: all(conv.out_channels),
        })
    }

    pub(super) fn forward(&self, x: &[f32], filter: Filter<'_>, y: &mut [f32]) {
        let Filter { weight, start } = filter;
        let panels = Panels::of_rows(weight, [1, self.from.count], self.to, lanes());
        let sweep = Sweep { plan: &self.plan, panels: &panels, from: self.from, to: self.to, start };
        let images = y.par_chunks_mut(self.pixels() * self.to.count).zip(x.par_chunks(self.image));
        images.for_each_init(Vec::new, |rows, (y, x)| sweep.run(self.gather(x, rows), y));
    }

    pub(super) fn backward_weight(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let images = x.len() / self.image;
        let parts = images.min(PARTS);
        let weight_grad = WeightGrad { pairs: &self.pairs, input: self.from, output: self.to };
        let part = |part: usize| {
            let (mut rows, mut sum, mut one) = (Vec::new(), vec![0.0; dw.len()], vec![0.0; dw.len()]);
            for image in part * images / parts..(part + 1) * images / parts {
                let dy = &dy[image * self.pixels() * self.to.count..][..self.pixels() * self.to.count];
                weight_grad.run(self.gather(&x[image * self.image..][..self.image], &mut rows), dy, &mut one);
                sum.iter_mut().zip(&one).for_each(|(sum, one)| *sum += one);
            }
            sum
        };
        let sums: Vec<Vec<f32>> = (0..parts).into_par_iter().map(part).collect();
        dw.fill(0.0);
        sums.iter().for_each(|sums| dw.iter_mut().zip(sums).for_each(|(dw, sum)| *dw += sum));
    }

    /// Output pixels.
    fn pixels(&self) -> usize {
        self.axes[0].len() * self.axes[1].len()
    }

    /// What each output pixel meets: `[pixel, tap, channel]`.
    fn gather<'r>(&self, x: &[f32], rows: &'r mut Vec<f32>) -> &'r [f32] {
        let [down, _] = &self.axes;
        rows.clear();
        rows.resize(self.pixels() * self.from.count, 0.0);
        let mut lines = rows.chunks_exact_mut(self.line);
        for row in 0..down.len() {
            for runs in &self.runs {
                for (tap, out) in (0..down.taps).zip(&mut lines) {
                    let Some(y) = down.source(row, tap) else { continue };
                    for &Run { to, from, length } in runs {
                        out[to..to + length].copy_from_slice(&x[y * self.row + from..][..length]);
                    }
                }
            }
        }
        rows
    }
}

/// Numbers that lie together in a row of the image and in a line of the window.
struct Run {
    to: usize,
    from: usize,
    length: usize,
}

/// For each output column what a line of its window meets.
fn runs(axis: &Axis, channels: usize) -> Vec<Vec<Run>> {
    let runs = |column: usize| {
        let mut runs: Vec<Run> = Vec::new();
        for tap in 0..axis.taps {
            let Some(x) = axis.source(column, tap) else { continue };
            let (to, from) = (tap * channels, x * channels);
            match runs.last_mut() {
                Some(last) if (last.to + last.length, last.from + last.length) == (to, from) => last.length += channels,
                _ => runs.push(Run { to, from, length: channels }),
            }
        }
        runs
    };
    (0..axis.len()).map(runs).collect()
}
