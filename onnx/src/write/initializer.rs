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
    params.iter().flat_map(move |(name, param)| {
        let tensor = match shapes.get(name) {
            Some(shape) => Tensor::new(shape.clone(), param.data().to_vec()),
            None => param.clone(),
        };
        match precision {
            WeightPrecision::Half => vec![halves(name, &tensor)],
            // The file may give a vector more dimensions; what it is says the network.
            WeightPrecision::Int8 if has_outputs(param) => bytes(name, &tensor),
            WeightPrecision::F32 | WeightPrecision::Int8 => vec![floats(name, &tensor)],
        }
    })
}

/// Whether this is a matrix or a kernel, whose first dimension is its outputs.
pub(crate) fn has_outputs(tensor: &Tensor) -> bool {
    tensor.shape().len() > 1
}

/// The name of the scales of a tensor of 8-bit numbers.
pub(crate) fn scales_name(name: &str) -> String {
    format!("{name}.scale")
}

/// Real numbers.
pub(crate) fn floats(name: &str, tensor: &Tensor) -> TensorProto {
    let bytes = tensor.data().iter().flat_map(|number| number.to_le_bytes()).collect();
    raw(name, tensor.shape(), data_type::FLOAT, bytes)
}

/// Real numbers, each rounded to the nearest of half precision.
fn halves(name: &str, tensor: &Tensor) -> TensorProto {
    let bytes = tensor.data().iter().flat_map(|&number| f16::from_f32(number).to_le_bytes()).collect();
    raw(name, tensor.shape(), data_type::FLOAT16, bytes)
}

/// Whole numbers from -127 to 127, and for each output what they are multiplied by: the largest weight is 127 of it.
fn bytes(name: &str, tensor: &Tensor) -> Vec<TensorProto> {
    let outputs = tensor.shape()[0];
    let (mut whole, mut scales) = (Vec::with_capacity(tensor.data().len()), Vec::with_capacity(outputs));
    for row in tensor.data().chunks(tensor.data().len().div_ceil(outputs.max(1)).max(1)) {
        let largest = row.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
        // Any scale serves an output without weights.
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        whole.extend(row.iter().map(|weight| (weight / scale).round() as i8 as u8));
        scales.push(scale);
    }
    let scales = Tensor::new(vec![outputs], scales);
    vec![raw(name, tensor.shape(), data_type::INT8, whole), floats(&scales_name(name), &scales)]
}

/// A vector of whole numbers.
pub(crate) fn integers(name: &str, numbers: &[i64]) -> TensorProto {
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    raw(name, &[numbers.len()], data_type::INT64, bytes)
}

/// Numbers as little-endian bytes.
pub(crate) fn raw(name: &str, shape: &[usize], data_type: i32, bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: shape.iter().map(|&dim| dim as i64).collect(),
        data_type,
        raw_data: Bytes::from(bytes),
        ..TensorProto::default()
    }
}
