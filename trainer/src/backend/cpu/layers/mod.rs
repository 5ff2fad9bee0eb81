//! The layers of the CPU, a file for each family of operators, of the same name as in `models::ops`.

mod activation;
mod arithmetic;
mod cast;
mod conv;
mod linear;
mod norm;
mod onednn;
mod pool;
mod structure;

use half::bf16;
use models::ops::{Op, Shape};

use super::layer::Layer;
use crate::backend::cpu::kernels::element::DType;
use crate::backend::cpu::kernels::epilogue::Epilogue;
use crate::backend::dropout::DropoutDraw;
use crate::backend::{ComputeBackend, Precision};

/// The arguments of a layer's constructor.
pub(super) struct LayerSpec<'a> {
    pub(super) kernels: &'a ComputeBackend,
    /// The dtype of its inputs.
    pub(super) dtypes: Vec<DType>,
    /// The dtype of its output.
    pub(super) dtype: DType,
    /// The first operator of the step.
    pub(super) op: &'a Op,
    /// The shapes of its inputs.
    pub(super) inputs: Vec<&'a Shape>,
    /// The shape of the step's output.
    pub(super) output: &'a Shape,
    /// The ids of its parameters among the weights.
    pub(super) param_ids: &'a [usize],
    /// Whether each of them is trained.
    pub(super) trained: Vec<bool>,
    /// The fused operators after the first.
    pub(super) epilogue: Epilogue,
    /// The step's number, which seeds its random numbers.
    pub(super) number: u64,
}

/// The layer of a step.
pub(super) fn layer(spec: &LayerSpec<'_>) -> Box<dyn Layer> {
    let bf16_images = spec.dtype == DType::Bf16 || spec.dtypes.contains(&DType::Bf16);
    let (layer, own): (Box<dyn Layer>, DType) = match (spec.op, spec.kernels) {
        (Op::Conv2d(op), ComputeBackend::OneDnn(library, Precision::F32)) => {
            (Box::new(onednn::OneDnnConvLayer::<f32>::new(library, op, spec)), DType::F32)
        }
        (Op::Conv2d(op), ComputeBackend::OneDnn(library, Precision::Bf16)) => {
            (Box::new(onednn::OneDnnConvLayer::<bf16>::new(library, op, spec)), DType::Bf16)
        }
        (Op::BatchNorm(op), _) if bf16_images => (Box::new(norm::BatchNormLayer::<bf16>::new(op, spec)), DType::Bf16),
        (Op::MaxPool(op), _) if bf16_images => (Box::new(pool::MaxPoolLayer::<bf16>::new(op, spec)), DType::Bf16),
        (Op::Add(_), _) if bf16_images => (Box::new(arithmetic::AddLayer::<bf16>::new(spec.epilogue)), DType::Bf16),
        (Op::Relu(_), _) if bf16_images => (Box::new(activation::ReluLayer::<bf16>::default()), DType::Bf16),
        _ => (single(spec), DType::F32),
    };
    cast::cast(layer, own, spec)
}

/// The layer in `f32`, by Rust alone.
fn single(spec: &LayerSpec<'_>) -> Box<dyn Layer> {
    let first = spec.inputs.first().copied().unwrap_or(spec.output);
    match spec.op {
        Op::Input(_) => Box::new(structure::IdentityLayer),
        Op::Normalize(op) => Box::new(arithmetic::NormalizeLayer::new(op)),
        Op::Scale(op) => Box::new(arithmetic::ScaleLayer::new(op, spec)),
        Op::Add(_) => Box::new(arithmetic::AddLayer::<f32>::new(spec.epilogue)),
        Op::Mul(_) => Box::new(arithmetic::MulLayer::new(spec)),
        Op::Conv2d(op) => Box::new(conv::ConvLayer::new(op, spec)),
        Op::BatchNorm(op) => Box::new(norm::BatchNormLayer::<f32>::new(op, spec)),
        Op::LocalResponseNorm(op) => Box::new(norm::LocalResponseNormLayer { op: *op, channels: first.dims()[0] }),
        Op::L2Norm(_) => Box::new(norm::L2NormLayer { width: first.len() }),
        Op::L2Length(_) => Box::new(norm::L2LengthLayer { width: first.len() }),
        Op::Relu(_) => Box::new(activation::ReluLayer::<f32>::default()),
        Op::Activation(op) => Box::new(activation::ActivationLayer(*op)),
        Op::Softmax(_) => Box::new(activation::SoftmaxLayer),
        Op::Dropout(op) => Box::new(activation::DropoutLayer(DropoutDraw { p: op.p, number: spec.number })),
        Op::MaxPool(op) => Box::new(pool::MaxPoolLayer::<f32>::new(op, spec)),
        Op::AvgPool(op) => Box::new(pool::AvgPoolLayer::sliding(op, spec)),
        Op::AdaptiveAvgPool(op) => Box::new(pool::AvgPoolLayer::adaptive(*op, spec)),
        Op::GlobalAvgPool(_) => Box::new(pool::AvgPoolLayer::global(spec)),
        Op::Concat(_) => Box::new(structure::ConcatLayer::new(spec)),
        Op::Flatten(_) | Op::Reshape(_) => Box::new(structure::ReshapeLayer::new(first, spec.output)),
        Op::Transpose(op) => Box::new(structure::StridedCopyLayer::transposed(op, first, spec.output)),
        Op::Slice(op) => Box::new(structure::StridedCopyLayer::slice(op, first, spec.output)),
        Op::Pad(op) => Box::new(structure::StridedCopyLayer::padded(op, first, spec.output)),
        Op::Linear(op) => Box::new(linear::LinearLayer::new(op, spec)),
    }
}
