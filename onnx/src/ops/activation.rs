//! `Relu`, `Clip`, `Sigmoid` and the other functions of one number; `Dropout`; `Softmax`.

use models::NodeId;
use models::ops::{Activation, Dropout, Op, Relu, Softmax};

use super::layout::elementwise;
use crate::read::{GraphReader, NamedValue, NodeView, ReadError};
use crate::write::{Attribute, BatchNormalization, GraphWriter};

/// The slope and the value at zero of the gate in a hard swish.
const HARD_SWISH_GATE: Activation = Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 };
/// The operator set that has a name for it.
const HARD_SWISH_OPSET: i64 = 14;

pub(super) fn read_relu(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    elementwise(view, reader, Relu, &[input])
}

pub(super) fn read_leaky_relu(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    push(view, reader, Activation::LeakyRelu { alpha: view.float("alpha", 0.01) })
}

/// The limits were attributes before operator set 11.
pub(super) fn read_clip(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let min = view.scalar_input(reader, 1)?.unwrap_or(view.float("min", f32::MIN));
    let max = view.scalar_input(reader, 2)?.unwrap_or(view.float("max", f32::MAX));
    let [min, max] = [min, max].map(|limit| limit.clamp(f32::MIN, f32::MAX));
    if min == 0.0 && max == f32::MAX {
        return read_relu(view, reader);
    }
    push(view, reader, Activation::Clip { min, max })
}

pub(super) fn read_sigmoid(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    push(view, reader, Activation::Sigmoid)
}

pub(super) fn read_hard_sigmoid(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let (alpha, beta) = (view.float("alpha", 0.2), view.float("beta", 0.5));
    push(view, reader, Activation::HardSigmoid { alpha, beta })
}

pub(super) fn read_hard_swish(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    push(view, reader, Activation::HardSwish)
}

pub(super) fn read_tanh(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    push(view, reader, Activation::Tanh)
}

pub(super) fn read_elu(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    push(view, reader, Activation::Elu { alpha: view.float("alpha", 1.0) })
}

pub(super) fn read_abs(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    push(view, reader, Activation::Abs)
}

pub(super) fn read_sign(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    push(view, reader, Activation::Sign)
}

pub(super) fn read_sqrt(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    push(view, reader, Activation::Sqrt)
}

/// A product of two tensors that is one function of one number, with that number.
pub(super) fn product(reader: &GraphReader, factors: [NodeId; 2]) -> Option<(Activation, NodeId)> {
    let hard_swish = hard_swish(reader, factors).map(|x| (Activation::HardSwish, x));
    hard_swish.or_else(|| signed_sqrt(reader, factors).map(|x| (Activation::SignedSqrt, x)))
}

/// The number of which this is the sign times the root of the size.
fn signed_sqrt(reader: &GraphReader, [a, b]: [NodeId; 2]) -> Option<NodeId> {
    let input = |id: NodeId, function: Activation| {
        let node = reader.builder.node(id);
        (node.op == Op::Activation(function)).then(|| node.inputs[0])
    };
    let root = |&(sign, root): &(NodeId, NodeId)| {
        let x = input(sign, Activation::Sign)?;
        (input(input(root, Activation::Sqrt)?, Activation::Abs)? == x).then_some(x)
    };
    [(a, b), (b, a)].iter().find_map(root)
}

/// The number that is gated, if this product is a hard swish in the spelling of operator set 13.
fn hard_swish(reader: &GraphReader, [a, b]: [NodeId; 2]) -> Option<NodeId> {
    let gated = |&(x, gate): &(NodeId, NodeId)| {
        let gate = reader.builder.node(gate);
        gate.op == Op::Activation(HARD_SWISH_GATE) && gate.inputs == [x]
    };
    [(a, b), (b, a)].into_iter().find(gated).map(|(x, _)| x)
}

pub(super) fn write(op: Activation, writer: &mut GraphWriter<'_>) {
    match op {
        Activation::LeakyRelu { alpha } => writer.node_with("LeakyRelu", vec![Attribute::float("alpha", alpha)]),
        Activation::Clip { min, max } => {
            let limits = [("min", min), ("max", max)].map(|(role, limit)| writer.scalar(role, limit));
            writer.node_taking("Clip", limits.to_vec(), vec![]);
        }
        Activation::Sigmoid => writer.node("Sigmoid"),
        Activation::HardSigmoid { alpha, beta } => writer.node_with("HardSigmoid", hard_sigmoid(alpha, beta)),
        Activation::HardSwish if writer.options().opset >= HARD_SWISH_OPSET => writer.node("HardSwish"),
        Activation::HardSwish => {
            let x = writer.inputs();
            let gate = writer.step("HardSigmoid", x.clone(), hard_sigmoid(1.0 / 6.0, 0.5));
            writer.last("Mul", vec![x[0].clone(), gate], vec![]);
        }
        Activation::Tanh => writer.node("Tanh"),
        Activation::Elu { alpha } => writer.node_with("Elu", vec![Attribute::float("alpha", alpha)]),
        Activation::Abs => writer.node("Abs"),
        Activation::Sign => writer.node("Sign"),
        Activation::Sqrt => writer.node("Sqrt"),
        Activation::SignedSqrt => {
            let x = writer.inputs();
            let sign = writer.step("Sign", x.clone(), vec![]);
            let size = writer.step("Abs", x, vec![]);
            let root = writer.step("Sqrt", vec![size], vec![]);
            writer.last("Mul", vec![sign, root], vec![]);
        }
    }
}

fn hard_sigmoid(alpha: f32, beta: f32) -> Vec<Attribute> {
    vec![Attribute::float("alpha", alpha), Attribute::float("beta", beta)]
}

fn push(view: &NodeView<'_>, reader: &mut GraphReader, op: Activation) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    elementwise(view, reader, op, &[input])
}

pub(super) fn read_dropout(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    // Operator set 12 made the ratio an input; 0.5 is the default of both spellings.
    let ratio = view.scalar_input(reader, 1)?.unwrap_or(view.float("ratio", 0.5));
    elementwise(view, reader, Dropout { p: ratio }, &[input])
}

/// Nothing in a file that is only run; the batch normalisation of one that is trained has its dropout as well.
pub(super) fn write_dropout(op: Dropout, writer: &mut GraphWriter<'_>) {
    match writer.options().batch_norm {
        BatchNormalization::Fold => writer.alias(),
        BatchNormalization::Keep => {
            let ratio = writer.scalar("ratio", op.p);
            writer.node_taking("Dropout", vec![ratio], vec![]);
        }
    }
}

pub(super) fn read_softmax(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let shape = reader.shape(input);
    let default = if reader.opset < 13 { 1 } else { -1 };
    let axis = view.int("axis", default);
    let rank = shape.dims().len() as i64 + 1;
    // A softmax over [n, classes, 1, 1] is one over the classes in every operator set.
    let classes_only = shape.dims().iter().skip(1).all(|&size| size == 1);
    if classes_only && (axis == 1 || axis == 1 - rank) {
        return reader.push(view.name(), Softmax, &[input]);
    }
    Err(ReadError::Unsupported(format!("a softmax of {shape} over axis {axis}; only one over the classes is read")))
}

pub(super) fn write_softmax(writer: &mut GraphWriter<'_>) {
    writer.node_with("Softmax", vec![Attribute::int("axis", 1)]);
}
