//! Operators that move numbers without changing them.

use serde::{Deserialize, Serialize};

use super::{Operator, Shape, ShapeError, only};

/// `[c, h, w]` to `[c·h·w]`, row-major.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flatten;

/// Feature maps of one size, channel after channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concat;

impl Operator for Flatten {
    fn kind(&self) -> &'static str {
        "Flatten"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        Ok(Shape::vector(only(inputs)?.len()))
    }
}

impl Operator for Concat {
    fn kind(&self) -> &'static str {
        "Concat"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let [first, rest @ ..] = inputs else {
            return Err(ShapeError::Arity { expected: "one or more", found: 0 });
        };
        let (mut channels, height, width) = first.chw()?;
        for shape in rest {
            match shape.chw()? {
                (more, h, w) if (h, w) == (height, width) => channels += more,
                _ => return Err(shape.mismatch(format!("{height}x{width} like its first input"))),
            }
        }
        Ok(Shape::image(channels, height, width))
    }
}
