//! Arithmetic on constants.

use models::Tensor;
use models::ops::numbers;

use super::{input, known, pick, strided, strides};
use crate::read::{Constant, GraphReader, Ints, NodeView};

/// From one type of numbers to another.
pub(super) fn cast(view: &NodeView<'_>, reader: &GraphReader) -> Result<Constant, String> {
    use crate::proto::data_type::{BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16, INT32, INT64};
    let to = i32::try_from(view.int("to", 0)).unwrap_or_default();
    match (input(view, reader, 0)?, to) {
        (Constant::Floats(tensor), FLOAT | FLOAT16 | BFLOAT16 | DOUBLE) => Ok(Constant::Floats(tensor.clone())),
        (Constant::Floats(tensor), INT64 | INT32) => {
            let data = tensor.data().iter().map(|&number| number as i64).collect();
            Ok(Constant::Ints(Ints { shape: tensor.shape().to_vec(), data }))
        }
        (constant, FLOAT | FLOAT16 | BFLOAT16 | DOUBLE) => {
            let Ints { shape, data } = known(constant.integers()?)?;
            Ok(Constant::Floats(Tensor::new(shape, data.into_iter().map(|number| number as f32).collect())))
        }
        (constant, INT64 | INT32 | BOOL) => Ok(Constant::Ints(constant.integers()?)),
        _ => Err(format!("is cast to {}", crate::proto::data_type::name(to))),
    }
}

/// A function of each real number.
pub(super) fn unary(view: &NodeView<'_>, reader: &GraphReader, function: fn(f32) -> f32) -> Result<Constant, String> {
    match input(view, reader, 0)? {
        Constant::Floats(tensor) => {
            let data = tensor.data().iter().map(|&number| function(number)).collect();
            Ok(Constant::Floats(Tensor::new(tensor.shape(), data)))
        }
        _ => Err("is not of real numbers".to_owned()),
    }
}

/// The most numbers that two smaller constants may be repeated to.
const LARGEST_REPETITION: usize = 1 << 20;

/// Combines two constants number by number, with one function for integers and one for real numbers. Shapes broadcast as
/// NumPy's do.
pub(super) fn binary(
    view: &NodeView<'_>,
    reader: &GraphReader,
    whole: fn(i64, i64) -> Option<i64>,
    real: fn(f32, f32) -> f32,
) -> Result<Constant, String> {
    let (a, b) = (input(view, reader, 0)?, input(view, reader, 1)?);
    let (left, right) = (a.shape()?, b.shape()?);
    let shape = broadcast(&left, &right)?;
    let a = pick(reader, a, shape.clone(), spread(&shape, &left))?;
    let b = pick(reader, b, shape.clone(), spread(&shape, &right))?;
    match (a, b) {
        (Constant::Floats(a), Constant::Floats(b)) => {
            let data = a.data().iter().zip(b.data()).map(|(&a, &b)| real(a, b)).collect();
            Ok(Constant::Floats(Tensor::new(shape, data)))
        }
        (Constant::Ints(a), Constant::Ints(b)) => {
            let (a, b) = (known(a)?, known(b)?);
            let data = a.data.iter().zip(&b.data).map(|(&a, &b)| whole(a, b)).collect::<Option<Vec<i64>>>();
            let data = data.ok_or("divides by zero or overflows")?;
            Ok(Constant::Ints(Ints { shape, data }))
        }
        _ => Err("mixes whole and real numbers".to_owned()),
    }
}

/// NumPy's rule: dimensions are matched from the last, and one of length 1 is repeated.
fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |index| shape[index]);
    let dims = (0..rank).map(|axis| match (dim(a, axis), dim(b, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    });
    let shape = dims.collect::<Option<Vec<usize>>>().ok_or(format!("combines the shapes {a:?} and {b:?}"))?;
    // The larger input bounds the work, except where both are repeated.
    let bound = numbers(a).max(numbers(b)).max(LARGEST_REPETITION);
    if numbers(&shape) <= bound { Ok(shape) } else { Err(format!("is repeated to the shape {shape:?}")) }
}

/// For each number of a shape, the place of the one that is repeated there.
fn spread(shape: &[usize], from: &[usize]) -> impl Fn(usize) -> usize + use<> {
    let moving = from.iter().zip(strides(from)).map(|(&size, stride)| if size == 1 { 0 } else { stride });
    let repeated = std::iter::repeat_n(0, shape.len() - from.len());
    strided(shape, &repeated.chain(moving).collect::<Vec<isize>>(), 0)
}

/// `(x - zero point) · scale`, for the whole tensor or along an axis.
pub(super) fn dequantize(view: &NodeView<'_>, reader: &GraphReader) -> Result<Constant, String> {
    let ints = input(view, reader, 0)?.integers()?;
    let Constant::Floats(scale) = input(view, reader, 1)? else { return Err("has no real scale".to_owned()) };
    let zero = match view.input(2) {
        Some(_) => input(view, reader, 2)?.integers()?.data,
        None => vec![0; scale.data().len()],
    };
    let rank = ints.shape.len() as i64;
    let axis = view.int("axis", 1);
    let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX);
    let channels = if scale.data().len() == 1 { 1 } else { ints.shape.get(axis).copied().unwrap_or(0) };
    if scale.data().len() != channels || zero.len() != channels || view.int("block_size", 0) != 0 {
        return Err(format!("is dequantised with {} scales for the shape {:?}", scale.data().len(), ints.shape));
    }
    let inner = if channels == 1 { 1 } else { numbers(&ints.shape[axis + 1..]).max(1) };
    let number = |(place, &quantum): (usize, &i64)| {
        let channel = place / inner % channels.max(1);
        quantum.saturating_sub(zero[channel]) as f32 * scale.data()[channel]
    };
    Ok(Constant::Floats(Tensor::new(ints.shape.clone(), ints.data.iter().enumerate().map(number).collect())))
}
