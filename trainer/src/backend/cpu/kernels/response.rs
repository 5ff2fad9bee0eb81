//! Local response normalization on rows of channels, and its gradient.

use models::ops::LocalResponseNorm;
use rayon::prelude::*;

/// Rows in a job.
const ROWS: usize = 64;

/// A normalization of rows of this length.
pub(crate) struct ResponseNorm<'a> {
    pub(crate) op: &'a LocalResponseNorm,
    pub(crate) channels: usize,
}

impl ResponseNorm<'_> {
    /// `y = x / (bias + alpha/size · Σ x²)^beta` in each row.
    pub(crate) fn forward(&self, x: &[f32], y: &mut [f32]) {
        let Self { op, channels } = *self;
        y.par_chunks_mut(ROWS * channels).zip(x.par_chunks(ROWS * channels)).for_each(|(y, x)| {
            for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                for (channel, y) in y.iter_mut().enumerate() {
                    *y = x[channel] / divisor(op, x, channel).powf(op.beta);
                }
            }
        });
    }

    /// Of `y_j = x_j · d_j^-β` with `d_j = bias + alpha/size · Σ x²`:
    /// `dx_i = dy_i · d_i^-β - 2·alpha·β/size · x_i · Σ dy_j · x_j · d_j^(-β-1)`, the sum over the `j` that have `i` for a
    /// neighbour.
    pub(crate) fn backward(&self, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        let Self { op, channels } = *self;
        let factor = -2.0 * op.alpha * op.beta / op.size as f32;
        let jobs =
            dx.par_chunks_mut(ROWS * channels).zip(x.par_chunks(ROWS * channels)).zip(dy.par_chunks(ROWS * channels));
        jobs.for_each(|((dx, x), dy)| {
            let rows = dx.chunks_exact_mut(channels).zip(x.chunks_exact(channels)).zip(dy.chunks_exact(channels));
            let mut sums = vec![0.0; channels];
            for ((dx, x), dy) in rows {
                sums.fill(0.0);
                for channel in 0..channels {
                    let divisor = divisor(op, x, channel);
                    let scale = divisor.powf(-op.beta);
                    dx[channel] = dy[channel] * scale;
                    let share = dy[channel] * x[channel] * scale / divisor;
                    sums[op.neighbors(channel, channels)].iter_mut().for_each(|sum| *sum += share);
                }
                dx.iter_mut().zip(x).zip(&sums).for_each(|((dx, x), sum)| *dx += factor * x * sum);
            }
        });
    }
}

fn divisor(op: &LocalResponseNorm, row: &[f32], channel: usize) -> f32 {
    let squares: f32 = row[op.neighbors(channel, row.len())].iter().map(|x| x * x).sum();
    op.bias + op.alpha / op.size as f32 * squares
}
