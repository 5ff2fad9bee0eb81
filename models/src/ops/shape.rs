//! Shapes without the batch dimension, and the padding around an image.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::ShapeError;

/// The most numbers in a tensor of a network: a quarter of a terabyte.
const LARGEST: usize = 1 << 36;
/// The most dimensions behind the batch.
const MOST_DIMENSIONS: usize = 8;

/// Windows, steps and groups that an operator computes with.
pub(super) const SIZES: RangeInclusive<usize> = 1..=1 << 31;
/// How much may be put around a tensor.
pub(super) const MARGINS: RangeInclusive<usize> = 0..=1 << 31;

/// The shape of one image's tensor: `[channels, height, width]` or `[features]`. The batch dimension is left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// Any dimensions, batch left out.
    #[must_use]
    pub fn new(dims: impl Into<Vec<usize>>) -> Self {
        Self(dims.into())
    }

    /// A feature map `[channels, height, width]`.
    #[must_use]
    pub fn image(channels: usize, height: usize, width: usize) -> Self {
        Self(vec![channels, height, width])
    }

    /// A vector `[features]`.
    #[must_use]
    pub fn vector(features: usize) -> Self {
        Self(vec![features])
    }

    /// The dimensions, batch left out.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// How many numbers one image's tensor holds, or as many as can be counted if they are more.
    #[must_use]
    pub fn len(&self) -> usize {
        numbers(&self.0)
    }

    /// True when some dimension is zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape, if a tensor of a network can have it: with a number in it, and not with more than any memory holds.
    pub(crate) fn checked(self) -> Result<Self, ShapeError> {
        match (self.len(), self.0.len()) {
            (1..=LARGEST, ..=MOST_DIMENSIONS) => Ok(self),
            _ => Err(ShapeError::Size { found: self.to_string() }),
        }
    }

    /// `(channels, height, width)` of a feature map.
    ///
    /// # Errors
    /// [`ShapeError::Mismatch`] for anything that is not three-dimensional.
    pub fn chw(&self) -> Result<(usize, usize, usize), ShapeError> {
        match self.0[..] {
            [c, h, w] => Ok((c, h, w)),
            _ => Err(self.mismatch("a feature map [n, channels, height, width]")),
        }
    }

    pub(super) fn mismatch(&self, expected: impl Into<String>) -> ShapeError {
        ShapeError::Mismatch { expected: expected.into(), found: self.to_string() }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[n")?;
        self.0.iter().try_for_each(|dim| write!(f, ", {dim}"))?;
        f.write_str("]")
    }
}

/// Rows and columns added around an image. Frameworks disagree about symmetry (TensorFlow's `SAME` pads more at the
/// bottom right), so each side has its own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same on all four sides.
    #[must_use]
    pub fn all(size: usize) -> Self {
        Self { top: size, left: size, bottom: size, right: size }
    }

    /// TensorFlow's `SAME` (ONNX `SAME_UPPER`): as much as makes the output `⌈size / stride⌉` long, the odd one at the
    /// bottom right. `extent` is the height and width of the window with its dilation.
    #[must_use]
    pub fn same(size: [usize; 2], extent: [usize; 2], stride: [usize; 2]) -> Self {
        let [rows, columns] = [0, 1].map(|axis| {
            let steps = size[axis].div_ceil(stride[axis]).saturating_sub(1);
            (steps * stride[axis] + extent[axis]).saturating_sub(size[axis])
        });
        Self { top: rows / 2, left: columns / 2, bottom: rows.div_ceil(2), right: columns.div_ceil(2) }
    }

    pub(super) fn check(&self) -> Result<(), ShapeError> {
        sizes("padding", &[self.top, self.left, self.bottom, self.right], MARGINS)
    }

    /// The odd ones at the top left (ONNX `SAME_LOWER`).
    #[must_use]
    pub fn mirrored(self) -> Self {
        Self { top: self.bottom, left: self.right, bottom: self.top, right: self.left }
    }
}

/// Refuses sizes that no operator has. Those that are left cannot overflow where a few are added or two are multiplied.
pub(super) fn sizes(name: &'static str, values: &[usize], allowed: RangeInclusive<usize>) -> Result<(), ShapeError> {
    match values.iter().all(|value| allowed.contains(value)) {
        true => Ok(()),
        false => Err(ShapeError::Attribute { name, value: format!("{values:?}") }),
    }
}

/// The number of elements of a tensor with these dimensions, saturating at `usize::MAX`. Zero if any dimension is zero.
#[must_use]
pub fn numbers(dims: &[usize]) -> usize {
    if dims.contains(&0) { 0 } else { dims.iter().fold(1, |count, &dim| count.saturating_mul(dim)) }
}

/// Output length along one axis for a window that slides over `padded` numbers. `None` when it does not fit once.
pub(super) fn slide(padded: usize, window: usize, stride: usize) -> Option<usize> {
    Some(padded.checked_sub(window)? / stride + 1)
}
