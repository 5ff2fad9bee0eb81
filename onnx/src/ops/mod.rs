//! How ONNX spells each operator family: one file a family, reading and writing side by side.

mod activation;
mod arithmetic;
mod constant;
mod conv;
mod linear;
mod norm;
mod pool;
mod region;
mod structure;

use models::graph::GraphError;
use models::ops::Op;
use thiserror::Error;

use crate::export::Writer;
use crate::import::{NodeView, Reader, Value};

pub(crate) use region::read_spans;

/// Why a node cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// An operator that graft has no meaning for.
    #[error("graft does not know this operator; it reads {}", known_operators())]
    UnknownOperator,
    /// An operator of a quantised network.
    #[error("the network is quantised, and graft takes only networks of real numbers apart")]
    Quantized,
    /// A name that nothing before the node produces.
    #[error("its input `{0}` is not produced by any earlier node")]
    Undefined(String),
    /// An input that the operator cannot do without.
    #[error("its input {0} is missing")]
    MissingInput(usize),
    /// A node that puts nothing out.
    #[error("its first output has no name, so that nothing can take it")]
    NoOutput,
    /// An attribute that makes no sense.
    #[error("attribute `{name}` = {value} is not valid")]
    Attribute {
        /// The attribute.
        name: &'static str,
        /// What the file says.
        value: String,
    },
    /// A use of the operator that graft does not support.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// It does not fit its inputs.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

type Read = fn(&NodeView<'_>, &mut Reader) -> Result<Value, ReadError>;

/// Every ONNX operator that can be read.
const READERS: &[(&str, Read)] = &[
    ("Add", arithmetic::read_add),
    ("AveragePool", pool::read_average),
    ("BatchNormalization", norm::read),
    ("Cast", structure::read_cast),
    ("Clip", activation::read_clip),
    ("Concat", structure::read_concat),
    ("Constant", constant::read),
    ("ConstantOfShape", constant::read_of_shape),
    ("Conv", conv::read),
    ("DequantizeLinear", quantized),
    ("Div", arithmetic::read_div),
    ("Dropout", activation::read_dropout),
    ("DynamicQuantizeLinear", quantized),
    ("Elu", activation::read_elu),
    ("Flatten", structure::read_flatten),
    ("Gather", region::read_gather),
    ("Gemm", linear::read_gemm),
    ("GlobalAveragePool", pool::read_global_average),
    ("GlobalMaxPool", pool::read_global_max),
    ("HardSigmoid", activation::read_hard_sigmoid),
    ("HardSwish", activation::read_hard_swish),
    ("Identity", structure::read_identity),
    ("LRN", norm::read_local_response),
    ("LeakyRelu", activation::read_leaky_relu),
    ("MatMul", linear::read_matmul),
    ("MaxPool", pool::read_max),
    ("Mul", arithmetic::read_mul),
    ("Pad", region::read_pad),
    ("QLinearConv", quantized),
    ("QuantizeLinear", quantized),
    ("ReduceMean", pool::read_reduce_mean),
    ("Relu", activation::read_relu),
    ("Reshape", structure::read_reshape),
    ("Shape", constant::read_shape),
    ("Sigmoid", activation::read_sigmoid),
    ("Slice", region::read_slice),
    ("Softmax", activation::read_softmax),
    ("Split", region::read_split),
    ("Squeeze", structure::read_squeeze),
    ("Sub", arithmetic::read_sub),
    ("Sum", arithmetic::read_add),
    ("Tanh", activation::read_tanh),
    ("Transpose", structure::read_transpose),
    ("Unsqueeze", structure::read_unsqueeze),
];

fn quantized(_view: &NodeView<'_>, _reader: &mut Reader) -> Result<Value, ReadError> {
    Err(ReadError::Quantized)
}

fn known_operators() -> String {
    READERS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Reads one node of a file.
pub(crate) fn read(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    if !matches!(view.domain(), "" | "ai.onnx") {
        return Err(ReadError::UnknownOperator);
    }
    if view.output().is_empty() {
        return Err(ReadError::NoOutput);
    }
    if let Some(constant) = crate::import::fold(view, reader)? {
        return Ok(constant);
    }
    let (_, read) = READERS.iter().find(|(name, _)| *name == view.op_type()).ok_or(ReadError::UnknownOperator)?;
    read(view, reader)
}

/// Writes one node of a graph.
pub(crate) fn write(op: &Op, writer: &mut Writer<'_>) {
    match op {
        Op::Input(_) => writer.input(),
        Op::Dropout(op) => activation::write_dropout(*op, writer),
        Op::Normalize(op) => arithmetic::write_normalize(op, writer),
        Op::Scale(op) => arithmetic::write_scale(op, writer),
        Op::Add(_) => arithmetic::write_add(writer),
        Op::Mul(_) => writer.node("Mul"),
        Op::Conv2d(op) => conv::write(op, writer),
        Op::BatchNorm(op) => norm::write(op, writer),
        Op::LocalResponseNorm(op) => norm::write_local_response(op, writer),
        Op::Relu(_) => writer.node("Relu"),
        Op::Activation(op) => activation::write(*op, writer),
        Op::Softmax(_) => activation::write_softmax(writer),
        Op::MaxPool(op) => pool::write_max(op, writer),
        Op::AvgPool(op) => pool::write_average(op, writer),
        Op::AdaptiveAvgPool(op) => pool::write_adaptive(*op, writer),
        Op::GlobalAvgPool(_) => writer.node("GlobalAveragePool"),
        Op::Concat(_) => structure::write_concat(writer),
        Op::Flatten(_) => structure::write_flatten(writer),
        Op::Reshape(op) => structure::write_reshape(op, writer),
        Op::Transpose(op) => structure::write_transpose(op, writer),
        Op::Slice(op) => region::write_slice(op, writer),
        Op::Pad(op) => region::write_pad(op, writer),
        Op::Linear(op) => linear::write(op, writer),
    }
}
