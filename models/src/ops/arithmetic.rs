//! Sums and products of tensors, and scales and shifts of channels.

use serde::{Deserialize, Serialize};

use super::{Operator, ParamDecl, Shape, ShapeError, only, with_channels};

/// The sum of two or more tensors of one shape: the shortcut of a residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add;

/// The product of two tensors of one shape, or of a feature map `[c, h, w]` with one number a channel `[c, 1, 1]`: the
/// gate of a squeeze-and-excitation block (Hu et al. 2018).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mul;

/// `weight·x + bias` per channel with trained numbers, either of which may be left out: Caffe's `Scale` layer, which
/// stands behind a batch normalization without factors of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Channels of input and output.
    pub channels: usize,
    /// Whether there is a `weight` of `[channels]`.
    pub weight: bool,
    /// Whether there is a `bias` of `[channels]`.
    pub bias: bool,
}

/// `(x - mean) / std` per channel. The constants belong to the preprocessing, not to the weights: no optimizer sees
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

impl Operator for Mul {
    fn kind(&self) -> &'static str {
        "Mul"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let [first, second] = inputs else {
            return Err(ShapeError::Arity { expected: "two", found: inputs.len() });
        };
        match (first.dims(), second.dims()) {
            (a, b) if a == b => Ok((*first).clone()),
            (&[c, ..], &[gates, 1, 1]) if c == gates => Ok((*first).clone()),
            (&[gates, 1, 1], &[c, ..]) if c == gates => Ok((*second).clone()),
            _ => Err(second.mismatch(format!("{first} like its first input, or one number a channel"))),
        }
    }
}

impl Operator for Scale {
    fn kind(&self) -> &'static str {
        "Scale"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        with_channels(inputs, self.channels).cloned()
    }

    fn params(&self) -> Vec<ParamDecl> {
        let roles = [("weight", self.weight), ("bias", self.bias)];
        let owned = roles.into_iter().filter(|(_, owned)| *owned);
        owned.map(|(role, _)| ParamDecl::trainable(role, &[self.channels])).collect()
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
