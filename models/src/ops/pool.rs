//! Pooling.

use serde::{Deserialize, Serialize};

use super::shape::{SIZES, sizes, slide};
use super::{Op, Operator, Padding, Shape, ShapeError, only};

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
        sizes("kernel", &self.kernel, SIZES)?;
        sizes("stride", &self.stride, SIZES)?;
        self.padding.check()?;
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
    /// Its size, stride and padding.
    pub window: Window,
    /// Whether padding counts as zeros in the mean (ONNX `count_include_pad`).
    pub count_padding: bool,
}

/// The mean over height and width: `[c, h, w]` to `[c, 1, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalAvgPool;

/// The mean over windows that divide the image into this many rows and columns, whatever its size: PyTorch's
/// `AdaptiveAvgPool2d`. Window `i` of `n` covers `⌊i·size/n⌋..⌈(i+1)·size/n⌉`, so windows overlap where `n` does not divide
/// the size, and repeat numbers where the image is smaller than `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdaptiveAvgPool {
    /// Height and width of the output.
    pub output: [usize; 2],
}

impl AdaptiveAvgPool {
    /// The part of an axis of this length that output `index` of `count` is the mean of.
    #[must_use]
    pub fn span(size: usize, count: usize, index: usize) -> std::ops::Range<usize> {
        index * size / count..((index + 1) * size).div_ceil(count)
    }

    /// The simplest operator that does the same to a feature map of this shape, so that a network has one form only:
    /// `None` where there is nothing to do, pooling over the whole image or by equal windows where it comes to that.
    #[must_use]
    pub fn simplified(self, shape: &Shape) -> Option<Op> {
        let Ok((_, height, width)) = shape.chw() else { return Some(self.into()) };
        if self.output == [height, width] {
            return None;
        }
        if self.output == [1, 1] {
            return Some(GlobalAvgPool.into());
        }
        match [Self::window(height, self.output[0]), Self::window(width, self.output[1])] {
            [Some((rows, down)), Some((columns, right))] => {
                let window = Window { kernel: [rows, columns], stride: [down, right], ..Window::new(1, 1) };
                Some(AvgPool { window, count_padding: false }.into())
            }
            _ => Some(self.into()),
        }
    }

    /// Length and step of the windows, if they are all alike and cover the axis.
    fn window(size: usize, count: usize) -> Option<(usize, usize)> {
        let length = Self::span(size, count, 0).len();
        let step = if count > 1 { Self::span(size, count, 1).start } else { size };
        let alike = (0..count).all(|index| Self::span(size, count, index) == (index * step..index * step + length));
        (alike && step > 0).then_some((length, step))
    }
}

impl Operator for AdaptiveAvgPool {
    fn kind(&self) -> &'static str {
        "AdaptiveAvgPool"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let (channels, ..) = only(inputs)?.chw()?;
        let [height, width] = self.output;
        Ok(Shape::image(channels, height, width))
    }
}

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
