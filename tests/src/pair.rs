//! Recorded inputs and outputs, as the ONNX project stores them beside models: one `TensorProto` a file.

use std::path::Path;

use prost::Message;

/// The fields of a `TensorProto` that such files use.
#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    dims: Vec<i64>,
    #[prost(float, repeated, tag = "4")]
    float_data: Vec<f32>,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

/// Dimensions and numbers of a file of `f32` numbers.
///
/// # Panics
/// When the file is not there or holds anything else.
#[must_use]
pub fn read(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tensor = TensorProto::decode(&*bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let numbers = match tensor.raw_data.as_chunks::<4>() {
        ([], _) => tensor.float_data,
        (words, _) => words.iter().map(|word| f32::from_le_bytes(*word)).collect(),
    };
    let dims: Vec<usize> = tensor.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or_default()).collect();
    assert_eq!(dims.iter().product::<usize>(), numbers.len(), "{}", path.display());
    (dims, numbers)
}
