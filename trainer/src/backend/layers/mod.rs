//! The layers of the CPU, a file for each family of operators, of the same name as in `models::ops`.

mod activation;
mod adapt;
mod arithmetic;
mod conv;
mod linear;
mod norm;
mod onednn;
mod pool;
mod structure;

use half::bf16;
use models::ops::{Op, Shape};

use super::choice::{Kernels, Precision};
use super::layer::Layer;
use crate::backend::kernels::element::Format;
use crate::backend::kernels::norm::Then;

/// What a layer is made from.
pub(super) struct Site<'a> {
    pub(super) kernels: &'a Kernels,
    /// How its inputs are kept.
    pub(super) formats: Vec<Format>,
    /// How its output is to be kept.
    pub(super) format: Format,
    /// The first operator of the step.
    pub(super) op: &'a Op,
    /// The shapes of its inputs.
    pub(super) inputs: Vec<&'a Shape>,
    /// The shape of the step's output.
    pub(super) output: &'a Shape,
    /// Its parameters' places among the weights.
    pub(super) places: &'a [usize],
    /// Whether each of them is trained.
    pub(super) trained: Vec<bool>,
    /// What is computed with it.
    pub(super) tail: Tail,
    /// The step's number, for what is drawn at random.
    pub(super) number: u64,
}

/// What follows the first operator in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    /// Whether the second input is added.
    pub(super) sum: bool,
    /// Whether a ReLU ends it.
    pub(super) then: Then,
}

/// The layer of a step.
pub(super) fn layer(site: &Site<'_>) -> Box<dyn Layer> {
    let brain = site.format == Format::Brain || site.formats.contains(&Format::Brain);
    let (layer, own): (Box<dyn Layer>, Format) = match (site.op, site.kernels) {
        (Op::Conv2d(op), Kernels::OneDnn(library, Precision::F32)) => {
            (Box::new(onednn::Convolved::<f32>::new(library, op, site)), Format::Single)
        }
        (Op::Conv2d(op), Kernels::OneDnn(library, Precision::Bf16)) => {
            (Box::new(onednn::Convolved::<bf16>::new(library, op, site)), Format::Brain)
        }
        (Op::BatchNorm(op), _) if brain => (Box::new(norm::BatchNormed::<bf16>::new(op, site)), Format::Brain),
        (Op::MaxPool(op), _) if brain => (Box::new(pool::MaxPooled::<bf16>::new(op, site)), Format::Brain),
        (Op::Add(_), _) if brain => (Box::new(arithmetic::Sum::<bf16>::new(site.tail.then)), Format::Brain),
        (Op::Relu(_), _) if brain => (Box::new(activation::Rectified::<bf16>::default()), Format::Brain),
        _ => (single(site), Format::Single),
    };
    adapt::adapted(layer, own, site)
}

/// The layer in `f32`, by Rust alone.
fn single(site: &Site<'_>) -> Box<dyn Layer> {
    let first = site.inputs.first().copied().unwrap_or(site.output);
    match site.op {
        Op::Input(_) => Box::new(structure::Same),
        Op::Normalize(op) => Box::new(arithmetic::Normalized::new(op)),
        Op::Scale(op) => Box::new(arithmetic::Scaled::new(op, site)),
        Op::Add(_) => Box::new(arithmetic::Sum::<f32>::new(site.tail.then)),
        Op::Mul(_) => Box::new(arithmetic::Product::new(site)),
        Op::Conv2d(op) => Box::new(conv::Convolved::new(op, site)),
        Op::BatchNorm(op) => Box::new(norm::BatchNormed::<f32>::new(op, site)),
        Op::LocalResponseNorm(op) => Box::new(norm::ResponseNormed { op: *op, channels: first.dims()[0] }),
        Op::Relu(_) => Box::new(activation::Rectified::<f32>::default()),
        Op::Activation(op) => Box::new(activation::Activated(*op)),
        Op::Softmax(_) => Box::new(activation::Softmaxed),
        Op::Dropout(op) => Box::new(activation::Dropped { p: op.p, number: site.number }),
        Op::MaxPool(op) => Box::new(pool::MaxPooled::<f32>::new(op, site)),
        Op::AvgPool(op) => Box::new(pool::MeanPooled::sliding(op, site)),
        Op::AdaptiveAvgPool(op) => Box::new(pool::MeanPooled::adaptive(*op, site)),
        Op::GlobalAvgPool(_) => Box::new(pool::MeanPooled::global(site)),
        Op::Concat(_) => Box::new(structure::Concatenated::new(site)),
        Op::Flatten(_) | Op::Reshape(_) => Box::new(structure::Reshaped::new(first, site.output)),
        Op::Transpose(op) => Box::new(structure::Moved::transposed(op, first, site.output)),
        Op::Slice(op) => Box::new(structure::Moved::slice(op, first, site.output)),
        Op::Pad(op) => Box::new(structure::Moved::padded(op, first, site.output)),
        Op::Linear(op) => Box::new(linear::Affine::new(op, site)),
    }
}
