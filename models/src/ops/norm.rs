//! Batch normalisation.

use serde::{Deserialize, Serialize};

use super::{Operator, ParamDecl, Shape, ShapeError, only};

/// `weight · (x - mean) / sqrt(var + eps) + bias` per channel, as `torch.nn.BatchNorm2d`. Outside training mean and
/// variance are the running statistics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    /// Channels of input and output.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
    /// The share of the batch's statistics in the running ones, PyTorch's convention (ONNX stores one minus this).
    pub momentum: f32,
}

impl BatchNorm {
    /// PyTorch's defaults: eps 1e-5, momentum 0.1.
    #[must_use]
    pub fn new(channels: usize) -> Self {
        Self { channels, eps: 1e-5, momentum: 0.1 }
    }
}

impl Operator for BatchNorm {
    fn kind(&self) -> &'static str {
        "BatchNorm"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let input = only(inputs)?;
        if input.dims().first() != Some(&self.channels) {
            return Err(input.mismatch(format!("{} channels", self.channels)));
        }
        Ok(input.clone())
    }

    fn params(&self) -> Vec<ParamDecl> {
        let shape = [self.channels];
        vec![
            ParamDecl::trainable("weight", &shape),
            ParamDecl::trainable("bias", &shape),
            ParamDecl::statistic("running_mean", &shape),
            ParamDecl::statistic("running_var", &shape),
        ]
    }
}
