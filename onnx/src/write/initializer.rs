//! Tensors of a file, as raw little-endian bytes, which every reader takes without looking at each number.

use std::collections::HashMap;

use bytes::Bytes;
use half::f16;
use models::{Params, Tensor};

use super::options::WeightPrecision;
use crate::proto::{TensorProto, data_type};

/// The parameters as the file stores them.
pub(crate) fn initializers<'p>(
    params: &'p Params,
    shapes: &HashMap<String, Vec<usize>>,
    precision: WeightPrecision,
) -> impl Iterator<Item = TensorProto> + 'p {
    let shapes = shapes.clone();
    params.iter().map(move |(name, tensor)| {
        let tensor = match shapes.get(name) {
            Some(shape) => Tensor::new(shape.clone(), tensor.data().to_vec()),
            None => tensor.clone(),
        };
        match precision {
            WeightPrecision::Single => floats(name, &tensor),
            WeightPrecision::Half => halves(name, &tensor),
        }
    })
}

/// Real numbers.
pub(super) fn floats(name: &str, tensor: &Tensor) -> TensorProto {
    let bytes = tensor.data().iter().flat_map(|number| number.to_le_bytes()).collect();
    raw(name, tensor.shape(), data_type::FLOAT, bytes)
}

/// Real numbers, each rounded to the nearest of half precision.
fn halves(name: &str, tensor: &Tensor) -> TensorProto {
    let bytes = tensor.data().iter().flat_map(|&number| f16::from_f32(number).to_le_bytes()).collect();
    raw(name, tensor.shape(), data_type::FLOAT16, bytes)
}

/// A vector of whole numbers.
pub(crate) fn integers(name: &str, numbers: &[i64]) -> TensorProto {
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    raw(name, &[numbers.len()], data_type::INT64, bytes)
}

fn raw(name: &str, shape: &[usize], data_type: i32, bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: shape.iter().map(|&dim| dim as i64).collect(),
        data_type,
        raw_data: Bytes::from(bytes),
        ..TensorProto::default()
    }
}
