//! Operators that take a part of a tensor, or put it into a larger one.

use serde::{Deserialize, Serialize};

use super::shape::{MARGINS, sizes};
use super::{Operator, Shape, ShapeError, only};

/// Every `step`-th index of one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first index taken.
    pub start: usize,
    /// The number of indices taken.
    pub length: usize,
    /// The distance between indices; negative to go backwards, never zero.
    pub step: isize,
}

impl Span {
    /// All of a dimension.
    #[must_use]
    pub fn all(size: usize) -> Self {
        Self { start: 0, length: size, step: 1 }
    }

    /// Every second of a dimension, from the first on.
    #[must_use]
    pub fn every_second(size: usize) -> Self {
        Self { start: 0, length: size.div_ceil(2), step: 2 }
    }

    /// A dimension from its end to its beginning.
    #[must_use]
    pub fn reversed(size: usize) -> Self {
        Self { start: size.saturating_sub(1), length: size, step: -1 }
    }

    /// What this span takes of what the outer one takes.
    #[must_use]
    pub fn within(self, outer: Self) -> Self {
        let offset = (self.start as isize).wrapping_mul(outer.step);
        Self {
            start: outer.start.wrapping_add_signed(offset),
            length: self.length,
            step: self.step.wrapping_mul(outer.step),
        }
    }

    /// The indices taken, in order.
    pub fn indices(self) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.length).map(move |index| self.start.wrapping_add_signed(self.step.wrapping_mul(index as isize)))
    }

    /// Whether it takes something, and nothing outside a dimension of this size.
    fn fits(self, size: usize) -> bool {
        let last = self.length.checked_sub(1).and_then(|steps| isize::try_from(steps).ok());
        let last = last.and_then(|steps| self.start.checked_add_signed(steps.checked_mul(self.step)?));
        self.step != 0 && self.start < size && last.is_some_and(|last| last < size)
    }
}

/// A part of a tensor: one span a dimension, batch left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// What is taken of each dimension.
    pub spans: Vec<Span>,
}

/// A tensor with constant numbers put around it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pad {
    /// Numbers added before the first index of each dimension, batch left out.
    pub before: Vec<usize>,
    /// Numbers added behind the last index of each dimension.
    pub after: Vec<usize>,
    /// The constant.
    pub value: f32,
}

impl Pad {
    /// Zeros before and behind the channels of a feature map.
    #[must_use]
    pub fn channels(before: usize, after: usize) -> Self {
        Self { before: vec![before, 0, 0], after: vec![after, 0, 0], value: 0.0 }
    }
}

impl Operator for Slice {
    fn kind(&self) -> &'static str {
        "Slice"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let input = only(inputs)?;
        let fits = self.spans.iter().zip(input.dims()).all(|(span, &size)| span.fits(size));
        if self.spans.len() != input.dims().len() || !fits {
            let spans: Vec<_> = self.spans.iter().map(|s| format!("{}+{}x{}", s.start, s.length, s.step)).collect();
            return Err(input.mismatch(format!("a shape that holds the part {}", spans.join(", "))));
        }
        Ok(Shape::new(self.spans.iter().map(|span| span.length).collect::<Vec<_>>()))
    }
}

impl Operator for Pad {
    fn kind(&self) -> &'static str {
        "Pad"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let input = only(inputs)?;
        let dims = input.dims();
        if self.before.len() != dims.len() || self.after.len() != dims.len() {
            return Err(input.mismatch(format!("{} dimensions behind the batch", self.before.len())));
        }
        sizes("before", &self.before, MARGINS)?;
        sizes("after", &self.after, MARGINS)?;
        let padded = dims.iter().zip(self.before.iter().zip(&self.after));
        Ok(Shape::new(padded.map(|(size, (before, after))| before + size + after).collect::<Vec<_>>()))
    }
}
