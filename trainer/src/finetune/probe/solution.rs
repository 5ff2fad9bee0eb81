//! Coefficients, and their arithmetic.

use models::vectorized;

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
        vectorized!({
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
