//! The product of two vectors.

use pulp::{Simd, WithSimd};

use super::simd::arch;

/// Numbers whose products are summed in f32.
const BLOCK: usize = 512;

/// The sum of the products, in f32 within a block and in f64 over them, which keeps the rounding of f32 small.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    arch().dispatch(Dot { a, b })
}

struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl WithSimd for Dot<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let mut sum = 0.0;
        for (a, b) in self.a.chunks(BLOCK).zip(self.b.chunks(BLOCK)) {
            sum += f64::from(block(simd, a, b));
        }
        sum
    }
}

#[inline(always)]
fn block<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a, rest_a), (b, rest_b)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    // Four sums, since a sum waits for the one before it.
    let ((fours_a, ones_a), (fours_b, ones_b)) = (pulp::as_arrays::<4, _>(a), pulp::as_arrays::<4, _>(b));
    let mut sums = [simd.splat_f32s(0.0); 4];
    for (a, b) in fours_a.iter().zip(fours_b) {
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum = simd.mul_add_f32s(a[at], b[at], *sum);
        }
    }
    for (a, b) in ones_a.iter().zip(ones_b) {
        sums[0] = simd.mul_add_f32s(*a, *b, sums[0]);
    }
    let mut rest = 0.0;
    for (a, b) in rest_a.iter().zip(rest_b) {
        rest += a * b;
    }
    let [first, second, third, fourth] = sums;
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(first, second), simd.add_f32s(third, fourth))) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_counts_once_at_all_lengths() {
        for n in [0, 1, 31, 32, 33, 511, 512, 513, 1100] {
            let a: Vec<f32> = (0..n).map(|at| (at % 7) as f32).collect();
            let b: Vec<f32> = (0..n).map(|at| (at % 5) as f32 - 2.0).collect();
            // Whole numbers, so that every order of summation is exact.
            let expected: i64 = (0..n as i64).map(|at| (at % 7) * (at % 5 - 2)).sum();
            assert_eq!(dot(&a, &b), expected as f64, "{n}");
        }
    }
}
