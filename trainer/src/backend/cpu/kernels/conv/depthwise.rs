//! Depthwise convolution: a product for each tap and channel, so that its speed is that of loading the operands. Sums stay
//! in registers for all taps, and a weight that is loaded serves several columns.

use std::collections::BTreeMap;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Filter;
use super::geometry::Axis;
use super::sweep::{SumStart, load, store};
use crate::backend::cpu::kernels::simd::arch;

/// One direction of a depthwise convolution.
pub(super) struct Depthwise<'a> {
    pub(super) axes: &'a [Axis; 2],
    /// Height and width of the source.
    pub(super) source: [usize; 2],
    pub(super) channels: usize,
}

/// Columns that a weight is loaded for.
const COLUMNS: usize = 4;
/// Registers of channels.
const REGISTERS: usize = 2;

impl Depthwise<'_> {
    /// Sums of products of source pixels and weights `[tap, channel]`.
    pub(super) fn sweep(&self, source: &[f32], filter: Filter<'_>, destination: &mut [f32]) {
        let [rows, columns] = self.axes.each_ref().map(Axis::len);
        let runs = Run::all(&self.axes[1]);
        destination.par_chunks_mut(columns * self.channels).enumerate().for_each(|(index, destination)| {
            let source = self.image(source, index / rows);
            arch().dispatch(SweepRow { layer: self, runs: &runs, row: index % rows, source, filter, destination });
        });
    }

    /// The gradient of the weights, from the source and the destination's gradient.
    pub(super) fn outer(&self, source: &[f32], dy: &[f32], dw: &mut [f32]) {
        let [rows, columns] = self.axes.each_ref().map(Axis::len);
        let runs = Run::all(&self.axes[1]);
        let images = dy.par_chunks(rows * columns * self.channels).enumerate();
        let sums = images.map(|(image, dy)| {
            let mut sums = vec![0.0; dw.len()];
            let source = self.image(source, image);
            arch().dispatch(OuterImage { layer: self, runs: &runs, source, dy, sums: &mut sums });
            sums
        });
        let sums: Vec<Vec<f32>> = sums.collect();
        dw.fill(0.0);
        sums.iter().for_each(|sums| dw.iter_mut().zip(sums).for_each(|(dw, sum)| *dw += sum));
    }

    fn image<'x>(&self, source: &'x [f32], image: usize) -> &'x [f32] {
        let size = self.source[0] * self.source[1] * self.channels;
        &source[image * size..][..size]
    }

    /// The rows of taps that meet the source for a row of the destination: each with the first tap, and the first pixel.
    #[inline(always)]
    fn tap_rows(&self, row: usize) -> impl Iterator<Item = (usize, usize)> {
        let [down, across] = self.axes;
        let width = self.source[1];
        (0..down.taps).filter_map(move |tap| Some((tap * across.taps, down.source(row, tap)? * width)))
    }
}

/// Columns of the destination that meet the same taps: all but the edges, for each residue of the stride.
struct Run {
    /// Taps along the row.
    taps: Vec<usize>,
    columns: Vec<usize>,
    /// The column of the source, `[tap, column]`.
    sources: Vec<usize>,
}

impl Run {
    fn all(across: &Axis) -> Vec<Self> {
        let mut columns = BTreeMap::<Vec<usize>, Vec<usize>>::new();
        for column in 0..across.len() {
            let taps = (0..across.taps).filter(|&tap| across.source(column, tap).is_some()).collect();
            columns.entry(taps).or_default().push(column);
        }
        let run = |(taps, columns): (Vec<usize>, Vec<usize>)| {
            let pairs = taps.iter().flat_map(|&tap| columns.iter().map(move |&column| (column, tap)));
            let sources = pairs.filter_map(|(column, tap)| across.source(column, tap)).collect();
            Self { taps, columns, sources }
        };
        columns.into_iter().map(run).collect()
    }

    /// The columns of the source that a tap of this run meets.
    #[inline(always)]
    fn sources(&self, tap: usize) -> &[usize] {
        &self.sources[tap * self.columns.len()..][..self.columns.len()]
    }
}

/// A row of the destination.
struct SweepRow<'a> {
    layer: &'a Depthwise<'a>,
    runs: &'a [Run],
    row: usize,
    source: &'a [f32],
    filter: Filter<'a>,
    destination: &'a mut [f32],
}

impl WithSimd for SweepRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let step = REGISTERS * S::F32_LANES;
        for run in self.runs {
            let whole = run.columns.len() / COLUMNS * COLUMNS;
            for first in (0..self.layer.channels).step_by(step) {
                let channels = first..(first + step).min(self.layer.channels);
                for at in (0..whole).step_by(COLUMNS) {
                    self.tile::<S, COLUMNS>(simd, &Tile { run, at, channels: channels.clone() });
                }
                for at in whole..run.columns.len() {
                    self.tile::<S, 1>(simd, &Tile { run, at, channels: channels.clone() });
                }
            }
        }
    }
}

