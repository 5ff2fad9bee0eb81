//! The operators that a network is made of: attributes, parameters, shapes and costs, one file per family.
//!
//! Every tensor has a leading batch dimension that no operator looks at, so a [`Shape`] leaves it out:
//! `[channels, height, width]` for feature maps, `[features]` for vectors.

mod activation;
mod arithmetic;
mod conv;
mod input;
mod linear;
mod norm;
mod pool;
mod region;
mod shape;
mod structure;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use activation::{Activation, Dropout, Relu, Softmax};
pub use arithmetic::{Add, Mul, Normalize, Scale};
pub use conv::Conv2d;
pub use input::Input;
pub use linear::Linear;
pub use norm::{BatchNorm, L2Length, L2Norm, LocalResponseNorm};
pub use pool::{AdaptiveAvgPool, AvgPool, GlobalAvgPool, MaxPool, Window};
pub use region::{Pad, Slice, Span};
pub use shape::{Padding, Shape, numbers};
pub use structure::{Concat, Flatten, Reshape, Transpose};

/// The shapes, parameters and cost of an operator.
pub trait Operator {
    /// The operator's name in messages and tables, such as `Conv2d`.
    fn kind(&self) -> &'static str;

    /// The shape of the output for inputs of these shapes.
    ///
    /// # Errors
    /// [`ShapeError`] when the operator cannot take such inputs.
    fn output_shape(&self, inputs: &[&Shape]) -> Result<Shape, ShapeError>;

    /// The parameters that a node with this operator owns, in the order in which the node names them.
    fn params(&self) -> Vec<ParamDecl> {
        Vec::new()
    }

    /// Multiply-accumulates for one image. Counted as torchvision's "GFLOPS" column counts: convolutions and linear
    /// layers, everything else is free.
    fn macs(&self, _output: &Shape) -> u64 {
        0
    }
}

/// A parameter that an operator declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamDecl {
    /// The last part of its state-dict name: `weight`, `bias`, `running_mean`, …
    pub role: &'static str,
    /// Its shape, in PyTorch's layout.
    pub shape: Vec<usize>,
    /// False for running statistics, which no optimizer touches and no parameter count includes.
    pub trainable: bool,
}

impl ParamDecl {
    fn trainable(role: &'static str, shape: &[usize]) -> Self {
        Self { role, shape: shape.to_vec(), trainable: true }
    }

    fn statistic(role: &'static str, shape: &[usize]) -> Self {
        Self { role, shape: shape.to_vec(), trainable: false }
    }
}

/// Why an operator cannot take its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ShapeError {
    /// The wrong number of inputs.
    #[error("takes {expected} input(s), is given {found}")]
    Arity {
        /// The number that it takes.
        expected: &'static str,
        /// The number that it was given.
        found: usize,
    },
    /// Inputs of an unsupported shape.
    #[error("expects {expected}, is given {found}")]
    Mismatch {
        /// The shape that it takes.
        expected: String,
        /// The shape that it was given.
        found: String,
    },
    /// An attribute out of range.
    #[error("has {name} = {value}, which cannot be computed with")]
    Attribute {
        /// The attribute's name.
        name: &'static str,
        /// The attribute's value.
        value: String,
    },
    /// An output that is empty or exceeds 2^36 numbers.
    #[error("makes a tensor of shape {found}; it must hold a number, and not more than 2^36 in 8 dimensions")]
    Size {
        /// The shape of the output.
        found: String,
    },
    /// The window is larger than the padded image.
    #[error("a window of {window} does not fit into a padded {padded} image")]
    TooSmall {
        /// Height x width of the (dilated) window.
        window: String,
        /// Height x width of the padded image.
        padded: String,
    },
}

