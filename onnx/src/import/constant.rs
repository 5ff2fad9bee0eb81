//! Tensors that a file holds or computes from nothing.

use models::Tensor;

use crate::proto::{TensorProto, data_type};

/// A constant of the file.
#[derive(Debug, Clone)]
pub(crate) enum Constant {
    /// Weights and other real numbers.
    Floats(Tensor),
    /// Shapes, axes and other whole numbers.
    Ints(Vec<i64>),
}

impl Constant {
    /// Decodes a tensor of the file, in whichever of its fields the numbers are.
    ///
    /// # Errors
    /// A sentence for a type that holds no weights, external data, or a length that does not match the dimensions.
    pub(crate) fn decode(tensor: &TensorProto) -> Result<Self, String> {
        if tensor.data_location == 1 || !tensor.external_data.is_empty() {
            return Err("its data is in a second file; save the model as one file".to_owned());
        }
        let dims: Vec<usize> = tensor
            .dims
            .iter()
            .map(|&dim| usize::try_from(dim).map_err(|_| format!("has the negative dimension {dim}")))
            .collect::<Result<_, _>>()?;
        let length = dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        let check = |found: usize| match length {
            Some(length) if length == found => Ok(()),
            _ => Err(format!("has dimensions {dims:?} but {found} numbers")),
        };
        let raw = &tensor.raw_data;
        match tensor.data_type {
            data_type::FLOAT => {
                let numbers = if raw.is_empty() { tensor.float_data.clone() } else { words(raw, f32::from_le_bytes)? };
                check(numbers.len())?;
                Ok(Constant::Floats(Tensor::new(dims, numbers)))
            }
            data_type::DOUBLE => {
                let numbers = if raw.is_empty() { tensor.double_data.clone() } else { words(raw, f64::from_le_bytes)? };
                check(numbers.len())?;
                Ok(Constant::Floats(Tensor::new(dims, numbers.iter().map(|&number| number as f32).collect())))
            }
            data_type::INT64 => {
                let numbers = if raw.is_empty() { tensor.int64_data.clone() } else { words(raw, i64::from_le_bytes)? };
                check(numbers.len())?;
                Ok(Constant::Ints(numbers))
            }
            data_type::INT32 => {
                let numbers = if raw.is_empty() { tensor.int32_data.clone() } else { words(raw, i32::from_le_bytes)? };
                check(numbers.len())?;
                Ok(Constant::Ints(numbers.iter().map(|&number| i64::from(number)).collect()))
            }
            data_type::FLOAT16 => Err("holds FLOAT16 numbers; export the model with FLOAT weights".to_owned()),
            other => Err(format!("holds {} numbers; graft reads FLOAT weights", data_type::name(other))),
        }
    }
}

/// Little-endian words of `N` bytes.
fn words<const N: usize, T>(raw: &[u8], decode: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
    let (words, rest) = raw.as_chunks::<N>();
    match rest {
        [] => Ok(words.iter().map(|word| decode(*word)).collect()),
        _ => Err(format!("holds {} bytes, not a multiple of {N}", raw.len())),
    }
}
