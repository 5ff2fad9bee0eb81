//! Arithmetic that a file does on its own constants: exporters leave the computation of shapes in the graph, and weights
//! that are reshaped, converted or dequantised before they are used.

use models::Tensor;

use super::{BATCH, Constant, Ints, NodeView, Reader, Value};
use crate::ops::ReadError;

type Fold = fn(&NodeView<'_>, &Reader) -> Result<Constant, String>;

/// What can be computed, and whether the numbers are still those of the first input and keep its name.
const FOLDS: &[(&str, Fold, Naming)] = &[
    ("Add", |view, reader| arithmetic(view, reader, (i64::checked_add, |a, b| a + b)), Naming::New),
    ("Cast", cast, Naming::Kept),
    ("Ceil", |view, reader| real(view, reader, f32::ceil), Naming::New),
    ("Concat", concat, Naming::New),
    ("DequantizeLinear", dequantize, Naming::Kept),
    ("Div", |view, reader| arithmetic(view, reader, (i64::checked_div, |a, b| a / b)), Naming::New),
    ("Floor", |view, reader| real(view, reader, f32::floor), Naming::New),
    ("Gather", gather, Naming::New),
    ("Identity", |view, reader| input(view, reader, 0).cloned(), Naming::Kept),
    ("Mul", |view, reader| arithmetic(view, reader, (i64::checked_mul, |a, b| a * b)), Naming::New),
    ("Reshape", reshape, Naming::Kept),
    ("Slice", slice, Naming::New),
    ("Sqrt", |view, reader| real(view, reader, f32::sqrt), Naming::New),
    ("Squeeze", squeeze, Naming::Kept),
    ("Sub", |view, reader| arithmetic(view, reader, (i64::checked_sub, |a, b| a - b)), Naming::New),
    ("Transpose", transpose, Naming::Kept),
    ("Unsqueeze", unsqueeze, Naming::Kept),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    Kept,
    New,
}

/// The result of a node whose inputs are all constants; `None` for any other.
pub(crate) fn fold(view: &NodeView<'_>, reader: &mut Reader) -> Result<Option<Value>, ReadError> {
    let Some((_, fold, naming)) = FOLDS.iter().find(|(name, ..)| *name == view.op_type()) else { return Ok(None) };
    let mut names = Vec::new();
    for input in view.inputs().iter().filter(|input| !input.is_empty()) {
        match reader.value(input)? {
            Value::Constant(name, _) => names.push(name.clone()),
            Value::Node(_) => return Ok(None),
        }
    }
    let Some(first) = names.into_iter().next() else { return Ok(None) };
    let constant = fold(view, reader).map_err(|reason| ReadError::Unsupported(format!("a constant that {reason}")))?;
    reader.expand(length(&constant.shape().unwrap_or_default()))?;
    let name = if *naming == Naming::Kept { first } else { view.output().to_owned() };
    Ok(Some(Value::Constant(name, constant)))
}

fn length(shape: &[usize]) -> usize {
    shape.iter().fold(1, |length, &dim| length.saturating_mul(dim))
}

fn input<'r>(view: &NodeView<'_>, reader: &'r Reader, index: usize) -> Result<&'r Constant, String> {
    match view.constant(reader, index) {
        Ok(Some(constant)) => Ok(constant),
        Ok(None) => Err(format!("lacks its input {index}")),
        Err(error) => Err(error.to_string()),
    }
}

/// The axes of a `Squeeze` or `Unsqueeze`, an attribute before operator set 13 and an input since.
fn axes(view: &NodeView<'_>, reader: &Reader) -> Result<Option<Vec<i64>>, String> {
    view.ints_of(reader, "axes", 1).map_err(|error| error.to_string())
}

/// The numbers at these places, in a new shape. Every place must be one that there is.
fn pick(constant: &Constant, shape: Vec<usize>, places: impl Iterator<Item = usize>) -> Result<Constant, String> {
    match constant {
        Constant::Floats(tensor) => {
            let data = places.map(|place| tensor.data()[place]).collect();
            Ok(Constant::Floats(Tensor::new(shape, data)))
        }
        constant => {
            let ints = constant.integers()?;
            Ok(Constant::Ints(Ints { shape, data: places.map(|place| ints.data[place]).collect() }))
        }
    }
}

/// The same numbers in another shape of the same length.
fn shaped(constant: &Constant, shape: Vec<usize>) -> Result<Constant, String> {
    let found = length(&constant.shape()?);
    if length(&shape) != found {
        return Err(format!("is reshaped from {found} numbers to {shape:?}"));
    }
    pick(constant, shape, 0..found)
}

fn cast(view: &NodeView<'_>, reader: &Reader) -> Result<Constant, String> {
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

/// Whole numbers none of which is the size of the batch.
fn known(ints: Ints) -> Result<Ints, String> {
    if ints.data.contains(&BATCH) { Err("is computed from the size of the batch".to_owned()) } else { Ok(ints) }
}

fn real(view: &NodeView<'_>, reader: &Reader, function: fn(f32) -> f32) -> Result<Constant, String> {
    match input(view, reader, 0)? {
        Constant::Floats(tensor) => {
            let data = tensor.data().iter().map(|&number| function(number)).collect();
            Ok(Constant::Floats(Tensor::new(tensor.shape(), data)))
        }
        _ => Err("is not of real numbers".to_owned()),
    }
}

/// The function of whole numbers and that of real ones.
type Binary = (fn(i64, i64) -> Option<i64>, fn(f32, f32) -> f32);

fn arithmetic(view: &NodeView<'_>, reader: &Reader, (whole, real): Binary) -> Result<Constant, String> {
    let (a, b) = (input(view, reader, 0)?, input(view, reader, 1)?);
    let (left, right) = (a.shape()?, b.shape()?);
    let shape = broadcast(&left, &right)?;
    let a = pick(a, shape.clone(), spread(&shape, &left))?;
    let b = pick(b, shape.clone(), spread(&shape, &right))?;
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
    // Either input bounds the work, except where both are repeated.
    match length(&shape) <= length(a).max(length(b)).saturating_mul(1 << 10) {
        true => Ok(shape),
        false => Err(format!("is repeated to the shape {shape:?}")),
    }
}

/// For each number of a shape, the place of the one that is repeated there.
fn spread<'a>(shape: &'a [usize], from: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
    (0..length(shape)).map(move |mut place| {
        let (mut at, mut stride) = (0, 1);
        let missing = shape.len() - from.len();
        for axis in (0..shape.len()).rev() {
            let index = place % shape[axis];
            place /= shape[axis];
            if let Some(&size) = axis.checked_sub(missing).map(|axis| &from[axis]) {
                at += if size == 1 { 0 } else { index * stride };
                stride *= size;
            }
        }
        at
    })
}

fn concat(view: &NodeView<'_>, reader: &Reader) -> Result<Constant, String> {
    let parts = (0..view.inputs().len()).map(|index| input(view, reader, index)).collect::<Result<Vec<_>, _>>()?;
    if parts.iter().any(|part| part.shape().is_ok_and(|shape| shape.len() != 1)) || view.int("axis", 0) > 0 {
        return Err("joins more than vectors".to_owned());
    }
    let ints: Vec<Ints> = parts.iter().map(|part| part.integers()).collect::<Result<_, _>>()?;
    Ok(Constant::Ints(Ints::vector(ints.into_iter().flat_map(|part| part.data).collect())))
}

fn gather(view: &NodeView<'_>, reader: &Reader) -> Result<Constant, String> {
    let (data, indices) = (input(view, reader, 0)?, input(view, reader, 1)?.integers()?);
    let shape = data.shape()?;
    let (Some((&size, inner)), 0) = (shape.split_first(), view.int("axis", 0)) else {
        return Err("is gathered from another axis than the first".to_owned());
    };
    let row = length(inner);
    let mut places = Vec::new();
    for &index in &indices.data {
        let index = if index < 0 { index + size as i64 } else { index };
        let index = usize::try_from(index).ok().filter(|&index| index < size);
        let index = index.ok_or(format!("is gathered from outside its {size} rows"))?;
        places.extend(index * row..(index + 1) * row);
    }
    pick(data, indices.shape.iter().chain(inner).copied().collect(), places.into_iter())
}

/// Of vectors, which is what shapes are.
fn slice(view: &NodeView<'_>, reader: &Reader) -> Result<Constant, String> {
    let data = input(view, reader, 0)?;
    let [size] = data.shape()?[..] else { return Err("is cut out of more than a vector".to_owned()) };
    let ints = |name: &str, index: usize| view.ints_of(reader, name, index).map_err(|error| error.to_string());
    let bound = |values: Option<Vec<i64>>, default: i64| {
        let value = values.and_then(|values| values.first().copied()).unwrap_or(default);
        (if value < 0 { value.saturating_add(size as i64) } else { value }).clamp(0, size as i64) as usize
    };
    let (start, end) = (bound(ints("starts", 1)?, 0), bound(ints("ends", 2)?, i64::MAX));
    let step = ints("steps", 4)?.and_then(|steps| steps.first().copied()).unwrap_or(1);
    let step = usize::try_from(step).ok().filter(|&step| step > 0).ok_or(format!("is taken in steps of {step}"))?;
    let places: Vec<usize> = (start..end).step_by(step).collect();
    pick(data, vec![places.len()], places.into_iter())
}

fn reshape(view: &NodeView<'_>, reader: &Reader) -> Result<Constant, String> {
    let data = input(view, reader, 0)?;
    let (from, wanted) = (data.shape()?, known(input(view, reader, 1)?.integers()?)?.data);
    let copied = wanted.iter().zip(0..).map(|(&dim, axis)| match dim {
        0 => from.get(axis).copied().ok_or(format!("is reshaped to {wanted:?}")),
        -1 => Ok(0),
        dim => usize::try_from(dim).map_err(|_| format!("is reshaped to {wanted:?}")),
    });
    let mut shape = copied.collect::<Result<Vec<usize>, String>>()?;
    if let Some(unknown) = wanted.iter().position(|&dim| dim == -1) {
        shape[unknown] = 1;
        shape[unknown] = length(&from).checked_div(length(&shape)).unwrap_or(0);
    }
    shaped(data, shape)
}

fn squeeze(view: &NodeView<'_>, reader: &Reader) -> Result<Constant, String> {
    let data = input(view, reader, 0)?;
    let shape = data.shape()?;
    let rank = shape.len() as i64;
    let axes = axes(view, reader)?;
    let goes = |axis: i64, size: usize| match &axes {
        Some(axes) => axes.contains(&axis) || axes.contains(&(axis - rank)),
        None => size == 1,
    };
    let kept = (0..).zip(&shape).filter(|&(axis, &size)| !goes(axis, size)).map(|(_, &size)| size);
    shaped(data, kept.collect())
}

fn unsqueeze(view: &NodeView<'_>, reader: &Reader) -> Result<Constant, String> {
    let data = input(view, reader, 0)?;
    let axes = axes(view, reader)?.unwrap_or_default();
    let mut rest = data.shape()?.into_iter();
    let rank = (rest.len() + axes.len()) as i64;
    let comes = |axis: i64| axes.contains(&axis) || axes.contains(&(axis - rank));
    let shape: Option<Vec<usize>> = (0..rank).map(|axis| if comes(axis) { Some(1) } else { rest.next() }).collect();
    shaped(data, shape.ok_or(format!("gets the dimensions {axes:?}"))?)
}

fn transpose(view: &NodeView<'_>, reader: &Reader) -> Result<Constant, String> {
    let data = input(view, reader, 0)?;
    let shape = data.shape()?;
    let reverse = || (0..shape.len() as i64).rev().collect();
    let order = view.attribute("perm").map_or_else(reverse, |attribute| attribute.ints.clone());
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..shape.len() as i64) {
        return Err(format!("is transposed by {order:?}"));
    }
    let order: Vec<usize> = order.into_iter().map(|axis| axis as usize).collect();
    let target: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    let stride = |axis: usize| length(&shape[axis + 1..]);
    let strides: Vec<usize> = order.iter().map(|&axis| stride(axis)).collect();
    let places = (0..length(&shape)).map(|mut place| {
        let mut at = 0;
        for axis in (0..target.len()).rev() {
            at += place % target[axis] * strides[axis];
            place /= target[axis];
        }
        at
    });
    pick(data, target.clone(), places)
}

/// `(x - zero point) · scale`, for the whole tensor or along an axis.
fn dequantize(view: &NodeView<'_>, reader: &Reader) -> Result<Constant, String> {
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
    let inner = if channels == 1 { 1 } else { length(&ints.shape[axis + 1..]).max(1) };
    let number = |(place, &quantum): (usize, &i64)| {
        let channel = place / inner % channels.max(1);
        (quantum - zero[channel]) as f32 * scale.data()[channel]
    };
    Ok(Constant::Floats(Tensor::new(ints.shape.clone(), ints.data.iter().enumerate().map(number).collect())))
}
