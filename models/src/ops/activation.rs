//! Functions applied to every number, and the softmax over a vector.

use serde::{Deserialize, Serialize};

use super::{Operator, Shape, ShapeError, only};

/// `max(x, 0)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relu;

/// The other functions of one number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Activation {
    /// `x` for positive numbers, `alpha·x` for others.
    LeakyRelu {
        /// The slope on the negative side.
        alpha: f32,
    },
    /// `min(max(x, min), max)`; ReLU6 is a clip to 0..6.
    Clip {
        /// The lowest number that comes out.
        min: f32,
        /// The highest number that comes out.
        max: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `min(max(alpha·x + beta, 0), 1)`.
    HardSigmoid {
        /// The slope.
        alpha: f32,
        /// The value at zero.
        beta: f32,
    },
    /// `x · min(max(x/6 + 1/2, 0), 1)` (Howard et al. 2019, MobileNetV3).
    HardSwish,
    /// The hyperbolic tangent.
    Tanh,
    /// `x` for positive numbers, `alpha·(exp(x) - 1)` for others.
    Elu {
        /// Minus the limit on the negative side.
        alpha: f32,
    },
    /// `|x|`.
    Abs,
    /// -1, 0 or 1.
    Sign,
    /// `√x`.
    Sqrt,
    /// `sign(x)·√|x|`: power normalization with an exponent of one half (Perronnin et al. 2010, section 3.2).
    SignedSqrt,
}

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

impl Operator for Activation {
    fn kind(&self) -> &'static str {
        match self {
            Activation::LeakyRelu { .. } => "LeakyRelu",
            Activation::Clip { .. } => "Clip",
            Activation::Sigmoid => "Sigmoid",
            Activation::HardSigmoid { .. } => "HardSigmoid",
            Activation::HardSwish => "HardSwish",
            Activation::Tanh => "Tanh",
            Activation::Elu { .. } => "Elu",
            Activation::Abs => "Abs",
            Activation::Sign => "Sign",
            Activation::Sqrt => "Sqrt",
            Activation::SignedSqrt => "SignedSqrt",
        }
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
