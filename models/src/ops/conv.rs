//! Convolution.

use serde::{Deserialize, Serialize};

use super::shape::{SIZES, sizes, slide};
use super::{Operator, Padding, ParamDecl, Shape, ShapeError, only};

/// Two-dimensional cross-correlation as `torch.nn.Conv2d`: `weight` is `[out, in / groups, kh, kw]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conv2d {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
    /// Vertical and horizontal spacing of the window's taps; 1 is dense.
    pub dilation: [usize; 2],
    /// How many independent convolutions the channels are divided into.
    pub groups: usize,
    /// Whether a `bias` of `[out]` is added.
    pub bias: bool,
}

impl Conv2d {
    /// A dense square window with stride 1, no padding, and a bias.
    #[must_use]
    pub fn new(in_channels: usize, out_channels: usize, kernel: usize) -> Self {
        Self {
            in_channels,
            out_channels,
            kernel: [kernel; 2],
            stride: [1; 2],
            padding: Padding::default(),
            dilation: [1; 2],
            groups: 1,
            bias: true,
        }
    }

    /// With this stride in both directions.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Self { stride: [stride; 2], ..self }
    }

    /// With this padding on all sides.
    #[must_use]
    pub fn padding(self, padding: usize) -> Self {
        Self { padding: Padding::all(padding), ..self }
    }

    /// With the channels divided into so many independent convolutions.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Without a bias, as before a batch normalization.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// Whether this is a linear map of each pixel's channels, the convolutional spelling of a linear layer.
    #[must_use]
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1; 2] && self.stride == [1; 2] && self.padding == Padding::default() && self.groups == 1
    }

    fn taps(&self) -> usize {
        self.in_channels / self.groups * self.kernel[0] * self.kernel[1]
    }

    fn check(&self) -> Result<(), ShapeError> {
        sizes("kernel", &self.kernel, SIZES)?;
        sizes("stride", &self.stride, SIZES)?;
        sizes("dilation", &self.dilation, SIZES)?;
        sizes("groups", &[self.groups], SIZES)?;
        self.padding.check()?;
        match self.in_channels.is_multiple_of(self.groups) && self.out_channels.is_multiple_of(self.groups) {
            true => Ok(()),
            false => Err(ShapeError::Attribute { name: "groups", value: self.groups.to_string() }),
        }
    }
}

impl Operator for Conv2d {
    fn kind(&self) -> &'static str {
        "Conv2d"
    }

    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError> {
        let input = only(inputs)?;
        let (channels, height, width) = input.chw()?;
        self.check()?;
        if channels != self.in_channels {
            return Err(input.mismatch(format!("{} channels", self.in_channels)));
        }
        let window = [0, 1].map(|axis| self.dilation[axis] * (self.kernel[axis] - 1) + 1);
        let padded = [height + self.padding.top + self.padding.bottom, width + self.padding.left + self.padding.right];
        match [0, 1].map(|axis| slide(padded[axis], window[axis], self.stride[axis])) {
            [Some(height), Some(width)] => Ok(Shape::image(self.out_channels, height, width)),
            _ => Err(ShapeError::TooSmall {
                window: format!("{}x{}", window[0], window[1]),
                padded: format!("{}x{}", padded[0], padded[1]),
            }),
        }
    }

    fn params(&self) -> Vec<ParamDecl> {
        let [kh, kw] = self.kernel;
        let mut params =
            vec![ParamDecl::trainable("weight", &[self.out_channels, self.in_channels / self.groups, kh, kw])];
        if self.bias {
            params.push(ParamDecl::trainable("bias", &[self.out_channels]));
        }
        params
    }

    fn macs(&self, output: &Shape) -> u64 {
        (output.len() as u64).saturating_mul(self.taps() as u64)
    }
}
