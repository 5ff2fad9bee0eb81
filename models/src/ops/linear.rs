//! The fully connected layer.

use serde::{Deserialize, Serialize};

use super::{Operator, ParamDecl, Shape, ShapeError, only};

/// `x · weightᵀ + bias` with `weight` of `[out, in]`, as `torch.nn.Linear`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linear {
    /// Length of the input vector.
    pub in_features: usize,
    /// Length of the output vector.
    pub out_features: usize,
    /// Whether a `bias` of `[out]` is added.
    pub bias: bool,
}

impl Linear {
    /// With a bias.
    #[must_use]
    pub fn new(in_features: usize, out_features: usize) -> Self {
        Self { in_features, out_features, bias: true }
    }
}

impl Operator for Linear {
    fn kind(&self) -> &'static str {
        "Linear"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let input = only(inputs)?;
        if input.dims() != [self.in_features] {
            return Err(input.mismatch(format!("[n, {}]", self.in_features)));
        }
        Ok(Shape::vector(self.out_features))
    }

    fn params(&self) -> Vec<ParamDecl> {
        let mut params = vec![ParamDecl::trainable("weight", &[self.out_features, self.in_features])];
        if self.bias {
            params.push(ParamDecl::trainable("bias", &[self.out_features]));
        }
        params
    }

    fn macs(&self, _output: &Shape) -> u64 {
        (self.in_features as u64).saturating_mul(self.out_features as u64)
    }
}
