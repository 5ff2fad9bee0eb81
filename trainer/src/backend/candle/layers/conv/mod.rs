//! Convolution: on CUDA by cuDNN, elsewhere by what candle has on every device.

mod gathered;

use candle_core::{Result, Tensor};
use models::ops::Conv2d;

use super::LayerSpec;
#[cfg(feature = "cuda")]
use crate::backend::candle::cudnn::CudnnConv;
use crate::backend::candle::layer::{Backward, Forward, Layer, PassContext};
use crate::backend::candle::products::Products;
use crate::backend::candle::tensors::{channel_sums, rows};
use crate::backend::cpu::kernels::conv::Geometry;
use gathered::GatheredConv;

pub(super) struct ConvLayer {
    geometry: Geometry,
    weight: usize,
    bias: Option<usize>,
    algorithm: ConvAlgorithm,
    products: Products,
}

/// What computes a convolution and its gradients.
enum ConvAlgorithm {
    /// A linear map of each pixel's channels is one product of matrices.
    Pointwise,
    #[cfg(feature = "cuda")]
    Cudnn(Box<CudnnConv>),
    Gathered(Box<GatheredConv>),
}

impl ConvAlgorithm {
    fn new(geometry: &Geometry, spec: &LayerSpec<'_>) -> Result<Self> {
        if geometry.conv.is_pointwise() {
            return Ok(Self::Pointwise);
        }
        #[cfg(feature = "cuda")]
        if let Some(conv) = CudnnConv::new(geometry, spec.device) {
            return Ok(Self::Cudnn(Box::new(conv)));
        }
        Ok(Self::Gathered(Box::new(GatheredConv::new(geometry.clone(), spec.device)?)))
    }
}

impl ConvLayer {
    pub(super) fn new(op: &Conv2d, spec: &LayerSpec<'_>) -> Result<Self> {
        let size = |dims: &[usize]| [dims[1], dims[2]];
        let [input, output] = [spec.input(), spec.output].map(|shape| size(shape.dims()));
        let geometry = Geometry { conv: op.clone(), input, output };
        let algorithm = ConvAlgorithm::new(&geometry, spec)?;
        let products = match algorithm {
            ConvAlgorithm::Gathered(_) => spec.products.in_f32(),
            _ => spec.products,
        };
        Ok(Self { weight: spec.param_ids[0], bias: spec.param_ids.get(1).copied(), algorithm, products, geometry })
    }

    /// The output without the bias, as rows of pixels.
    fn product(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        match &self.algorithm {
            ConvAlgorithm::Pointwise => rows(x)?.matmul(&self.matrix(weight)?),
            #[cfg(feature = "cuda")]
            ConvAlgorithm::Cudnn(conv) => conv.forward(x, weight),
            ConvAlgorithm::Gathered(conv) => conv.forward(x, weight),
        }
    }

    fn weight_gradient(&self, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
        match &self.algorithm {
            ConvAlgorithm::Pointwise => rows(x)?.t()?.matmul(&rows(dy)?),
            #[cfg(feature = "cuda")]
            ConvAlgorithm::Cudnn(conv) => conv.weight_gradient(x, dy),
            ConvAlgorithm::Gathered(conv) => conv.weight_gradient(x, dy),
        }
    }

    fn input_gradient(&self, dy: &Tensor, weight: &Tensor) -> Result<Tensor> {
        match &self.algorithm {
            ConvAlgorithm::Pointwise => rows(dy)?.matmul(&self.matrix(weight)?.t()?),
            #[cfg(feature = "cuda")]
            ConvAlgorithm::Cudnn(conv) => conv.input_gradient(dy, weight),
            ConvAlgorithm::Gathered(conv) => conv.input_gradient(dy, weight),
        }
    }

    /// The weights of a window of one pixel.
    fn matrix(&self, weight: &Tensor) -> Result<Tensor> {
        weight.reshape((self.geometry.conv.in_channels, self.geometry.conv.out_channels))
    }
}

impl Layer for ConvLayer {
    fn forward(&self, pass: &PassContext<'_>, inputs: &[&Tensor]) -> Result<Forward> {
        let x = self.products.operand(inputs[0])?;
        let weight = self.products.operand(pass.weight(self.weight))?;
        let Geometry { conv, output, .. } = &self.geometry;
        let mut y = self.products.result(&self.product(&x, &weight)?)?;
        if let Some(bias) = self.bias {
            y = y.broadcast_add(pass.weight(bias))?;
        }
        let y = y.reshape((x.dim(0)?, output[0], output[1], conv.out_channels))?;
        Ok(Forward::from(y).saving(vec![x]))
    }

    fn backward(&self, pass: &PassContext<'_>, back: &mut Backward<'_>) -> Result<()> {
        if let Some(bias) = self.bias.filter(|&bias| back.gradients.wants(bias)) {
            back.gradients.put(bias, channel_sums(&back.dy)?)?;
        }
        let weight = pass.weight(self.weight);
        let dy = self.products.operand(&back.dy)?;
        let Geometry { conv, input, .. } = &self.geometry;
        if back.gradients.wants(self.weight) {
            let dw = self.products.result(&self.weight_gradient(&back.saved[0], &dy)?)?;
            back.gradients.put(self.weight, dw.reshape(weight.dims())?)?;
        }
        if !back.needs_gradient[0] {
            return Ok(());
        }
        let dx = self.products.result(&self.input_gradient(&dy, &self.products.operand(weight)?)?)?;
        let dx = dx.reshape((back.dy.dim(0)?, input[0], input[1], conv.in_channels))?;
        back.accumulate(0, dx)
    }
}
