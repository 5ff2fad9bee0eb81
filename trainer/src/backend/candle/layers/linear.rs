//! The fully connected layer.

use candle_core::{Result, Tensor};

use super::super::layer::{Backward, Forward, Layer, PassContext};
use super::super::tensors::channel_sums;
use super::LayerSpec;

/// `x · weightᵀ + bias`.
pub(super) struct LinearLayer {
    weight: usize,
    bias: Option<usize>,
}

impl LinearLayer {
    pub(super) fn new(spec: &LayerSpec<'_>) -> Self {
        Self { weight: spec.param_ids[0], bias: spec.param_ids.get(1).copied() }
    }
}

impl Layer for LinearLayer {
    fn forward(&self, pass: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let mut y = inputs[0].matmul(&pass.weight(self.weight).t()?)?;
        if let Some(bias) = self.bias {
            y = y.broadcast_add(pass.weight(bias))?;
        }
        Ok(Forward::from(y).saving(vec![inputs[0].clone()]))
    }

    fn backward(&self, pass: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        if let Some(bias) = self.bias.filter(|&bias| back.gradients.wants(bias)) {
            back.gradients.put(bias, channel_sums(&back.dy)?)?;
        }
        if back.gradients.wants(self.weight) {
            back.gradients.put(self.weight, back.dy.t()?.matmul(&back.saved[0])?)?;
        }
        if back.needs_gradient[0] {
            let dx = back.dy.matmul(pass.weight(self.weight))?;
            back.accumulate(0, dx)?;
        }
        Ok(())
    }
}
