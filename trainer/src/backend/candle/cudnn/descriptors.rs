//! What cuDNN is told of a convolution, and its calls.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use candle_core::cuda_backend::cudarc::cudnn::sys::{
    cudnnConvolutionBwdDataAlgo_t, cudnnConvolutionBwdFilterAlgo_t, cudnnConvolutionFwdAlgo_t, cudnnConvolutionMode_t,
    cudnnMathType_t, cudnnTensorFormat_t,
};
use candle_core::cuda_backend::cudarc::cudnn::{
    ConvBackwardData, ConvBackwardFilter, ConvDescriptor, ConvForward, Cudnn, CudnnDataType, FilterDescriptor,
    TensorDescriptor,
};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, DeviceRepr};
use candle_core::cuda_backend::{CudaDType, DeviceId};
use candle_core::{CudaDevice, Error, Result, WithDType};
use half::bf16;

/// The one that PyTorch takes without a search; it has channels last.
const FORWARD: cudnnConvolutionFwdAlgo_t = cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
/// Those without atomic additions, whose order differs from run to run.
const INPUT_GRADIENT: cudnnConvolutionBwdDataAlgo_t = cudnnConvolutionBwdDataAlgo_t::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
const WEIGHT_GRADIENT: cudnnConvolutionBwdFilterAlgo_t =
    cudnnConvolutionBwdFilterAlgo_t::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;

const LAYOUT: cudnnTensorFormat_t = cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;

thread_local! {
    /// A handle belongs to a thread and a device.
    static HANDLES: RefCell<HashMap<DeviceId, Arc<Cudnn>>> = RefCell::default();
}

/// What a convolution's tensors may consist of. Sums are in `f32` for each of them.
pub(super) trait ConvNumber: CudaDType + CudnnDataType + DeviceRepr + WithDType {
    const MATH: cudnnMathType_t;
}

impl ConvNumber for f32 {
    /// cuDNN would round the operands to TF32's ten bits otherwise.
    const MATH: cudnnMathType_t = cudnnMathType_t::CUDNN_FMA_MATH;
}

impl ConvNumber for bf16 {
    const MATH: cudnnMathType_t = cudnnMathType_t::CUDNN_TENSOR_OP_MATH;
}

/// The sizes of a convolution, as tensors have them in memory.
pub(super) struct ConvDims {
    /// `[n, height, width, in]`.
    pub(super) x: [usize; 4],
    /// `[out, height, width, in / groups]`.
    pub(super) w: [usize; 4],
    /// `[n, height, width, out]`.
    pub(super) y: [usize; 4],
    pub(super) padding: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) groups: usize,
}

/// A convolution as cuDNN knows it. Only an operation of operands that have these dimensions may run it.
pub(super) struct Descriptors<'a, T> {
    device: &'a CudaDevice,
    conv: ConvDescriptor<f32>,
    x: TensorDescriptor<T>,
    w: FilterDescriptor<T>,
    y: TensorDescriptor<T>,
}

impl<'a, T: ConvNumber> Descriptors<'a, T> {
    pub(super) fn new(dims: &ConvDims, device: &'a CudaDevice) -> Result<Self> {
        let cudnn = handle(device)?;
        let cross_correlation = cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let mut conv =
            cudnn.create_conv2d::<f32>(numbers(dims.padding)?, numbers(dims.stride)?, [1; 2], cross_correlation)?;
        conv.set_math_type(T::MATH)?;
        conv.set_group_count(number(dims.groups)?)?;
        Ok(Self {
            device,
            conv,
            x: cudnn.create_4d_tensor(LAYOUT, channels_first(dims.x)?)?,
            w: cudnn.create_4d_filter(LAYOUT, channels_first(dims.w)?)?,
            y: cudnn.create_4d_tensor(LAYOUT, channels_first(dims.y)?)?,
        })
    }

