//! How ONNX spells each operator family: one file a family, reading and writing side by side.

mod activation;
mod arithmetic;
mod constant;
mod conv;
mod linear;
mod norm;
mod pool;
mod structure;

use models::graph::GraphError;
use models::ops::Op;
use thiserror::Error;

use crate::export::Writer;
use crate::import::{NodeView, Reader, Value};

/// Why a node cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// An operator that graft has no meaning for.
    #[error("graft does not know this operator; it reads {}", known_operators())]
    UnknownOperator,
    /// A name that nothing before the node produces.
    #[error("its input `{0}` is not produced by any earlier node")]
    Undefined(String),
    /// An input that the operator cannot do without.
    #[error("its input {0} is missing")]
    MissingInput(usize),
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
    ("Concat", structure::read_concat),
    ("Constant", constant::read),
    ("ConstantOfShape", constant::read_of_shape),
    ("Conv", conv::read),
    ("Div", arithmetic::read_div),
    ("Dropout", activation::read_dropout),
    ("Flatten", structure::read_flatten),
    ("Gemm", linear::read_gemm),
    ("GlobalAveragePool", pool::read_global_average),
    ("Identity", structure::read_identity),
    ("MatMul", linear::read_matmul),
    ("MaxPool", pool::read_max),
    ("ReduceMean", pool::read_reduce_mean),
    ("Relu", activation::read_relu),
    ("Reshape", structure::read_reshape),
    ("Softmax", activation::read_softmax),
    ("Squeeze", structure::read_squeeze),
    ("Sub", arithmetic::read_sub),
    ("Sum", arithmetic::read_add),
];

fn known_operators() -> String {
    READERS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Reads one node of a file.
pub(crate) fn read(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let standard = matches!(view.domain(), "" | "ai.onnx");
    let known = READERS.iter().find(|(name, _)| standard && *name == view.op_type());
    let (_, read) = known.ok_or(ReadError::UnknownOperator)?;
    read(view, reader)
}

/// Writes one node of a graph.
pub(crate) fn write(op: &Op, writer: &mut Writer<'_>) {
    match op {
        // The graph's input, and what is the identity when a network runs.
        Op::Input(_) => {}
        Op::Dropout(_) => writer.alias(),
        Op::Normalize(op) => arithmetic::write_normalize(op, writer),
        Op::Add(_) => writer.node("Add"),
        Op::Conv2d(op) => conv::write(op, writer),
        Op::BatchNorm(op) => norm::write(op, writer),
        Op::Relu(_) => writer.node("Relu"),
        Op::Softmax(_) => activation::write_softmax(writer),
        Op::MaxPool(op) => pool::write_max(op, writer),
        Op::AvgPool(op) => pool::write_average(op, writer),
        Op::GlobalAvgPool(_) => writer.node("GlobalAveragePool"),
        Op::Concat(_) => structure::write_concat(writer),
        Op::Flatten(_) => structure::write_flatten(writer),
        Op::Linear(op) => linear::write(op, writer),
    }
}
