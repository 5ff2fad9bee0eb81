//! Normalization by the statistics of a batch, by neighbouring channels, and by the length of a vector.

use candle_core::{D, Result, Tensor};
use models::ops::{BatchNorm, LocalResponseNorm};

use super::super::layer::{Backward, Forward, Layer, PassContext};
use super::super::tensors::{channel_sums, keep_where, rows, upload};
use super::LayerSpec;
use crate::backend::mode::Mode;

pub(super) struct BatchNormLayer {
    op: BatchNorm,
    /// γ, β, running mean and variance.
    param_ids: [usize; 4],
    /// A frozen one uses its running statistics in training too.
    trained: bool,
}

/// Mean and variance of each channel of a batch.
struct Moments<'a> {
    mean: &'a Tensor,
    variance: &'a Tensor,
    /// How many numbers of each channel they are of.
    count: usize,
}

impl BatchNormLayer {
    pub(super) fn new(op: &BatchNorm, spec: &LayerSpec<'_>) -> Self {
        Self {
            op: op.clone(),
            param_ids: std::array::from_fn(|index| spec.param_ids[index]),
            trained: spec.trained[..2].contains(&true),
        }
    }

    fn params<'w>(&self, pass: &'w PassContext<'_>) -> [&'w Tensor; 4] {
        self.param_ids.map(|id| pass.weight(id))
    }

    /// One over the standard deviation.
    fn inverse(&self, variance: &Tensor) -> Result<Tensor> {
        (variance + f64::from(self.op.eps))?.sqrt()?.recip()
    }

    /// The running statistics with a share of the batch's. As PyTorch: the running variance is of a sample, whatever the
    /// batch was divided by.
    fn statistics(&self, pass: &PassContext<'_>, batch: &Moments<'_>) -> Result<Vec<(usize, Tensor)>> {
        let count = batch.count as f64;
        let share = f64::from(self.op.momentum);
        let unbiased = count / (count - 1.0).max(1.0);
        let ids = [self.param_ids[2], self.param_ids[3]];
        let blended = ids
            .into_iter()
            .zip([batch.mean, batch.variance])
            .zip([1.0, unbiased])
            .map(|((id, new), factor)| Ok((id, ((pass.weight(id) * (1.0 - share))? + (new * (share * factor))?)?)));
        blended.collect()
    }
}

impl Layer for BatchNormLayer {
    fn forward(&self, pass: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let x = inputs[0];
        let [gamma, beta, running_mean, running_variance] = self.params(pass);
        if !(self.trained && matches!(pass.mode, Mode::Training { .. })) {
            let scale = (gamma * self.inverse(running_variance)?)?;
            let y = x.broadcast_sub(running_mean)?.broadcast_mul(&scale)?.broadcast_add(beta)?;
            return Ok(y.into());
        }
        let count = x.elem_count() / self.op.channels;
        let mean = (channel_sums(x)? / count as f64)?;
        let centered = x.broadcast_sub(&mean)?;
        let variance = (channel_sums(&centered.sqr()?)? / count as f64)?;
        let inverse = self.inverse(&variance)?;
        let normalized = centered.broadcast_mul(&inverse)?;
        let output = normalized.broadcast_mul(gamma)?.broadcast_add(beta)?;
        let statistics = self.statistics(pass, &Moments { mean: &mean, variance: &variance, count })?;
        Ok(Forward { output, saved: vec![normalized, inverse], statistics })
    }

    /// With the normalized `x̂`: `dx = γ/σ · (dy - mean(dy) - x̂ · mean(dy · x̂))`.
    fn backward(&self, pass: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let [gamma, _, _, running_variance] = self.params(pass);
        let [normalized, inverse] = &back.saved[..] else {
            let dx = back.dy.broadcast_mul(&(gamma * self.inverse(running_variance)?)?)?;
            return back.accumulate(0, dx);
        };
        let sum = channel_sums(&back.dy)?;
        let product = channel_sums(&(&back.dy * normalized)?)?;
        if back.needs_gradient[0] {
            let count = (normalized.elem_count() / self.op.channels) as f64;
            let along = normalized.broadcast_mul(&(&product / count)?)?;
            let rest = (back.dy.broadcast_sub(&(&sum / count)?)? - along)?;
            let dx = rest.broadcast_mul(&(gamma * inverse)?)?;
            back.accumulate(0, dx)?;
        }
        back.gradients.put(self.param_ids[0], product)?;
        back.gradients.put(self.param_ids[1], sum)
    }
}

