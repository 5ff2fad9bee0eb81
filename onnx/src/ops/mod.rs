//! How ONNX spells each operator family: one file a family, reading and writing side by side.

mod activation;
mod arithmetic;
mod constant;
mod conv;
mod evaluate;
mod layout;
mod linear;
mod norm;
mod pool;
mod region;
mod structure;

use models::ops::Op;

use crate::read::{GraphReader, NamedValue, NodeView, ReadError};
use crate::write::{GraphParts, GraphWriter};

type Read = fn(&NodeView<'_>, &mut GraphReader) -> Result<NamedValue, ReadError>;

/// Every ONNX operator that can be read.
const READERS: &[(&str, Read)] = &[
    ("Abs", activation::read_abs),
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
    ("LpNormalization", norm::read_lp),
    ("MatMul", linear::read_matmul),
    ("MaxPool", pool::read_max),
    ("Mul", arithmetic::read_mul),
    ("Pad", region::read_pad),
    ("QLinearConv", quantized),
    ("QuantizeLinear", quantized),
    ("ReduceL2", norm::read_length),
    ("ReduceMean", pool::read_reduce_mean),
    ("Relu", activation::read_relu),
    ("Reshape", structure::read_reshape),
    ("Shape", constant::read_shape),
    ("Sigmoid", activation::read_sigmoid),
    ("Sign", activation::read_sign),
    ("Slice", region::read_slice),
    ("Softmax", activation::read_softmax),
    ("Split", region::read_split),
    ("Sqrt", activation::read_sqrt),
    ("Squeeze", structure::read_squeeze),
    ("Sub", arithmetic::read_sub),
    ("Sum", arithmetic::read_add),
    ("Tanh", activation::read_tanh),
    ("Transpose", structure::read_transpose),
    ("Unsqueeze", structure::read_unsqueeze),
];

fn quantized(_view: &NodeView<'_>, _reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    Err(ReadError::Quantized)
}

fn unknown() -> ReadError {
    ReadError::UnknownOperator { known: READERS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ") }
}

/// Reads one node of a file.
pub(crate) fn read(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    if !matches!(view.domain(), "" | "ai.onnx") {
        return Err(unknown());
    }
    if view.output().is_empty() {
        return Err(ReadError::NoOutput);
    }
    if let Some(constant) = evaluate::evaluate(view, reader)? {
        return Ok(constant);
    }
    let (_, read) = READERS.iter().find(|(name, _)| *name == view.op_type()).ok_or_else(unknown)?;
    read(view, reader)
}

/// Writes every node of the writer's graph.
pub(crate) fn write(mut writer: GraphWriter<'_>) -> GraphParts {
    for (id, node) in writer.graph().iter() {
        writer.begin(id);
        write_node(&node.op, &mut writer);
    }
    writer.finish()
}

fn write_node(op: &Op, writer: &mut GraphWriter<'_>) {
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
        Op::L2Norm(_) => norm::write_lp(writer),
        Op::L2Length(_) => norm::write_length(writer),
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
