//! Batch normalisation.

use candle_core::{Result, Tensor};
use models::ops::BatchNorm;

use super::arithmetic::{Affine, affine};
use super::with_data;

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