pub(super) struct LocalResponseNormLayer {
    op: LocalResponseNorm,
    /// `[channels, channels]`: one where the channel of the row is summed for that of the column.
    neighbors: Tensor,
}

impl LocalResponseNormLayer {
    pub(super) fn new(op: LocalResponseNorm, spec: &LayerSpec<'_>) -> Result<Self> {
        let channels = spec.output.dims()[0];
        let mut neighbors = vec![0.0; channels * channels];
        for column in 0..channels {
            op.neighbors(column, channels).for_each(|row| neighbors[row * channels + column] = 1.0);
        }
        Ok(Self { op, neighbors: upload(&neighbors, &[channels, channels], spec.device)? })
    }

    /// `bias + alpha/size · Σ x²`, in rows.
    fn divisor(&self, x: &Tensor) -> Result<Tensor> {
        let LocalResponseNorm { size, alpha, bias, .. } = self.op;
        let squares = x.sqr()?.matmul(&self.neighbors)?;
        squares.affine(f64::from(alpha) / size as f64, f64::from(bias))
    }
}

impl Layer for LocalResponseNormLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let x = rows(inputs[0])?;
        let y = (&x * self.divisor(&x)?.powf(-f64::from(self.op.beta))?)?;
        Ok(Forward::from(y.reshape(inputs[0].dims())?).saving(vec![x]))
    }

    /// Of `y_j = x_j · d_j^-β` with `d_j = bias + alpha/size · Σ x²`: `dx_i = dy_i · d_i^-β - 2·alpha·β/size · x_i · Σ dy_j ·
    /// x_j · d_j^(-β-1)`, the sum over the `j` that have `i` for a neighbour.
    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let LocalResponseNorm { size, alpha, beta, .. } = self.op;
        let (x, dy) = (&back.saved[0], rows(&back.dy)?);
        let divisor = self.divisor(x)?;
        let straight = (dy * divisor.powf(-f64::from(beta))?)?;
        let shares = ((&straight * x)? / divisor)?.matmul(&self.neighbors.t()?)?;
        let factor = -2.0 * f64::from(alpha) * f64::from(beta) / size as f64;
        let dx = (straight + ((x * shares)? * factor)?)?.reshape(back.dy.dims())?;
        back.accumulate(0, dx)
    }
}

/// The length of each vector, and one over it, which is zero for one without any.
fn length_and_scale(x: &Tensor) -> Result<[Tensor; 2]> {
    let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    let scale = keep_where(&length.gt(0f32)?, &length.recip()?)?;
    Ok([length, scale])
}

pub(super) struct L2LengthLayer;

impl Layer for L2LengthLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let [length, scale] = length_and_scale(inputs[0])?;
        Ok(Forward::from(length).saving(vec![inputs[0].clone(), scale]))
    }

    /// A length grows along the vector; that of zeros, which has no derivative, is taken to stay.
    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let dx = back.saved[0].broadcast_mul(&(&back.dy * &back.saved[1])?)?;
        back.accumulate(0, dx)
    }
}

pub(super) struct L2NormLayer;

impl Layer for L2NormLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let [_, scale] = length_and_scale(inputs[0])?;
        let y = inputs[0].broadcast_mul(&scale)?;
        Ok(Forward::from(y.clone()).saving(vec![y, scale]))
    }

    /// What is along the vector changes its length alone, and so nothing behind it.
    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let [y, scale] = [&back.saved[0], &back.saved[1]];
        let along = y.broadcast_mul(&(&back.dy * y)?.sum_keepdim(D::Minus1)?)?;
        let dx = (&back.dy - along)?.broadcast_mul(scale)?;
        back.accumulate(0, dx)
    }
}
