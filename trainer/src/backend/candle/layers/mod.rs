//! The layers of a device, a file for each family of operators, of the same name as in `models::ops`.

mod activation;
mod arithmetic;
mod conv;
mod linear;
mod norm;
mod pool;
mod region;
mod structure;

use candle_core::{Device, Result};
use models::ops::{Op, Shape};

use super::layer::Layer;
use super::products::Products;
use crate::backend::dropout::DropoutDraw;

/// The arguments of a layer's constructor.
pub(super) struct LayerSpec<'a> {
    pub(super) op: &'a Op,
    /// The shapes of its inputs.
    pub(super) inputs: Vec<&'a Shape>,
    /// The shape of its output.
    pub(super) output: &'a Shape,
    /// The ids of its parameters among the weights.
    pub(super) param_ids: &'a [usize],
    /// Whether each of them is trained.
    pub(super) trained: Vec<bool>,
    /// The step's number, which seeds its random numbers.
    pub(super) number: u64,
    pub(super) device: &'a Device,
    pub(super) products: Products,
}

impl LayerSpec<'_> {
    /// The shape of the only input.
    fn input(&self) -> &Shape {
        self.inputs.first().copied().unwrap_or(self.output)
    }
}

/// The layer of an operator.
pub(super) fn layer(spec: &LayerSpec<'_>) -> Result<Box<dyn Layer>> {
    Ok(match spec.op {
        Op::Input(_) => Box::new(structure::IdentityLayer),
        Op::Normalize(op) => Box::new(arithmetic::NormalizeLayer::new(op, spec)?),
        Op::Scale(op) => Box::new(arithmetic::ScaleLayer::new(op, spec)),
        Op::Add(_) => Box::new(arithmetic::AddLayer),
        Op::Mul(_) => Box::new(arithmetic::MulLayer),
        Op::Conv2d(op) => Box::new(conv::ConvLayer::new(op, spec)?),
        Op::BatchNorm(op) => Box::new(norm::BatchNormLayer::new(op, spec)),
        Op::LocalResponseNorm(op) => Box::new(norm::LocalResponseNormLayer::new(*op, spec)?),
        Op::L2Norm(_) => Box::new(norm::L2NormLayer),
        Op::L2Length(_) => Box::new(norm::L2LengthLayer),
        Op::Relu(_) => Box::new(activation::ReluLayer),
        Op::Activation(op) => Box::new(activation::ActivationLayer(*op)),
        Op::Softmax(_) => Box::new(activation::SoftmaxLayer),
        Op::Dropout(op) => Box::new(activation::DropoutLayer(DropoutDraw { p: op.p, number: spec.number })),
        Op::MaxPool(op) => Box::new(pool::MaxPoolLayer::new(op, spec)?),
        Op::AvgPool(op) => Box::new(pool::AvgPoolLayer::sliding(op, spec)?),
        Op::AdaptiveAvgPool(op) => Box::new(pool::AvgPoolLayer::adaptive(*op, spec)?),
        Op::GlobalAvgPool(_) => Box::new(pool::GlobalAvgPoolLayer::new(spec)),
        Op::Concat(_) => Box::new(structure::ConcatLayer::new(spec)),
        Op::Flatten(_) | Op::Reshape(_) => Box::new(structure::ReshapeLayer::new(spec)),
        Op::Transpose(op) => Box::new(structure::TransposeLayer::new(op)),
        Op::Slice(op) => Box::new(region::SliceLayer::new(op, spec)?),
        Op::Pad(op) => Box::new(region::PadLayer::new(op, spec)),
        Op::Linear(_) => Box::new(linear::LinearLayer::new(spec)),
    })
}
