//! Where the JSON of a request says that the elements of its inputs are: in it, or behind it.

use axum::body::Bytes;

use super::input::{Elements, InputTensor, invalid};
use super::request::{InferInput, TensorData};
use crate::http::problem::{ApiError, Code};

/// The inputs with their elements. `tensors` are the bytes behind the JSON.
///
/// # Errors
/// An input has no elements, or the bytes are not as many as the inputs say.
pub(super) fn located(inputs: Vec<InferInput>, mut tensors: Bytes) -> Result<Vec<InputTensor>, ApiError> {
    let mut located = Vec::new();
    for mut input in inputs {
        let elements = elements(&mut input, &mut tensors)?;
        let InferInput { name, datatype, shape, .. } = input;
        located.push(InputTensor { name, datatype, shape, elements });
    }
    if !tensors.is_empty() {
        let detail = format!("{} bytes are behind those that the inputs name", tensors.len());
        return Err(ApiError::new(Code::InvalidHeaderLength, detail));
    }
    Ok(located)
}

/// Takes the elements out of an input, or off the bytes behind the JSON.
fn elements(input: &mut InferInput, tensors: &mut Bytes) -> Result<Elements, ApiError> {
    let name = &input.name;
    if input.parameters.shared_memory_region.is_some() {
        return Err(invalid(format!(
            "input `{name}` is in shared memory, which the server has none of; send the data"
        )));
    }
    match (input.data.take(), input.parameters.binary_data_size) {
        (Some(data), None) => Ok(data.into()),
        (None, Some(size)) if size <= tensors.len() => Ok(Elements::Binary(tensors.split_to(size))),
        (None, Some(size)) => {
            let left = tensors.len();
            let detail =
                format!("input `{name}` has a `binary_data_size` of {size}, and {left} bytes are left in the body");
            Err(ApiError::new(Code::InvalidHeaderLength, detail))
        }
        (Some(_), Some(_)) => Err(invalid(format!("input `{name}` has both `data` and `binary_data_size`; send one"))),
        (None, None) => Err(invalid(format!("input `{name}` has no `data` and no `binary_data_size`"))),
    }
}

impl From<TensorData> for Elements {
    fn from(data: TensorData) -> Self {
        match data {
            TensorData::Numbers(numbers) => Self::Numbers(numbers),
            TensorData::Texts(texts) => Self::Texts(texts),
        }
    }
}
