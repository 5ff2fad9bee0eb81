//! cuDNN's convolutions on CUDA devices, forwards and backwards, by the bindings that candle brings.
//!
//! Tensors stay channels last. Of cuDNN's algorithms those are taken whose sums are always in the same order, so that equal
//! runs end in equal bits; they are what PyTorch takes with `torch.backends.cudnn.deterministic`.

mod descriptors;
mod op;

use candle_core::{Device, Result, Tensor};
use models::ops::{Conv2d, Padding};

use crate::backend::cpu::kernels::conv::Geometry;
use descriptors::ConvDims;
use op::{ConvOp, Product};

/// A convolution and its gradients.
pub(super) struct CudnnConv(Geometry);

impl CudnnConv {
    /// `None` on other devices, and for windows with gaps, of which cuDNN has no gradients in a fixed order.
    pub(super) fn new(geometry: &Geometry, device: &Device) -> Option<Self> {
        let is_dense = geometry.conv.dilation == [1; 2];
        (device.is_cuda() && is_dense).then(|| Self(geometry.clone()))
    }

    /// `[n, h, w, out]` for images `[n, h, w, in]`.
    pub(super) fn forward(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.apply(Product::Output, [&self.padded(x)?, &filter(weight)?])
    }

    /// `[n, h, w, in]` for gradients `[n, h, w, out]`.
    pub(super) fn input_gradient(&self, dy: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let dx = self.apply(Product::InputGradient, [dy, &filter(weight)?])?;
        if self.padding().is_some() {
            return Ok(dx);
        }
        let Padding { top, left, .. } = self.0.conv.padding;
        let [height, width] = self.0.input;
        dx.narrow(1, top, height)?.narrow(2, left, width)?.contiguous()
    }

    /// `[height, width, in / groups, out]` of the window.
    pub(super) fn weight_gradient(&self, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
        self.apply(Product::WeightGradient, [&self.padded(x)?, dy])?.permute((1, 2, 3, 0))?.contiguous()
    }

    fn apply(&self, product: Product, operands: [&Tensor; 2]) -> Result<Tensor> {
        let [first, second] = operands.map(Tensor::contiguous);
        let (first, second) = (first?, second?);
        let op = ConvOp { product, dims: self.dims(first.dim(0)?) };
        first.apply_op2_no_bwd(&second, &op)
    }

    /// For a batch of so many images, if the first operand is one.
    fn dims(&self, n: usize) -> ConvDims {
        let Geometry { conv, input, output } = &self.0;
        let Conv2d { kernel, stride, groups, in_channels, out_channels, padding, .. } = *conv;
        let padded = [input[0] + padding.top + padding.bottom, input[1] + padding.left + padding.right];
        let [height, width] = if self.padding().is_some() { *input } else { padded };
        ConvDims {
            x: [n, height, width, in_channels],
            w: [out_channels, kernel[0], kernel[1], in_channels / groups],
            y: [n, output[0], output[1], out_channels],
            padding: self.padding().unwrap_or([0; 2]),
            stride,
            groups,
        }
    }

    /// Above and beside the image, where that is as much as below and on the other side: cuDNN knows no other.
    fn padding(&self) -> Option<[usize; 2]> {
        let Padding { top, left, bottom, right } = self.0.conv.padding;
        (top == bottom && left == right).then_some([top, left])
    }

    /// With the zeros around it that cuDNN does not put there.
    fn padded(&self, x: &Tensor) -> Result<Tensor> {
        let Padding { top, left, bottom, right } = self.0.conv.padding;
        match self.padding() {
            Some(_) => Ok(x.clone()),
            None => x.pad_with_zeros(1, top, bottom)?.pad_with_zeros(2, left, right),
        }
    }
}

/// `[out, height, width, in / groups]`, as cuDNN takes a window that is channels last.
fn filter(weight: &Tensor) -> Result<Tensor> {
    weight.permute((3, 0, 1, 2))?.contiguous()
}
