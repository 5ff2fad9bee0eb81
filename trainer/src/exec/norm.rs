//! Normalisation by the statistics of a batch, and by those of neighbouring channels.

use candle_core::{Result, Tensor};
use models::ops::{BatchNorm, LocalResponseNorm, Shape};
use rayon::prelude::*;

use super::arithmetic::{Affine, affine};
use super::{tensor, with_data};

/// By the running statistics: `γ·(x - μ)/√(σ² + eps) + β`, as one multiplication and one addition a number, the factors
/// computed in f64.
pub(super) fn forward_eval(op: &BatchNorm, x: &Tensor, params: &[Tensor]) -> Result<Tensor> {
    let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|index| with_data(&params[index], <[f32]>::to_vec));
    let (gamma, beta, mean, variance) = (gamma?, beta?, mean?, variance?);
    let channels = (0..op.channels).map(|c| {
        let scale = f64::from(gamma[c]) / (f64::from(variance[c]) + f64::from(op.eps)).sqrt();
        Affine { scale: scale as f32, shift: (f64::from(beta[c]) - f64::from(mean[c]) * scale) as f32 }
    });
    affine(x, &channels.collect::<Vec<_>>())
}

/// `x / (bias + alpha/size · Σ x²)^beta`, the sum over neighbouring channels.
pub(super) fn local_response(op: &LocalResponseNorm, x: &Tensor, shape: &Shape) -> Result<Tensor> {
    let (n, channels, height, width) = x.dims4()?;
    let pixels = height * width;
    let mut y = vec![0.0; n * shape.len()];
    with_data(x, |x| {
        y.par_chunks_mut(pixels).enumerate().for_each(|(index, out)| {
            let image = &x[index / channels * channels * pixels..][..channels * pixels];
            let channel = index % channels;
            for (pixel, out) in out.iter_mut().enumerate() {
                let neighbours = op.neighbours(channel, channels);
                let squares: f32 = neighbours.map(|other| image[other * pixels + pixel].powi(2)).sum();
                let divisor = (op.bias + op.alpha / op.size as f32 * squares).powf(op.beta);
                *out = image[channel * pixels + pixel] / divisor;
            }
        });
    })?;
    tensor(y, n, shape)
}
