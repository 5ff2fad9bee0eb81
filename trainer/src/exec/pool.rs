//! Pooling.

use std::ops::Range;

use candle_core::{Result, Tensor};
use models::ops::{AdaptiveAvgPool, AvgPool, MaxPool, Shape, Window};
use rayon::prelude::*;

use super::{tensor, with_data};

/// The largest number of each window; padding is never the largest.
pub(super) fn max(op: &MaxPool, x: &Tensor, shape: &Shape) -> Result<Tensor> {
    slide(op.0, x, shape, |numbers, _| numbers.fold(f32::NEG_INFINITY, f32::max))
}

/// The mean of each window, over its numbers or, if padding counts, over its area within the padded image.
pub(super) fn average(op: &AvgPool, x: &Tensor, shape: &Shape) -> Result<Tensor> {
    slide(op.window, x, shape, |numbers, area| {
        let (sum, count) = numbers.fold((0.0, 0_usize), |(sum, count), number| (sum + number, count + 1));
        sum / (if op.count_padding { area } else { count }) as f32
    })
}

/// The mean of each of a fixed number of windows.
pub(super) fn adaptive_average(op: AdaptiveAvgPool, x: &Tensor, shape: &Shape) -> Result<Tensor> {
    let (n, _, height, width) = x.dims4()?;
    let [rows, columns] = op.output;
    let mut y = vec![0.0; n * shape.len()];
    with_data(x, |x| {
        y.par_chunks_mut(rows * columns).zip(x.par_chunks(height * width)).for_each(|(out, map)| {
            for (index, out) in out.iter_mut().enumerate() {
                let lines = AdaptiveAvgPool::span(height, rows, index / columns);
                let within = AdaptiveAvgPool::span(width, columns, index % columns);
                let count = lines.len() * within.len();
                let sum: f32 = lines.flat_map(|y| &map[y * width..][within.clone()]).sum();
                *out = sum / count as f32;
            }
        });
    })?;
    tensor(y, n, shape)
}

/// `[n, c, h, w]` to `[n, c, 1, 1]`.
pub(super) fn global_average(x: &Tensor) -> Result<Tensor> {
    x.mean_keepdim((2, 3))
}

/// Applies a function of a window's numbers, and of its area with padding, to every window.
fn slide(
    window: Window,
    x: &Tensor,
    shape: &Shape,
    reduce: impl Fn(&mut dyn Iterator<Item = f32>, usize) -> f32 + Sync,
) -> Result<Tensor> {
    let (n, _, height, width) = x.dims4()?;
    let (rows, columns) = (shape.dims()[1], shape.dims()[2]);
    let mut y = vec![0.0; n * shape.len()];
    let (top, left) = (window.padding.top, window.padding.left);
    let padded = [height + top + window.padding.bottom, width + left + window.padding.right];
    with_data(x, |x| {
        y.par_chunks_mut(rows * columns).zip(x.par_chunks(height * width)).for_each(|(out, map)| {
            for (index, out) in out.iter_mut().enumerate() {
                let first = [index / columns * window.stride[0], index % columns * window.stride[1]];
                let last = [0, 1].map(|axis| (first[axis] + window.kernel[axis]).min(padded[axis]));
                let area = (last[0] - first[0]) * (last[1] - first[1]);
                let lines = inside(first[0]..last[0], top, height);
                let within = inside(first[1]..last[1], left, width);
                let mut numbers = lines.flat_map(|y| map[y * width..][within.clone()].iter().copied());
                *out = reduce(&mut numbers, area);
            }
        });
    })?;
    tensor(y, n, shape)
}

/// A range of the padded axis as the part of it that is within the image.
fn inside(range: Range<usize>, before: usize, size: usize) -> Range<usize> {
    range.start.saturating_sub(before).min(size)..range.end.saturating_sub(before).min(size)
}
