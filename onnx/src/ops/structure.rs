//! `Concat`, `Flatten`, and the other ways of writing a flatten or nothing at all.

use models::ops::{Concat, Flatten};

use super::ReadError;
use crate::export::{Attribute, Writer};
use crate::import::{NodeView, Reader, Value};

pub(super) fn read_concat(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let inputs: Vec<_> =
        (0..view.inputs().len()).map(|index| view.node_input(reader, index)).collect::<Result<_, _>>()?;
    match view.int("axis", 1) {
        1 | -3 => reader.push(view, Concat, &inputs),
        axis => Err(ReadError::Unsupported(format!("concatenation over axis {axis}; only over channels is read"))),
    }
}

pub(super) fn read_flatten(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    match view.int("axis", 1) {
        1 => flatten(view, reader),
        axis => Err(ReadError::Unsupported(format!("a flatten at axis {axis}; only behind the batch is read"))),
    }
}

pub(super) fn read_identity(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let name = view.input(0).ok_or(ReadError::MissingInput(0))?;
    reader.value(name).cloned()
}

/// A reshape to `[batch, features]`, with the batch spelled 0, -1 or as the number it was exported with.
pub(super) fn read_reshape(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let shape = view.ints_input(reader, 1)?;
    let features = reader.shape(view.node_input(reader, 0)?).len() as i64;
    match shape[..] {
        [batch, rest] if rest == features || (rest == -1 && batch != -1) => flatten(view, reader),
        _ => Err(ReadError::Unsupported(format!("a reshape to {shape:?}; only one to [batch, features] is read"))),
    }
}

/// `[n, c, 1, 1]` to `[n, c]`.
pub(super) fn read_squeeze(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let input = view.node_input(reader, 0)?;
    match reader.shape(input).dims() {
        [_, 1, 1] => flatten(view, reader),
        _ => Err(ReadError::Unsupported(format!("squeezing {}", reader.shape(input)))),
    }
}

pub(super) fn write_concat(writer: &mut Writer<'_>) {
    writer.node_with("Concat", vec![Attribute::int("axis", 1)]);
}

pub(super) fn write_flatten(writer: &mut Writer<'_>) {
    writer.node_with("Flatten", vec![Attribute::int("axis", 1)]);
}

/// A flatten, unless there is nothing to flatten.
fn flatten(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let input = view.node_input(reader, 0)?;
    match reader.shape(input).dims() {
        [_] => Ok(Value::Node(input)),
        _ => reader.push(view, Flatten, &[input]),
    }
}
