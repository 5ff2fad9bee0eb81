//! Nodes that are constants.

use models::Tensor;

use super::ReadError;
use crate::import::{Constant, NodeView, Reader, Value};

/// More numbers than any layer of an image network has: two gigabytes.
const LARGEST: usize = 1 << 29;

pub(super) fn read(view: &NodeView<'_>, _reader: &mut Reader) -> Result<Value, ReadError> {
    let tensor = view.attribute("value").and_then(|attribute| attribute.t.as_ref());
    let tensor = tensor.ok_or(ReadError::Unsupported("a constant without the attribute `value`".to_owned()))?;
    let constant = Constant::decode(tensor).map_err(ReadError::Unsupported)?;
    Ok(Value::Constant(view.output().to_owned(), constant))
}

/// A tensor of one repeated number: how the ONNX project stores topologies without weights.
pub(super) fn read_of_shape(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let dims = view.ints_input(reader, 0)?;
    let shape: Option<Vec<usize>> = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let size = shape.as_ref().and_then(|shape| shape.iter().try_fold(1_usize, |size, &dim| size.checked_mul(dim)));
    let (Some(shape), Some(size @ ..LARGEST)) = (shape, size) else {
        return Err(ReadError::Unsupported(format!("a constant of shape {dims:?}")));
    };
    let value = view.attribute("value").and_then(|attribute| attribute.t.as_ref());
    let constant = match value.map(Constant::decode).transpose().map_err(ReadError::Unsupported)? {
        None => Constant::Floats(Tensor::new(shape, vec![0.0; size])),
        Some(Constant::Floats(value)) => {
            Constant::Floats(Tensor::new(shape, vec![value.data().first().copied().unwrap_or_default(); size]))
        }
        Some(Constant::Ints(value)) => Constant::Ints(vec![value.first().copied().unwrap_or_default(); size]),
    };
    Ok(Value::Constant(view.output().to_owned(), constant))
}
