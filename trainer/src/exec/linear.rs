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
