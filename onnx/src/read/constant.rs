//! Tensors that a file holds or computes from nothing.

use half::{bf16, f16};
use models::Tensor;
use models::ops::numbers;
use prost::Message;

use crate::proto::{TensorProto, data_type};

/// Stands for the size of the batch among whole numbers. What a file computes from it is only known when a network runs.
pub(crate) const BATCH: i64 = i64::MIN;

/// A constant of the file.
#[derive(Debug, Clone)]
pub(crate) enum Constant {
    /// Weights and other real numbers.
    Floats(Tensor),
    /// Shapes, axes and other whole numbers.
    Ints(Ints),
    /// Quantised weights, and what else is not decoded before somebody asks for it.
    Other(Box<TensorProto>),
}

/// Whole numbers, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ints {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<i64>,
}

impl Ints {
    pub(crate) fn vector(data: Vec<i64>) -> Self {
        Self { shape: vec![data.len()], data }
    }
}

impl Constant {
    /// Decodes a tensor of the file, in whichever of its fields the numbers are.
    ///
    /// # Errors
    /// A sentence for a length that does not match the dimensions.
    pub(crate) fn decode(tensor: &TensorProto) -> Result<Self, String> {
        let shape = shape(tensor)?;
        let raw = &tensor.raw_data;
        let halves = || tensor.int32_data.iter().map(|&bits| bits as u16);
        let floats = match tensor.data_type {
            data_type::FLOAT if raw.is_empty() => tensor.float_data.clone(),
            data_type::FLOAT => words(raw, f32::from_le_bytes)?,
            data_type::DOUBLE if raw.is_empty() => tensor.double_data.iter().map(|&number| number as f32).collect(),
            data_type::DOUBLE => words(raw, |bytes| f64::from_le_bytes(bytes) as f32)?,
            data_type::FLOAT16 if raw.is_empty() => halves().map(|bits| f16::from_bits(bits).to_f32()).collect(),
            data_type::FLOAT16 => words(raw, |bytes| f16::from_le_bytes(bytes).to_f32())?,
            data_type::BFLOAT16 if raw.is_empty() => halves().map(|bits| bf16::from_bits(bits).to_f32()).collect(),
            data_type::BFLOAT16 => words(raw, |bytes| bf16::from_le_bytes(bytes).to_f32())?,
            data_type::INT64 | data_type::INT32 | data_type::BOOL => {
                return Ok(Constant::Ints(integers(tensor)?));
            }
            _ => return Ok(Constant::Other(Box::new(tensor.clone()))),
        };
        check(&shape, floats.len())?;
        Ok(Constant::Floats(Tensor::new(shape, floats)))
    }

    /// What it takes in memory at most, counted in real numbers.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Constant::Floats(tensor) => tensor.data().len(),
            Constant::Ints(ints) => 2 * ints.data.len(),
            Constant::Other(tensor) => 2 * tensor.encoded_len(),
        }
    }

    /// Outermost first.
    pub(crate) fn shape(&self) -> Result<Vec<usize>, String> {
        match self {
            Constant::Floats(tensor) => Ok(tensor.shape().to_vec()),
            Constant::Ints(ints) => Ok(ints.shape.clone()),
            Constant::Other(tensor) => shape(tensor),
        }
    }

    /// The whole numbers, those of quantised weights included.
    pub(crate) fn integers(&self) -> Result<Ints, String> {
        match self {
            Constant::Ints(ints) => Ok(ints.clone()),
            Constant::Other(tensor) => integers(tensor),
            Constant::Floats(_) => Err("holds real numbers where whole ones are wanted".to_owned()),
        }
    }
}

/// The whole numbers of a tensor.
fn integers(tensor: &TensorProto) -> Result<Ints, String> {
    let shape = shape(tensor)?;
    let raw = &tensor.raw_data;
    let small = || tensor.int32_data.iter().map(|&number| i64::from(number)).collect();
    let data: Vec<i64> = match tensor.data_type {
        data_type::INT64 if raw.is_empty() => tensor.int64_data.clone(),
        data_type::INT64 => words(raw, i64::from_le_bytes)?,
        data_type::INT32 | data_type::BOOL | data_type::INT8 | data_type::UINT8 if raw.is_empty() => small(),
        data_type::INT32 => words(raw, |bytes| i64::from(i32::from_le_bytes(bytes)))?,
        data_type::INT8 => words(raw, |bytes| i64::from(i8::from_le_bytes(bytes)))?,
        data_type::BOOL | data_type::UINT8 => words(raw, |[byte]| i64::from(byte))?,
        other => return Err(format!("holds {} numbers, which graft does not read", data_type::name(other))),
    };
    check(&shape, data.len())?;
    Ok(Ints { shape, data })
}

fn shape(tensor: &TensorProto) -> Result<Vec<usize>, String> {
    let size = |&dim: &i64| usize::try_from(dim).map_err(|_| format!("has the negative dimension {dim}"));
    let shape = tensor.dims.iter().map(size).collect::<Result<Vec<usize>, String>>()?;
    check_rank(shape.len())?;
    Ok(shape)
}

/// The most dimensions of a constant. Weights have four; each costs time for every number that is moved.
const MOST_DIMENSIONS: usize = 16;

/// Refuses more dimensions than a network for images has any use for.
pub(crate) fn check_rank(rank: usize) -> Result<(), String> {
    if rank <= MOST_DIMENSIONS { Ok(()) } else { Err(format!("has {rank} dimensions; {MOST_DIMENSIONS} are read")) }
}

/// As many numbers as the dimensions say.
fn check(shape: &[usize], found: usize) -> Result<(), String> {
    match numbers(shape) == found {
        true => Ok(()),
        false => Err(format!("has dimensions {shape:?} but {found} numbers")),
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