/// One operator with its attributes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// The network's input.
    Input(Input),
    /// `(x - mean) / std` per channel with constants.
    Normalize(Normalize),
    /// `weight·x + bias` per channel.
    Scale(Scale),
    /// Two-dimensional convolution.
    Conv2d(Conv2d),
    /// Batch normalization.
    BatchNorm(BatchNorm),
    /// Normalization by neighbouring channels.
    LocalResponseNorm(LocalResponseNorm),
    /// Division of a vector by its length.
    L2Norm(L2Norm),
    /// The length of a vector.
    L2Length(L2Length),
    /// `max(x, 0)`.
    Relu(Relu),
    /// Any other function of one number.
    Activation(Activation),
    /// Maximum over windows.
    MaxPool(MaxPool),
    /// Mean over windows.
    AvgPool(AvgPool),
    /// Mean over windows that divide the image into a fixed number.
    AdaptiveAvgPool(AdaptiveAvgPool),
    /// Mean over the whole image.
    GlobalAvgPool(GlobalAvgPool),
    /// Sum of tensors of one shape.
    Add(Add),
    /// Product of two tensors.
    Mul(Mul),
    /// Channels of several tensors one after another.
    Concat(Concat),
    /// `[c, h, w]` to `[c·h·w]`.
    Flatten(Flatten),
    /// The same numbers in another shape.
    Reshape(Reshape),
    /// Dimensions in another order.
    Transpose(Transpose),
    /// A part of a tensor.
    Slice(Slice),
    /// Constant numbers around a tensor.
    Pad(Pad),
    /// Fully connected layer.
    Linear(Linear),
    /// Dropout; the identity outside training.
    Dropout(Dropout),
    /// Exponentials normalized to sum to one.
    Softmax(Softmax),
}

impl Op {
    /// The operator behind the variant.
    #[must_use]
    pub fn operator(&self) -> &dyn Operator {
        match self {
            Op::Input(op) => op,
            Op::Normalize(op) => op,
            Op::Scale(op) => op,
            Op::Conv2d(op) => op,
            Op::BatchNorm(op) => op,
            Op::LocalResponseNorm(op) => op,
            Op::L2Norm(op) => op,
            Op::L2Length(op) => op,
            Op::Relu(op) => op,
            Op::Activation(op) => op,
            Op::MaxPool(op) => op,
            Op::AvgPool(op) => op,
            Op::AdaptiveAvgPool(op) => op,
            Op::GlobalAvgPool(op) => op,
            Op::Add(op) => op,
            Op::Mul(op) => op,
            Op::Concat(op) => op,
            Op::Flatten(op) => op,
            Op::Reshape(op) => op,
            Op::Transpose(op) => op,
            Op::Slice(op) => op,
            Op::Pad(op) => op,
            Op::Linear(op) => op,
            Op::Dropout(op) => op,
            Op::Softmax(op) => op,
        }
    }
}

macro_rules! op_from {
    ($($family:ident),* $(,)?) => {$(
        impl From<$family> for Op {
            fn from(op: $family) -> Self {
                Op::$family(op)
            }
        }
    )*};
}

op_from!(
    Input,
    Normalize,
    Scale,
    Conv2d,
    BatchNorm,
    LocalResponseNorm,
    L2Norm,
    L2Length,
    Relu,
    Activation,
    MaxPool,
    AvgPool,
    AdaptiveAvgPool,
    GlobalAvgPool,
    Add,
    Mul,
    Concat,
    Flatten,
    Reshape,
    Transpose,
    Slice,
    Pad,
    Linear,
    Dropout,
    Softmax,
);

/// The single input of an operator that takes exactly one.
fn only<'a>(inputs: &[&'a Shape]) -> Result<&'a Shape, ShapeError> {
    match inputs {
        [shape] => Ok(shape),
        _ => Err(ShapeError::Arity { expected: "one", found: inputs.len() }),
    }
}

/// The shape of the single input, which must have this many channels or features.
fn with_channels<'a>(inputs: &[&'a Shape], channels: usize) -> Result<&'a Shape, ShapeError> {
    let input = only(inputs)?;
    if input.dims().first() == Some(&channels) {
        Ok(input)
    } else {
        Err(input.mismatch(format!("{channels} channels")))
    }
}
