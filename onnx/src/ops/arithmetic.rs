//! `Add` and `Sum` of tensors; `Sub` and `Div` by constants, which are a normalisation.

use models::Tensor;
use models::ops::{Add, Normalize, Op};

use super::ReadError;
use crate::export::Writer;
use crate::import::{NodeView, Reader, Value};

pub(super) fn read_add(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let constants =
        view.inputs().iter().map(|name| reader.value(name).map(|value| matches!(value, Value::Constant(..))));
    if constants.collect::<Result<Vec<_>, _>>()?.contains(&true) {
        return super::linear::read_bias(view, reader);
    }
    let inputs: Vec<_> =
        (0..view.inputs().len()).map(|index| view.node_input(reader, index)).collect::<Result<_, _>>()?;
    match inputs[..] {
        [only] => Ok(Value::Node(only)),
        _ => reader.push(view, Add, &inputs),
    }
}

pub(super) fn read_sub(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let input = view.node_input(reader, 0)?;
    let mean = per_channel(view, reader)?;
    let std = vec![1.0; mean.len()];
    reader.push(view, Normalize { mean, std }, &[input])
}

/// A division right behind a subtraction is the second half of one normalisation.
pub(super) fn read_div(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let input = view.node_input(reader, 0)?;
    let std = per_channel(view, reader)?;
    let before = reader.builder.node(input);
    match &before.op {
        Op::Normalize(half) if half.std.iter().all(|&std| std == 1.0) => {
            let (mean, source) = (half.mean.clone(), before.inputs[0]);
            reader.push(view, Normalize { mean, std }, &[source])
        }
        _ => reader.push(view, Normalize { mean: vec![0.0; std.len()], std }, &[input]),
    }
}

/// The constant behind the second input as one number a channel.
fn per_channel(view: &NodeView<'_>, reader: &Reader) -> Result<Vec<f32>, ReadError> {
    let (name, tensor) = view.tensor_input(reader, 1)?;
    let (channels, ..) = reader.shape(view.node_input(reader, 0)?).chw().map_err(|_| {
        ReadError::Unsupported("arithmetic with a constant on something that is not an image".to_owned())
    })?;
    let numbers = tensor.data();
    match (tensor.shape(), numbers) {
        (_, [number]) => Ok(vec![*number; channels]),
        ([c, 1, 1] | [1, c, 1, 1], _) if *c == channels => Ok(numbers.to_vec()),
        (shape, _) => Err(ReadError::Unsupported(format!(
            "arithmetic with the constant `{name}` of shape {shape:?}; only one number a channel is read"
        ))),
    }
}

/// Two nodes, `Sub` and `Div`, under the name of one.
pub(super) fn write_normalize(op: &Normalize, writer: &mut Writer<'_>) {
    let constant = |numbers: &[f32]| Tensor::new([1, numbers.len(), 1, 1], numbers.to_vec());
    writer.constant_step("Sub", "mean", constant(&op.mean));
    writer.constant_node("Div", "std", constant(&op.std));
}
