//! The network's input.

use serde::{Deserialize, Serialize};

use super::{Operator, Shape, ShapeError};

/// The input of a network: one image tensor. The first node of every graph, and only that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// The shape of one image, `[3, h, w]` for a whole network, whatever the cut yields for a suffix.
    pub shape: Shape,
}

impl Operator for Input {
    fn kind(&self) -> &'static str {
        "Input"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        match inputs {
            [] => Ok(self.shape.clone()),
            _ => Err(ShapeError::Arity { expected: "no", found: inputs.len() }),
        }
    }
}
