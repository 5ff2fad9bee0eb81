//! Tensors of a file, as raw little-endian bytes, which every reader takes without looking at each number.

use bytes::Bytes;
use half::f16;
use models::Tensor;

use crate::proto::{TensorProto, data_type};

/// Real numbers.
pub(crate) fn floats(name: &str, tensor: &Tensor) -> TensorProto {
    let bytes = tensor.data().iter().flat_map(|number| number.to_le_bytes()).collect();
    raw(name, tensor.shape(), (data_type::FLOAT, bytes))
}

/// Real numbers, each rounded to the nearest of half precision.
pub(crate) fn halves(name: &str, tensor: &Tensor) -> TensorProto {
    let bytes = tensor.data().iter().flat_map(|&number| f16::from_f32(number).to_le_bytes()).collect();
    raw(name, tensor.shape(), (data_type::FLOAT16, bytes))
}

/// A vector of whole numbers.
pub(crate) fn integers(name: &str, numbers: &[i64]) -> TensorProto {
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    raw(name, &[numbers.len()], (data_type::INT64, bytes))
}

fn raw(name: &str, shape: &[usize], (data_type, bytes): (i32, Vec<u8>)) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: shape.iter().map(|&dim| dim as i64).collect(),
        data_type,
        raw_data: Bytes::from(bytes),
        ..TensorProto::default()
    }
}
