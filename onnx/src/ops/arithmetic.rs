//! `Add`, `Sum` and `Mul` of tensors; `Add`, `Sub`, `Mul` and `Div` with constants, one for each channel.

use models::ops::{Add, Conv2d, Linear, Mul, Normalize, Op, Scale};
use models::{NodeId, Tensor};

use super::activation::product;
use super::layout::{channels_last, elementwise, show_channels_last};
use crate::read::{GraphReader, NamedValue, NewNode, NodeView, ReadError};
use crate::write::GraphWriter;

pub(super) fn read_add(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    if let Some(operands) = Operands::of(view, reader)? {
        return read_bias(view, reader, &operands);
    }
    let inputs = view.node_inputs(reader)?;
    match inputs[..] {
        [only] => Ok(NamedValue::Node(only)),
        _ => elementwise(view, reader, Add, &inputs),
    }
}

pub(super) fn read_mul(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    if let Some(operands) = Operands::of(view, reader)? {
        let channels = operands.channels(reader)?;
        let weight = operands.numbers(channels, reader)?;
        let scale = Scale { channels, weight: true, bias: false };
        return per_channel(view, reader, &operands, |view, reader, x| {
            let params = vec![(operands.name.clone(), weight)];
            reader.push_with(NewNode { name: view.name(), op: scale.into(), params }, &[x])
        });
    }
    let inputs = view.node_inputs(reader)?;
    let [a, b] = inputs[..] else {
        return Err(ReadError::Unsupported(format!("a product of {} tensors", inputs.len())));
    };
    match product(reader, [a, b]) {
        Some((function, x)) => elementwise(view, reader, function, &[x]),
        None => elementwise(view, reader, Mul, &inputs),
    }
}

/// A constant added to something is the bias of the layer before it, where that has none yet.
fn read_bias(view: &NodeView<'_>, reader: &mut GraphReader, operands: &Operands) -> Result<NamedValue, ReadError> {
    let channels = operands.channels(reader)?;
    let bias = (operands.name.clone(), operands.numbers(channels, reader)?);
    per_channel(view, reader, operands, |view, reader, x| {
        let node = reader.builder.node(x).clone();
        let with_bias: Option<Op> = match &node.op {
            Op::Linear(linear) if !linear.bias => Some(Linear { bias: true, ..*linear }.into()),
            Op::Conv2d(conv) if !conv.bias => Some(Conv2d { bias: true, ..conv.clone() }.into()),
            Op::Scale(scale) if !scale.bias => Some(Scale { bias: true, ..*scale }.into()),
            _ => None,
        };
        match (with_bias, node.params.first()) {
            (Some(op), Some(weight)) => {
                let tensor = reader.param(weight).ok_or_else(|| ReadError::Undefined(weight.clone()))?;
                let params = vec![(weight.clone(), tensor), bias];
                reader.absorb(NewNode { name: view.name(), op, params }, x)
            }
            _ => {
                let shift = Scale { channels, weight: false, bias: true };
                reader.push_with(NewNode { name: view.name(), op: shift.into(), params: vec![bias] }, &[x])
            }
        }
    })
}

pub(super) fn read_sub(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let (operands, mean) = subtrahend(view, reader)?;
    let std = vec![1.0; mean.len()];
    per_channel(view, reader, &operands, |view, reader, x| reader.push(view.name(), Normalize { mean, std }, &[x]))
}

/// A division right behind a subtraction is the second half of one normalisation.
pub(super) fn read_div(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let (operands, std) = subtrahend(view, reader)?;
    per_channel(view, reader, &operands, |view, reader, x| {
        let half = match &reader.builder.node(x).op {
            Op::Normalize(half) if half.std.iter().all(|&std| std == 1.0) => Some(half.mean.clone()),
            _ => None,
        };
        match half {
            Some(mean) => {
                let op = Normalize { mean, std }.into();
                reader.absorb(NewNode { name: view.name(), op, params: vec![] }, x)
            }
            None => reader.push(view.name(), Normalize { mean: vec![0.0; std.len()], std }, &[x]),
        }
    })
}

