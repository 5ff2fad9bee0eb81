//! Operators that move numbers without changing them.

use serde::{Deserialize, Serialize};

use super::{Operator, Shape, ShapeError, only};

/// `[c, h, w]` to `[c·h·w]`, row-major.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flatten;

/// Tensors that differ in their first dimension at most, one after another: the channels of several feature maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concat;

/// The same numbers, row-major, in another shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshape {
    /// The shape that comes out, batch left out.
    pub shape: Shape,
}

/// The dimensions in another order: dimension `i` of the output is dimension `order[i]` of the input, batch left out.
/// `[1, 2, 0]` takes channels-first to channels-last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transpose {
    /// A permutation of the input's dimensions.
    pub order: Vec<usize>,
}

impl Transpose {
    /// Whether the second transposition undoes the first.
    #[must_use]
    pub fn undoes(&self, first: &Transpose) -> bool {
        self.order.len() == first.order.len()
            && self.order.iter().enumerate().all(|(index, &from)| first.order.get(from) == Some(&index))
    }
}

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
        let Some((first, rest)) = inputs.split_first() else {
            return Err(ShapeError::Arity { expected: "one or more", found: 0 });
        };
        let mut dims = first.dims().to_vec();
        let Some((length, inner)) = dims.split_first_mut() else {
            return Err(first.mismatch("at least one dimension"));
        };
        for shape in rest {
            match shape.dims().split_first() {
                Some((more, others)) if others == inner => *length += more,
                _ => return Err(shape.mismatch(format!("{first} like its first input, but for the first dimension"))),
            }
        }
        Ok(Shape::new(dims))
    }
}

impl Operator for Reshape {
    fn kind(&self) -> &'static str {
        "Reshape"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let input = only(inputs)?;
        if input.len() != self.shape.len() {
            return Err(input.mismatch(format!("as many numbers as {} has", self.shape)));
        }
        Ok(self.shape.clone())
    }
}

impl Operator for Transpose {
    fn kind(&self) -> &'static str {
        "Transpose"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let input = only(inputs)?;
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..input.dims().len()) {
            return Err(input.mismatch(format!("as many dimensions as the order {:?} names", self.order)));
        }
        Ok(Shape::new(self.order.iter().map(|&from| input.dims()[from]).collect::<Vec<_>>()))
    }
}
