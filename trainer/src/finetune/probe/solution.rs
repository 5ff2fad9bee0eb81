//! Coefficients, and their arithmetic.

use crate::backend::cpu::kernels::simd::arch;

/// Coefficients with what they make of the rows.
#[derive(Clone)]
pub(super) struct Solution {
    /// `[size, count]`, row-major.
    pub(super) coefficients: Vec<f32>,
    /// `[n, count]` without the biases: the design times the coefficients.
    pub(super) logits: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Solution {
    /// All zeros: so many coefficients of a class, and so many rows.
    pub(super) fn zero([size, rows]: [usize; 2], count: usize) -> Self {
        let zeros = |rows: usize| vec![0.0; rows * count];
        Self { coefficients: zeros(size), logits: zeros(rows), bias: vec![0.0; count] }
    }

    pub(super) fn add(&mut self, factor: f64, other: &Self) {
        let factor = factor as f32;
        let add = |sum: &mut [f32], terms: &[f32]| {
            sum.iter_mut().zip(terms).for_each(|(sum, term)| *sum += factor * term);
        };
        arch().dispatch(|| {
            add(&mut self.coefficients, &other.coefficients);
            add(&mut self.logits, &other.logits);
            add(&mut self.bias, &other.bias);
        });
    }

    pub(super) fn scale(&mut self, factor: f64) {
        let factor = factor as f32;
        for numbers in [&mut self.coefficients, &mut self.logits, &mut self.bias] {
            numbers.iter_mut().for_each(|number| *number *= factor);
        }
    }
}

/// The sum of the products.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    // Partial sums keep f32's rounding small and let the loop be vectorized.
    let partial = |(a, b): (&[f32], &[f32])| -> f64 {
        let mut sums = [0.0_f32; 16];
        let (a, b) = (a.as_chunks::<16>(), b.as_chunks::<16>());
        for (a, b) in a.0.iter().zip(b.0) {
            sums.iter_mut().zip(a).zip(b).for_each(|((sum, a), b)| *sum += a * b);
        }
        let rest: f32 = a.1.iter().zip(b.1).map(|(a, b)| a * b).sum();
        f64::from(sums.iter().sum::<f32>() + rest)
    };
    arch().dispatch(|| a.chunks(512).zip(b.chunks(512)).map(partial).sum())
}