/// The constants of a difference or quotient, which must be its second input.
fn subtrahend(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<(Operands, Vec<f32>), ReadError> {
    let node = view.node_input(reader, 0)?;
    let (name, constant) = view.tensor_input(reader, 1)?;
    let operands = Operands { node, name, constant };
    let channels = operands.channels(reader)?;
    let numbers = operands.numbers(channels, reader)?;
    // These, and as many that change nothing, become a part of the node.
    reader.expand(2 * channels)?;
    Ok((operands, numbers.data().to_vec()))
}

/// A tensor of the network and a constant of the file.
struct Operands {
    node: NodeId,
    name: String,
    constant: Tensor,
}

impl Operands {
    /// The operands of a node with two inputs, one of them constant, in either order.
    fn of(view: &NodeView<'_>, reader: &GraphReader) -> Result<Option<Self>, ReadError> {
        let constant = |index| Ok::<_, ReadError>(matches!(view.value(reader, index)?, NamedValue::Constant(..)));
        let index = match view.inputs() {
            [_, _] if constant(1)? => 1,
            [_, _] if constant(0)? => 0,
            _ => return Ok(None),
        };
        let (name, constant) = view.tensor_input(reader, index)?;
        Ok(Some(Self { node: view.node_input(reader, 1 - index)?, name, constant }))
    }

    /// The channels of the tensor, wherever they are.
    fn channels(&self, reader: &GraphReader) -> Result<usize, ReadError> {
        let id = channels_last(reader, self.node).unwrap_or(self.node);
        reader
            .shape(id)
            .dims()
            .first()
            .copied()
            .ok_or_else(|| ReadError::Unsupported("arithmetic with no tensor".into()))
    }

    /// The constant as one number a channel.
    fn numbers(&self, channels: usize, reader: &mut GraphReader) -> Result<Tensor, ReadError> {
        let (shape, numbers) = (self.constant.shape(), self.constant.data());
        if let [number] = numbers {
            reader.expand(channels)?;
            return Ok(Tensor::new([channels], vec![*number; channels]));
        }
        // Dimensions are matched from the last one on, so the channels must stand as far from the end as in the tensor.
        let behind = match channels_last(reader, self.node) {
            Some(_) => 0,
            None => reader.shape(self.node).dims().len() - 1,
        };
        let inner = shape.iter().rev().take(behind).all(|&size| size == 1);
        let outer = shape.iter().rev().skip(behind + 1).all(|&size| size == 1);
        match shape.iter().rev().nth(behind) {
            Some(&size) if size == channels && inner && outer => Ok(self.constant.reshaped(&[channels])),
            _ => Err(ReadError::Unsupported(format!(
                "arithmetic with the constant `{}` of shape {shape:?}; only one number a channel is read",
                self.name
            ))),
        }
    }
}

/// Arithmetic per channel, done channels first where the file does it channels last.
fn per_channel(
    view: &NodeView<'_>,
    reader: &mut GraphReader,
    operands: &Operands,
    push: impl FnOnce(&NodeView<'_>, &mut GraphReader, NodeId) -> Result<NamedValue, ReadError>,
) -> Result<NamedValue, ReadError> {
    let Some(source) = channels_last(reader, operands.node) else { return push(view, reader, operands.node) };
    let value = push(view, reader, source)?;
    show_channels_last(view, reader, value)
}

/// Two nodes, `Sub` and `Div`, under the name of one.
pub(super) fn write_normalize(op: &Normalize, writer: &mut GraphWriter<'_>) {
    let [mean, std] = [("mean", &op.mean), ("std", &op.std)]
        .map(|(role, numbers)| writer.constant(role, &Tensor::new([1, numbers.len(), 1, 1], numbers.clone())));
    let x = writer.inputs().swap_remove(0);
    let centered = writer.step("Sub", vec![x, mean], vec![]);
    writer.last("Div", vec![centered, std], vec![]);
}

/// `Add` takes two tensors, `Sum` any number.
pub(super) fn write_add(writer: &mut GraphWriter<'_>) {
    writer.node(if writer.inputs().len() == 2 { "Add" } else { "Sum" });
}

/// `Mul`, `Add`, or one behind the other.
pub(super) fn write_scale(op: &Scale, writer: &mut GraphWriter<'_>) {
    let x = writer.inputs().swap_remove(0);
    let params = writer.column_params();
    match (op.weight, op.bias, &params[..]) {
        (true, true, [weight, bias]) => {
            let scaled = writer.step("Mul", vec![x, weight.clone()], vec![]);
            writer.last("Add", vec![scaled, bias.clone()], vec![]);
        }
        (true, false, [weight]) => writer.last("Mul", vec![x, weight.clone()], vec![]),
        (false, true, [bias]) => writer.last("Add", vec![x, bias.clone()], vec![]),
        _ => writer.alias(),
    }
}
