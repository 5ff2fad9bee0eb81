//! Nodes that are constants, and the shape of a tensor as one.

use crate::read::{BATCH, Constant, GraphReader, Ints, NamedValue, NodeView, ReadError, check_rank};
use models::Tensor;
use models::ops::numbers;

pub(super) fn read(view: &NodeView<'_>, _reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let attribute = |name: &str| view.attribute(name);
    let scalar = |number: f32| Constant::Floats(Tensor::new([0_usize; 0], vec![number]));
    let whole = |number: i64| Constant::Ints(Ints { shape: vec![], data: vec![number] });
    let constant = if let Some(tensor) = attribute("value").and_then(|attribute| attribute.t.as_ref()) {
        Constant::decode(tensor).map_err(ReadError::Unsupported)?
    } else if let Some(number) = attribute("value_float").and_then(|attribute| attribute.f) {
        scalar(number)
    } else if let Some(number) = attribute("value_int").and_then(|attribute| attribute.i) {
        whole(number)
    } else if let Some(floats) = attribute("value_floats") {
        Constant::Floats(Tensor::new([floats.floats.len()], floats.floats.clone()))
    } else if let Some(ints) = attribute("value_ints") {
        Constant::Ints(Ints::vector(ints.ints.clone()))
    } else {
        return Err(ReadError::Unsupported("a constant that holds no numbers".to_owned()));
    };
    Ok(NamedValue::Constant(view.output().to_owned(), constant))
}

/// A tensor of one repeated number: how the ONNX project stores topologies without weights.
pub(super) fn read_of_shape(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let dims = view.ints_input(reader, 0)?.data;
    let refuse = || ReadError::Unsupported(format!("a constant of shape {dims:?}"));
    let shape: Option<Vec<usize>> = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let shape = shape.ok_or_else(refuse)?;
    check_rank(shape.len()).map_err(ReadError::Unsupported)?;
    let size = numbers(&shape);
    let value = view.attribute("value").and_then(|attribute| attribute.t.as_ref());
    let value = value.map(Constant::decode).transpose().map_err(ReadError::Unsupported)?;
    let real = matches!(value, None | Some(Constant::Floats(_)));
    reader.expand(size.saturating_mul(if real { 1 } else { 2 }))?;
    let constant = match value {
        None => Constant::Floats(Tensor::new(shape, vec![0.0; size])),
        Some(Constant::Floats(value)) => {
            Constant::Floats(Tensor::new(shape, vec![value.data().first().copied().unwrap_or_default(); size]))
        }
        Some(value) => {
            let number = value.integers().map_err(ReadError::Unsupported)?.data.first().copied().unwrap_or_default();
            Constant::Ints(Ints { shape, data: vec![number; size] })
        }
    };
    Ok(NamedValue::Constant(view.output().to_owned(), constant))
}

/// The dimensions of a tensor, the batch among them, which is not known yet.
pub(super) fn read_shape(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let dims: Vec<i64> = match view.value(reader, 0)? {
        NamedValue::Node(id) => {
            let dims = reader.shape(*id).dims().iter().map(|&dim| dim as i64);
            std::iter::once(BATCH).chain(dims).collect()
        }
        NamedValue::Constant(_, constant) => {
            let shape = constant.shape().map_err(ReadError::Unsupported)?;
            shape.into_iter().map(|dim| dim as i64).collect()
        }
    };
    let length = dims.len() as i64;
    let bound = |name: &str, default: i64| {
        let bound = view.int(name, default);
        (if bound < 0 { bound.saturating_add(length) } else { bound }).clamp(0, length) as usize
    };
    let (start, end) = (bound("start", 0), bound("end", length));
    let part = dims.get(start..end).unwrap_or_default().to_vec();
    Ok(NamedValue::Constant(view.output().to_owned(), Constant::Ints(Ints::vector(part))))
}
