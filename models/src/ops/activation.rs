//! Functions applied to every number, and the softmax over a vector.

use serde::{Deserialize, Serialize};

use super::{Operator, Shape, ShapeError, only};

/// `max(x, 0)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relu;

/// Drops numbers at random in training and scales the rest by `1 / (1 - p)`; the identity otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Dropout {
    /// The probability of dropping a number.
    pub p: f32,
}

/// `exp(x) / Σ exp(x)` over the first dimension after the batch: over the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softmax;

impl Operator for Relu {
    fn kind(&self) -> &'static str {
        "Relu"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        only(inputs).cloned()
    }
}

impl Operator for Dropout {
    fn kind(&self) -> &'static str {
        "Dropout"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        only(inputs).cloned()
    }
}

impl Operator for Softmax {
    fn kind(&self) -> &'static str {
        "Softmax"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        only(inputs).cloned()
    }
}
