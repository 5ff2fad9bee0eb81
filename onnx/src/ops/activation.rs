//! `Relu`, `Dropout`, `Softmax`.

use models::ops::{Dropout, Relu, Softmax};

use super::ReadError;
use crate::export::{Attribute, Writer};
use crate::import::{NodeView, Reader, Value};

pub(super) fn read_relu(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let input = view.node_input(reader, 0)?;
    reader.push(view, Relu, &[input])
}

pub(super) fn read_dropout(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let input = view.node_input(reader, 0)?;
    // Opset 12 made the ratio an input; 0.5 is the default of both spellings.
    let ratio = match view.input(1) {
        Some(_) => view.tensor_input(reader, 1)?.1.data().first().copied().unwrap_or(0.5),
        None => view.float("ratio", 0.5),
    };
    reader.push(view, Dropout { p: ratio }, &[input])
}

pub(super) fn read_softmax(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let input = view.node_input(reader, 0)?;
    let shape = reader.shape(input);
    let default = if reader.opset < 13 { 1 } else { -1 };
    let axis = view.int("axis", default);
    let rank = shape.dims().len() as i64 + 1;
    // A softmax over [n, classes, 1, 1] is one over the classes in every opset.
    let classes_only = shape.dims()[1..].iter().all(|&size| size == 1);
    if classes_only && (axis == 1 || axis == 1 - rank) {
        return reader.push(view, Softmax, &[input]);
    }
    Err(ReadError::Unsupported(format!("a softmax of {shape} over axis {axis}; only one over the classes is read")))
}

pub(super) fn write_softmax(writer: &mut Writer<'_>) {
    writer.node_with("Softmax", vec![Attribute::int("axis", 1)]);
}
