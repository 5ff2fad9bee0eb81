//! Normalization by the statistics of a batch, by those of neighbouring channels, and by the length of a vector.

use serde::{Deserialize, Serialize};

use super::shape::{SIZES, sizes};
use super::{Operator, ParamDecl, Shape, ShapeError, only, with_channels};

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

/// Local response normalization across channels (Krizhevsky et al. 2012, section 3.3):
/// `x / (bias + alpha/size · Σ x²)^beta`, the sum over the `size` channels around each. ONNX and PyTorch divide `alpha` by
/// the size, the paper does not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LocalResponseNorm {
    /// How many neighbouring channels are summed, the channel itself among them.
    pub size: usize,
    /// The weight of their mean square.
    pub alpha: f32,
    /// The exponent.
    pub beta: f32,
    /// Keeps the divisor from zero; the paper's `k`.
    pub bias: f32,
}

impl LocalResponseNorm {
    /// The paper's numbers: `k = 2`, `n = 5`, `α = 10⁻⁴` (for the sum, so five times that for the mean), `β = 0.75`.
    #[must_use]
    pub fn krizhevsky() -> Self {
        Self { size: 5, alpha: 5e-4, beta: 0.75, bias: 2.0 }
    }

    /// The channels that are summed for this one: `size` around it, one more after than before when `size` is even.
    #[must_use]
    pub fn neighbors(&self, channel: usize, channels: usize) -> std::ops::Range<usize> {
        let before = self.size.saturating_sub(1) / 2;
        channel.saturating_sub(before)..(channel + self.size - before).min(channels)
    }
}

/// `x / ‖x‖₂` of a vector `[features]`; zeros stay zeros (ONNX `LpNormalization` with `p = 2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct L2Norm;

/// `‖x‖₂` of a vector `[features]`, which is `[1]` (ONNX `ReduceL2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct L2Length;

impl Operator for L2Length {
    fn kind(&self) -> &'static str {
        "L2Length"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        L2Norm.output_shape(inputs).map(|_| Shape::vector(1))
    }
}

impl Operator for L2Norm {
    fn kind(&self) -> &'static str {
        "L2Norm"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let input = only(inputs)?;
        match input.dims() {
            [_] => Ok(input.clone()),
            _ => Err(input.mismatch("a vector".to_owned())),
        }
    }
}

impl Operator for LocalResponseNorm {
    fn kind(&self) -> &'static str {
        "LocalResponseNorm"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let input = only(inputs)?;
        input.chw()?;
        sizes("size", &[self.size], SIZES)?;
        Ok(input.clone())
    }
}

impl Operator for BatchNorm {
    fn kind(&self) -> &'static str {
        "BatchNorm"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        with_channels(inputs, self.channels).cloned()
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
