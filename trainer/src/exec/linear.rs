//! The fully connected layer, forward and backward.

use candle_core::{Result, Tensor};
use models::ops::Shape;

use super::{tensor, with_data};
use crate::kernels::matmul::{Into, Matrix, matmul};

/// `x · weightᵀ + bias`.
pub(super) fn forward(x: &Tensor, params: &[Tensor]) -> Result<Tensor> {
    let (n, features) = x.dims2()?;
    let outputs = params[0].dim(0)?;
    let mut y = match params.get(1) {
        Some(bias) => with_data(bias, |bias| bias.repeat(n))?,
        None => vec![0.0; n * outputs],
    };
    with_data(x, |x| {
        with_data(&params[0], |weight| {
            let weight = Matrix::new(weight, outputs, features).transposed();
            matmul(Matrix::new(x, n, features), weight, &mut y, Into::Accumulate);
        })
    })??;
    tensor(y, n, &Shape::vector(outputs))
}

/// The gradient of a loss with respect to a linear layer's parameters.
#[derive(Debug, Clone)]
pub struct LinearGradient {
    /// `[out, in]`, row-major.
    pub weight: Vec<f32>,
    /// `[out]`.
    pub bias: Vec<f32>,
}

impl LinearGradient {
    /// From the layer's input `[n, in]` and the gradient with respect to its output `[n, out]`, both row-major:
    /// `dW = dyᵀ · x`, `db = Σ dy`.
    #[must_use]
    pub fn backward(x: &[f32], dy: &[f32], n: usize) -> Self {
        let (features, outputs) = (x.len() / n, dy.len() / n);
        let mut weight = vec![0.0; outputs * features];
        let dy_matrix = Matrix::new(dy, n, outputs);
        matmul(dy_matrix.transposed(), Matrix::new(x, n, features), &mut weight, Into::Overwrite);
        let mut bias = vec![0.0; outputs];
        dy.chunks(outputs).for_each(|row| bias.iter_mut().zip(row).for_each(|(sum, number)| *sum += number));
        Self { weight, bias }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Σ r · (x · wᵀ + b)` in f64, whose gradient with respect to the output is `r`.
    fn loss(x: &[f64], w: &[f64], b: &[f64], r: &[f64]) -> f64 {
        let features = w.len() / b.len();
        let rows = x.chunks(features).zip(r.chunks(b.len()));
        rows.flat_map(|(x, r)| {
            w.chunks(features)
                .zip(b)
                .zip(r)
                .map(|((w, b), r)| r * (b + x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>()))
        })
        .sum()
    }

    #[test]
    fn the_gradient_is_the_numeric_one() {
        let numbers = |count: usize, step: f64| (0..count).map(|i| (i as f64 * step).sin()).collect::<Vec<f64>>();
        let (x, w, b, r) = (numbers(3 * 5, 1.1), numbers(2 * 5, 2.3), numbers(2, 0.7), numbers(3 * 2, 3.1));
        let single = |numbers: &[f64]| numbers.iter().map(|&number| number as f32).collect::<Vec<f32>>();
        let gradient = LinearGradient::backward(&single(&x), &single(&r), 3);
        // The loss is linear in each parameter, so a central difference is exact; what remains is f32.
        let h = 1e-3;
        let difference = |at: &mut [f64], index: usize, loss: &dyn Fn(&[f64]) -> f64| {
            at[index] += h;
            let above = loss(at);
            at[index] -= 2.0 * h;
            let below = loss(at);
            at[index] += h;
            (above - below) / (2.0 * h)
        };
        for (index, &found) in gradient.weight.iter().enumerate() {
            let numeric = difference(&mut w.clone(), index, &|w| loss(&x, w, &b, &r));
            assert!((f64::from(found) - numeric).abs() < 1e-5, "weight {index}: {found}, numeric {numeric}");
        }
        for (index, &found) in gradient.bias.iter().enumerate() {
            let numeric = difference(&mut b.clone(), index, &|b| loss(&x, &w, b, &r));
            assert!((f64::from(found) - numeric).abs() < 1e-5, "bias {index}: {found}, numeric {numeric}");
        }
    }
}
