//! One number at a time.

use rayon::prelude::*;

use super::simd::arch;

/// Numbers that one job changes.
const BLOCK: usize = 64 << 10;

/// `y = f(x)`.
pub(crate) fn map(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
    y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(y, x)| {
        arch().dispatch(|| y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x)));
    });
}

/// `y = f(y, x)`.
pub(crate) fn update(y: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(y, x)| {
        arch().dispatch(|| y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(*y, x)));
    });
}

/// `y = f(a, b)`.
pub(crate) fn combine([a, b]: [&[f32]; 2], y: &mut [f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    y.par_chunks_mut(BLOCK).zip(a.par_chunks(BLOCK)).zip(b.par_chunks(BLOCK)).for_each(|((y, a), b)| {
        arch().dispatch(|| y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = f(a, b)));
    });
}

/// Where something begins with its place, so that what is drawn at random does not depend on who draws it.
pub(crate) fn blocks(y: &mut [f32], f: impl Fn(usize, &mut [f32]) + Sync) {
    y.par_chunks_mut(BLOCK).enumerate().for_each(|(index, y)| f(index, y));
}

/// `max(y, 0)`, and what is not a number stays.
pub(crate) fn relu(y: &mut [f32]) {
    y.par_chunks_mut(BLOCK).for_each(|y| {
        arch().dispatch(|| y.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y }));
    });
}

/// The gradient through a ReLU whose output was `y`: nothing where it is zero, as PyTorch's.
pub(crate) fn relu_backward(dy: &mut [f32], y: &[f32]) {
    update(dy, y, |dy, y| if y > 0.0 { dy } else { 0.0 });
}
