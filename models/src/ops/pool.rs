//! Pooling.

use serde::{Deserialize, Serialize};

use super::shape::slide;
use super::{Operator, Padding, Shape, ShapeError, only};

/// A window that slides over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Rows and columns around the input that belong to no window's maximum or, unless counted, mean.
    pub padding: Padding,
    /// Whether a last window may hang over the edge (ONNX `ceil_mode`).
    pub ceil: bool,
}

impl Window {
    /// A square window without padding.
    #[must_use]
    pub fn new(kernel: usize, stride: usize) -> Self {
        Self { kernel: [kernel; 2], stride: [stride; 2], padding: Padding::default(), ceil: false }
    }

    /// With this padding on all sides.
    #[must_use]
    pub fn padding(self, padding: usize) -> Self {
        Self { padding: Padding::all(padding), ..self }
    }

    /// Output height and width. A window that begins in the padding behind the image is dropped, as PyTorch does.
    fn output(&self, height: usize, width: usize) -> Option<(usize, usize)> {
        let Padding { top, left, bottom, right } = self.padding;
        let axis = |axis: usize, size: usize, before: usize, after: usize| {
            let (kernel, stride) = (self.kernel[axis], self.stride[axis]);
            let whole = slide(size + before + after, kernel, stride)?;
            let hangs = self.ceil && !(size + before + after - kernel).is_multiple_of(stride);
            Some(if hangs && whole * stride < size + before { whole + 1 } else { whole })
        };
        Some((axis(0, height, top, bottom)?, axis(1, width, left, right)?))
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let (channels, height, width) = only(inputs)?.chw()?;
        match self.output(height, width) {
            Some((height, width)) => Ok(Shape::image(channels, height, width)),
            None => Err(ShapeError::TooSmall {
                window: format!("{}x{}", self.kernel[0], self.kernel[1]),
                padded: format!("{height}x{width}"),
            }),
        }
    }
}

/// The largest number of each window; padding never wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPool(pub Window);

/// The mean of each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvgPool {
    /// The window.
    pub window: Window,
    /// Whether padding counts as zeros in the mean (ONNX `count_include_pad`).
    pub count_padding: bool,
}

/// The mean over height and width: `[c, h, w]` to `[c, 1, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalAvgPool;

impl Operator for MaxPool {
    fn kind(&self) -> &'static str {
        "MaxPool"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        self.0.output_shape(inputs)
    }
}

impl Operator for AvgPool {
    fn kind(&self) -> &'static str {
        "AvgPool"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        self.window.output_shape(inputs)
    }
}

impl Operator for GlobalAvgPool {
    fn kind(&self) -> &'static str {
        "GlobalAvgPool"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let (channels, ..) = only(inputs)?.chw()?;
        Ok(Shape::image(channels, 1, 1))
    }
}