/// Columns of a run from `at`, of some channels.
struct Tile<'a> {
    run: &'a Run,
    at: usize,
    channels: Range<usize>,
}

impl SweepRow<'_> {
    /// `M` columns.
    #[inline(always)]
    fn tile<S: Simd, const M: usize>(&mut self, simd: S, tile: &Tile<'_>) {
        let Tile { run, at, channels } = tile;
        let Depthwise { channels: stride, .. } = *self.layer;
        let count = channels.len();
        let outs: [usize; M] = std::array::from_fn(|m| run.columns[*at + m] * stride + channels.start);
        let mut sums = match self.filter.start {
            SumStart::Zero => [[simd.splat_f32s(0.0); REGISTERS]; M],
            SumStart::Bias(bias) => [load::<S, REGISTERS>(simd, &bias[channels.clone()]); M],
            SumStart::Existing => outs.map(|out| load::<S, REGISTERS>(simd, &self.destination[out..out + count])),
        };
        for (first_tap, first_pixel) in self.layer.tap_rows(self.row) {
            for (position, tap) in run.taps.iter().enumerate() {
                let weight = &self.filter.weight[(first_tap + tap) * stride + channels.start..][..count];
                let weight = load::<S, REGISTERS>(simd, weight);
                let columns = &run.sources(position)[*at..*at + M];
                for (sums, column) in sums.iter_mut().zip(columns) {
                    let x = &self.source[(first_pixel + column) * stride + channels.start..][..count];
                    let x = load::<S, REGISTERS>(simd, x);
                    for ((sum, x), weight) in sums.iter_mut().zip(x).zip(weight) {
                        *sum = simd.mul_add_f32s(x, weight, *sum);
                    }
                }
            }
        }
        for (out, sums) in outs.into_iter().zip(sums) {
            store::<S, REGISTERS>(simd, &mut self.destination[out..out + count], sums);
        }
    }
}

/// The gradient of the weights from one image.
struct OuterImage<'a> {
    layer: &'a Depthwise<'a>,
    runs: &'a [Run],
    source: &'a [f32],
    dy: &'a [f32],
    sums: &'a mut [f32],
}

impl WithSimd for OuterImage<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let step = REGISTERS * S::F32_LANES;
        for row in 0..self.layer.axes[0].len() {
            for (first_tap, first_pixel) in self.layer.tap_rows(row) {
                for run in self.runs {
                    // As many taps at once as the usual windows are wide, so that a gradient that is loaded serves all.
                    let taps = run.taps.len();
                    let width = if [3, 5].contains(&taps) { taps } else { 1 };
                    for first in (0..self.layer.channels).step_by(step) {
                        let channels = first..(first + step).min(self.layer.channels);
                        for tap in (0..taps).step_by(width) {
                            let channels = channels.clone();
                            let tap_row = TapRow { run, row, first_tap, first_pixel, tap, channels };
                            match width {
                                5 => self.row::<S, 5>(simd, &tap_row),
                                3 => self.row::<S, 3>(simd, &tap_row),
                                _ => self.row::<S, 1>(simd, &tap_row),
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Columns of one row of the destination, and the row of taps and of the source that they meet.
struct TapRow<'a> {
    run: &'a Run,
    row: usize,
    first_tap: usize,
    first_pixel: usize,
    /// The first of the taps, among those of the run.
    tap: usize,
    channels: Range<usize>,
}

impl OuterImage<'_> {
    /// `T` taps, over the columns of the run.
    #[inline(always)]
    fn row<S: Simd, const T: usize>(&mut self, simd: S, tap_row: &TapRow<'_>) {
        let TapRow { run, row, first_tap, first_pixel, tap, ref channels } = *tap_row;
        let Depthwise { channels: stride, axes, .. } = *self.layer;
        let count = channels.len();
        let sources: [&[usize]; T] = std::array::from_fn(|t| run.sources(tap + t));
        let mut sums = [[simd.splat_f32s(0.0); REGISTERS]; T];
        let first_out = row * axes[1].len();
        for (at, column) in run.columns.iter().enumerate() {
            let dy = &self.dy[(first_out + column) * stride + channels.start..][..count];
            let dy = load::<S, REGISTERS>(simd, dy);
            for (sums, sources) in sums.iter_mut().zip(sources) {
                let x = &self.source[(first_pixel + sources[at]) * stride + channels.start..][..count];
                let x = load::<S, REGISTERS>(simd, x);
                for ((sum, x), dy) in sums.iter_mut().zip(x).zip(dy) {
                    *sum = simd.mul_add_f32s(x, dy, *sum);
                }
            }
        }
        for (t, sums) in sums.into_iter().enumerate() {
            let total = &mut self.sums[(first_tap + run.taps[tap + t]) * stride + channels.start..][..count];
            let before = load::<S, REGISTERS>(simd, total);
            let mut after = sums;
            after.iter_mut().zip(before).for_each(|(sum, before)| *sum = simd.add_f32s(*sum, before));
            store::<S, REGISTERS>(simd, total, after);
        }
    }
}
