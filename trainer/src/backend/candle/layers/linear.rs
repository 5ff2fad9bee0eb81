//! The fully connected layer.

use candle_core::{Result, Tensor};

use super::super::layer::{Backward, Forward, Layer, PassContext};
use super::super::products::Products;
use super::super::tensors::channel_sums;
use super::LayerSpec;

/// `x · weightᵀ + bias`.
pub(super) struct LinearLayer {
    weight: usize,
    bias: Option<usize>,
    products: Products,
}

impl LinearLayer {
    pub(super) fn new(spec: &LayerSpec<'_>) -> Self {
        Self { weight: spec.param_ids[0], bias: spec.param_ids.get(1).copied(), products: spec.products }
    }
}

impl Layer for LinearLayer {
    fn forward(&self, pass: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let x = self.products.operand(inputs[0])?;
        let weight = self.products.operand(pass.weight(self.weight))?;
        let mut y = self.products.result(&x.matmul(&weight.t()?)?)?;
        if let Some(bias) = self.bias {
            y = y.broadcast_add(pass.weight(bias))?;
        }
        Ok(Forward::from(y).saving(vec![x]))
    }

    fn backward(&self, pass: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        if let Some(bias) = self.bias.filter(|&bias| back.gradients.wants(bias)) {
            back.gradients.put(bias, channel_sums(&back.dy)?)?;
        }
        let dy = self.products.operand(&back.dy)?;
        if back.gradients.wants(self.weight) {
            let dw = self.products.result(&dy.t()?.matmul(&back.saved[0])?)?;
            back.gradients.put(self.weight, dw)?;
        }
        if back.needs_gradient[0] {
            let dx = dy.matmul(&self.products.operand(pass.weight(self.weight))?)?;
            back.accumulate(0, self.products.result(&dx)?)?;
        }
        Ok(())
    }
}
