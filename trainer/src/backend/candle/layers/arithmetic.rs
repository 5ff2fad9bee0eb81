//! Sums and products of tensors, and scales and shifts of channels.

use candle_core::{Result, Tensor};
use models::ops::{Normalize, Scale};

use super::super::layer::{Backward, Forward, Layer, PassContext};
use super::super::tensors::{channel_sums, upload};
use super::LayerSpec;

/// The sum of tensors of one shape.
pub(super) struct AddLayer;

impl Layer for AddLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let rest = inputs[1..].iter();
        Ok(rest.copied().try_fold(inputs[0].clone(), |sum, term| sum + term)?.into())
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        (0..back.inputs.len()).try_for_each(|input| back.accumulate(input, back.dy.clone()))
    }
}

/// The product of two tensors of one shape, or of one with a number a channel of each image.
pub(super) struct MulLayer;

impl Layer for MulLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let y = inputs[0].broadcast_mul(inputs[1])?;
        Ok(Forward::from(y).saving(inputs.iter().copied().cloned().collect()))
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        for input in [0, 1] {
            if back.needs_gradient[input] {
                let [own, other] = [&back.saved[input], &back.saved[1 - input]];
                let product = back.dy.broadcast_mul(other)?;
                let stretched: Vec<usize> =
                    (0..own.rank()).filter(|&axis| own.dims()[axis] != product.dims()[axis]).collect();
                let dx = if stretched.is_empty() { product } else { product.sum_keepdim(stretched)? };
                back.accumulate(input, dx)?;
            }
        }
        Ok(())
    }
}

/// `weight·x + bias` per channel.
pub(super) struct ScaleLayer {
    weight: Option<usize>,
    bias: Option<usize>,
}

impl ScaleLayer {
    pub(super) fn new(op: &Scale, spec: &LayerSpec<'_>) -> Self {
        let mut param_ids = spec.param_ids.iter().copied();
        Self {
            weight: op.weight.then(|| param_ids.next()).flatten(),
            bias: op.bias.then(|| param_ids.next()).flatten(),
        }
    }
}

impl Layer for ScaleLayer {
    fn forward(&self, pass: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let mut y = inputs[0].clone();
        if let Some(weight) = self.weight {
            y = y.broadcast_mul(pass.weight(weight))?;
        }
        if let Some(bias) = self.bias {
            y = y.broadcast_add(pass.weight(bias))?;
        }
        Ok(Forward::from(y).saving(vec![inputs[0].clone()]))
    }

    fn backward(&self, pass: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        if let Some(bias) = self.bias.filter(|&bias| back.gradients.wants(bias)) {
            back.gradients.put(bias, channel_sums(&back.dy)?)?;
        }
        let Some(weight) = self.weight else { return back.accumulate(0, back.dy.clone()) };
        if back.gradients.wants(weight) {
            back.gradients.put(weight, channel_sums(&(&back.dy * &back.saved[0])?)?)?;
        }
        let dx = back.dy.broadcast_mul(pass.weight(weight))?;
        back.accumulate(0, dx)
    }
}

/// `(x - mean) / std` per channel, subtracting first as the exported file does.
pub(super) struct NormalizeLayer {
    mean: Tensor,
    std: Tensor,
}

impl NormalizeLayer {
    pub(super) fn new(op: &Normalize, spec: &LayerSpec<'_>) -> Result<Self> {
        let [mean, std] = [&op.mean, &op.std].map(|numbers| upload(numbers, &[numbers.len()], spec.device));
        Ok(Self { mean: mean?, std: std? })
    }
}

impl Layer for NormalizeLayer {
    fn forward(&self, _: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        Ok(inputs[0].broadcast_sub(&self.mean)?.broadcast_div(&self.std)?.into())
    }

    fn backward(&self, _: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        let dx = back.dy.broadcast_div(&self.std)?;
        back.accumulate(0, dx)
    }
}
