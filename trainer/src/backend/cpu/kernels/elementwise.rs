//! Elementwise kernels. Their loops are `for`: `for_each` is a function, which compilers inline into a kernel or not.
//! What a function has captured is copied before a loop, and is captured by `move`: the compiler has to assume that `y` overlaps
//! with what stands behind a reference, and reads it again for every number.

use models::vectorized;
use rayon::prelude::*;

use super::element::Element;

/// Numbers that one job changes.
const BLOCK: usize = 64 << 10;

/// `y = f(x)`.
pub(crate) fn map<T: Element>(x: &[T], y: &mut [T], f: impl Fn(f32) -> f32 + Copy + Sync) {
    y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(y, x)| {
        vectorized!({
            let copied = f;
            for (y, x) in y.iter_mut().zip(x) {
                *y = T::from_f32(copied(x.to_f32()));
            }
        });
    });
}

/// `y = x`, rounded.
pub(crate) fn convert<A: Element, B: Element>(x: &[A], y: &mut [B]) {
    y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(y, x)| {
        vectorized!({
            for (y, x) in y.iter_mut().zip(x) {
                *y = B::from_f32(x.to_f32());
            }
        });
    });
}

/// `y = f(y, x)`.
pub(crate) fn update<T: Element>(y: &mut [T], x: &[T], f: impl Fn(f32, f32) -> f32 + Copy + Sync) {
    y.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(y, x)| {
        vectorized!({
            let copied = f;
            for (y, x) in y.iter_mut().zip(x) {
                *y = T::from_f32(copied(y.to_f32(), x.to_f32()));
            }
        });
    });
}

/// `y = f(a, b)`.
pub(crate) fn combine<T: Element>(a: &[T], b: &[T], y: &mut [T], f: impl Fn(f32, f32) -> f32 + Copy + Sync) {
    y.par_chunks_mut(BLOCK).zip(a.par_chunks(BLOCK)).zip(b.par_chunks(BLOCK)).for_each(|((y, a), b)| {
        vectorized!({
            let copied = f;
            for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
                *y = T::from_f32(copied(a.to_f32(), b.to_f32()));
            }
        });
    });
}

/// Calls `f` for each chunk with its offset, so that random numbers depend on the position and not on the thread.
pub(crate) fn blocks(y: &mut [f32], f: impl Fn(usize, &mut [f32]) + Sync) {
    y.par_chunks_mut(BLOCK).enumerate().for_each(|(index, y)| f(index, y));
}

/// `max(y, 0)`; NaN stays NaN.
pub(crate) fn relu<T: Element>(y: &mut [T]) {
    y.par_chunks_mut(BLOCK).for_each(|y| {
        vectorized!({
            for y in y.iter_mut() {
                *y = if y.to_f32() < 0.0 { T::from_f32(0.0) } else { *y };
            }
        });
    });
}

/// The gradient through a ReLU whose output was `y`: zero where `y` is zero, as PyTorch's.
pub(crate) fn relu_backward<T: Element>(dy: &mut [T], y: &[T]) {
    update(dy, y, |dy, y| if y > 0.0 { dy } else { 0.0 });
}
