//! A convolution as an operation of candle's.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaError;
use candle_core::{CpuStorage, CudaStorage, CustomOp2, DType, Error, Layout, Result, Shape};
use half::bf16;

use super::descriptors::{ConvDims, ConvNumber, Descriptors};

/// Which of the three tensors of a convolution is made of the other two.
#[derive(Clone, Copy)]
pub(super) enum Product {
    /// Of the input and the weights.
    Output,
    /// Of the output's gradient and the weights.
    InputGradient,
    /// Of the input and the output's gradient.
    WeightGradient,
}

pub(super) struct ConvOp {
    pub(super) product: Product,
    pub(super) dims: ConvDims,
}

/// A tensor on a CUDA device.
type Operand<'a> = (&'a CudaStorage, &'a Layout);

impl ConvOp {
    /// The operands' dimensions and the result's.
    fn shapes(&self) -> [[usize; 4]; 3] {
        let ConvDims { x, w, y, .. } = self.dims;
        match self.product {
            Product::Output => [x, w, y],
            Product::InputGradient => [y, w, x],
            Product::WeightGradient => [x, y, w],
        }
    }

    fn compute<T: ConvNumber>(&self, operands: [Operand<'_>; 2]) -> Result<CudaStorage> {
        let device = operands[0].0.device();
        let [first, second, result] = self.shapes();
        let [first, second] = [(operands[0], first), (operands[1], second)].map(|((storage, layout), expected)| {
            if layout.dims() != expected {
                let (lhs, rhs) = (Shape::from(expected.to_vec()), layout.shape().clone());
                return Err(Error::ShapeMismatchBinaryOp { lhs, rhs, op: self.name() });
            }
            let (start, end) = layout.contiguous_offsets().ok_or(Error::RequiresContiguous { op: self.name() })?;
            Ok(T::as_cuda_slice(storage)?.slice(start..end))
        });
        let (first, second) = (first?, second?);
        let count = result.iter().product();
        let descriptors = Descriptors::<T>::new(&self.dims, device)?;
        let made = match self.product {
            Product::Output => descriptors.forward([&first, &second], count),
            Product::InputGradient => descriptors.input_gradient([&first, &second], count),
            Product::WeightGradient => descriptors.weight_gradient([&first, &second], count),
        };
        Ok(T::wrap_cuda_slice(made?, device.clone()))
    }
}

impl CustomOp2 for ConvOp {
    fn name(&self) -> &'static str {
        "cudnn-convolution"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Err(Error::Msg("cuDNN computes on CUDA devices alone".to_owned()))
    }

    fn cuda_fwd(&self, a: &CudaStorage, al: &Layout, b: &CudaStorage, bl: &Layout) -> Result<(CudaStorage, Shape)> {
        let operands = [(a, al), (b, bl)];
        let made = match a.dtype() {
            DType::F32 => self.compute::<f32>(operands),
            DType::BF16 => self.compute::<bf16>(operands),
            dtype => Err(CudaError::UnsupportedDtype { dtype, op: self.name() }.into()),
        };
        let [_, _, shape] = self.shapes();
        Ok((made?, Shape::from(shape.to_vec())))
    }
}
