//! Sums, and arithmetic with constants.

use serde::{Deserialize, Serialize};

use super::{Operator, Shape, ShapeError, only};

/// The sum of two or more tensors of one shape: the shortcut of a residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add;

/// `(x - mean) / std` per channel. The constants belong to the preprocessing, not to the weights: no optimiser sees
/// them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalize {
    /// Subtracted, one number a channel, in the units of the input.
    pub mean: Vec<f32>,
    /// Divided by, one number a channel, in the units of the input.
    pub std: Vec<f32>,
}

impl Normalize {
    /// For an input of 0..255 and constants for 0..1, as frameworks publish them.
    #[must_use]
    pub fn for_bytes(mean: &[f32], std: &[f32]) -> Self {
        let scale = |constants: &[f32]| constants.iter().map(|&c| (f64::from(c) * 255.0) as f32).collect();
        Self { mean: scale(mean), std: scale(std) }
    }
}

impl Operator for Add {
    fn kind(&self) -> &'static str {
        "Add"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let [first, rest @ ..] = inputs else {
            return Err(ShapeError::Arity { expected: "two or more", found: 0 });
        };
        if rest.is_empty() {
            return Err(ShapeError::Arity { expected: "two or more", found: 1 });
        }
        match rest.iter().find(|shape| shape != &first) {
            Some(other) => Err(other.mismatch(format!("{first} like its first input"))),
            None => Ok((*first).clone()),
        }
    }
}

impl Operator for Normalize {
    fn kind(&self) -> &'static str {
        "Normalize"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let input = only(inputs)?;
        let (channels, ..) = input.chw()?;
        if channels != self.mean.len() || channels != self.std.len() {
            return Err(input.mismatch(format!("{} channels", self.mean.len())));
        }
        Ok(input.clone())
    }
}