    /// So many numbers of the output, of the input and the weights.
    pub(super) fn forward(&self, [x, w]: [&CudaView<'_, T>; 2], count: usize) -> Result<CudaSlice<T>> {
        let op = ConvForward { conv: &self.conv, x: &self.x, w: &self.w, y: &self.y };
        let mut workspace = self.workspace(op.get_workspace_size(FORWARD)?)?;
        let mut y = self.uninitialized(count)?;
        #[expect(unsafe_code, reason = "cuDNN")]
        // SAFETY: `ConvOp` has compared the operands' dimensions with those of the descriptors, and `y` has as many numbers.
        unsafe {
            op.launch(FORWARD, workspace.as_mut(), scale(), x, w, &mut y)?;
        }
        Ok(y)
    }

    /// So many numbers of the input's gradient, of the output's and the weights.
    pub(super) fn input_gradient(&self, [dy, w]: [&CudaView<'_, T>; 2], count: usize) -> Result<CudaSlice<T>> {
        let op = ConvBackwardData { conv: &self.conv, dx: &self.x, w: &self.w, dy: &self.y };
        let mut workspace = self.workspace(op.get_workspace_size(INPUT_GRADIENT)?)?;
        let mut dx = self.uninitialized(count)?;
        #[expect(unsafe_code, reason = "cuDNN")]
        // SAFETY: as in `forward`.
        unsafe {
            op.launch(INPUT_GRADIENT, workspace.as_mut(), scale(), &mut dx, w, dy)?;
        }
        Ok(dx)
    }

    /// So many numbers of the weights' gradient, of the input and the output's gradient.
    pub(super) fn weight_gradient(&self, [x, dy]: [&CudaView<'_, T>; 2], count: usize) -> Result<CudaSlice<T>> {
        let op = ConvBackwardFilter { conv: &self.conv, x: &self.x, dw: &self.w, dy: &self.y };
        let mut workspace = self.workspace(op.get_workspace_size(WEIGHT_GRADIENT)?)?;
        let mut dw = self.uninitialized(count)?;
        #[expect(unsafe_code, reason = "cuDNN")]
        // SAFETY: as in `forward`.
        unsafe {
            op.launch(WEIGHT_GRADIENT, workspace.as_mut(), scale(), x, &mut dw, dy)?;
        }
        Ok(dw)
    }

    /// Memory for so many bytes that cuDNN works in.
    fn workspace(&self, bytes: usize) -> Result<Option<CudaSlice<u8>>> {
        #[expect(unsafe_code, reason = "memory that nobody reads before cuDNN writes it need not be zero")]
        // SAFETY: any byte is a `u8`.
        (bytes > 0).then(|| unsafe { self.device.alloc(bytes) }).transpose()
    }

    /// For a result: it is scaled into the memory with a factor of zero for what is there, which cuDNN then does not read.
    fn uninitialized(&self, count: usize) -> Result<CudaSlice<T>> {
        #[expect(unsafe_code, reason = "memory that cuDNN overwrites need not be zero")]
        // SAFETY: any bits are a number.
        unsafe {
            self.device.alloc(count)
        }
    }
}

/// This thread's handle for a device.
fn handle(device: &CudaDevice) -> Result<Arc<Cudnn>> {
    HANDLES.with_borrow_mut(|handles| {
        if let Some(cudnn) = handles.get(&device.id()) {
            return Ok(Arc::clone(cudnn));
        }
        let cudnn = Cudnn::new(device.cuda_stream())?;
        handles.insert(device.id(), Arc::clone(&cudnn));
        Ok(cudnn)
    })
}

/// The whole result, and nothing of what was in its memory.
fn scale<T: WithDType>() -> (T, T) {
    (T::from_f64(1.0), T::from_f64(0.0))
}

/// cuDNN counts a tensor's dimensions in this order whatever its layout is.
fn channels_first([n, height, width, channels]: [usize; 4]) -> Result<[i32; 4]> {
    Ok([number(n)?, number(channels)?, number(height)?, number(width)?])
}

fn numbers([height, width]: [usize; 2]) -> Result<[i32; 2]> {
    Ok([number(height)?, number(width)?])
}

fn number(size: usize) -> Result<i32> {
    i32::try_from(size).map_err(Error::wrap)
}
