//! Arithmetic that a file does on its own constants: exporters leave the computation of shapes in the graph, and weights
//! that are reshaped, converted or dequantised before they are used.

mod arithmetic;
mod layout;

use models::Tensor;
use models::params::numbers;

use super::{BATCH, Constant, Ints, NodeView, Reader, Value, check_rank};
use crate::ops::ReadError;

type Fold = fn(&NodeView<'_>, &Reader) -> Result<Constant, String>;

/// What can be computed, and whether the numbers are still those of the first input and keep its name.
const FOLDS: &[(&str, Fold, Naming)] = &[
    ("Add", |view, reader| arithmetic::binary(view, reader, (i64::checked_add, |a, b| a + b)), Naming::New),
    ("Cast", arithmetic::cast, Naming::Kept),
    ("Ceil", |view, reader| arithmetic::unary(view, reader, f32::ceil), Naming::New),
    ("Concat", layout::concat, Naming::New),
    ("DequantizeLinear", arithmetic::dequantize, Naming::Kept),
    ("Div", |view, reader| arithmetic::binary(view, reader, (i64::checked_div, |a, b| a / b)), Naming::New),
    ("Floor", |view, reader| arithmetic::unary(view, reader, f32::floor), Naming::New),
    ("Gather", layout::gather, Naming::New),
    ("Identity", |view, reader| input(view, reader, 0).cloned(), Naming::Kept),
    ("Mul", |view, reader| arithmetic::binary(view, reader, (i64::checked_mul, |a, b| a * b)), Naming::New),
    ("Reshape", layout::reshape, Naming::Kept),
    ("Slice", layout::slice, Naming::New),
    ("Sqrt", |view, reader| arithmetic::unary(view, reader, f32::sqrt), Naming::New),
    ("Squeeze", layout::squeeze, Naming::Kept),
    ("Sub", |view, reader| arithmetic::binary(view, reader, (i64::checked_sub, |a, b| a - b)), Naming::New),
    ("Transpose", layout::transpose, Naming::Kept),
    ("Unsqueeze", layout::unsqueeze, Naming::Kept),
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
    reader.expand(constant.cost())?;
    let name = if *naming == Naming::Kept { first } else { view.output().to_owned() };
    Ok(Some(Value::Constant(name, constant)))
}

fn input<'r>(view: &NodeView<'_>, reader: &'r Reader, index: usize) -> Result<&'r Constant, String> {
    match view.constant(reader, index) {
        Ok(Some(constant)) => Ok(constant),
        Ok(None) => Err(format!("lacks its input {index}")),
        Err(error) => Err(error.to_string()),
    }
}

/// The numbers at these places, as many as the new shape has. Every place must be one that there is.
fn pick(
    reader: &Reader,
    constant: &Constant,
    shape: Vec<usize>,
    place: impl Fn(usize) -> usize,
) -> Result<Constant, String> {
    check_rank(shape.len())?;
    let count = numbers(&shape);
    afford(reader, count.saturating_mul(if let Constant::Floats(_) = constant { 1 } else { 2 }))?;
    let whole = |ints: &Ints| (0..count).map(|number| ints.data[place(number)]).collect();
    Ok(match constant {
        Constant::Floats(tensor) => {
            let data = (0..count).map(|number| tensor.data()[place(number)]).collect();
            Constant::Floats(Tensor::new(shape, data))
        }
        Constant::Ints(ints) => Constant::Ints(Ints { data: whole(ints), shape }),
        other => Constant::Ints(Ints { data: whole(&other.integers()?), shape }),
    })
}

/// Refuses what the reader would not allow, before it takes the memory.
fn afford(reader: &Reader, cost: usize) -> Result<(), String> {
    if reader.affords(cost) { Ok(()) } else { Err("takes more memory than any image network".to_owned()) }
}

/// The same numbers in another shape of the same length.
fn shaped(reader: &Reader, constant: &Constant, shape: Vec<usize>) -> Result<Constant, String> {
    let found = numbers(&constant.shape()?);
    if numbers(&shape) != found {
        return Err(format!("is reshaped from {found} numbers to {shape:?}"));
    }
    match constant {
        Constant::Floats(tensor) => check_rank(shape.len()).map(|()| Constant::Floats(tensor.reshaped(&shape))),
        constant => pick(reader, constant, shape, |number| number),
    }
}

/// The place of a number, row-major, in a tensor with these strides, by its place in one of this shape.
fn strided(shape: &[usize], strides: &[isize], first: usize) -> impl Fn(usize) -> usize + use<> {
    let axes: Vec<(usize, isize)> = shape.iter().copied().zip(strides.iter().copied()).rev().collect();
    move |mut number| {
        let mut place = first;
        for &(size, stride) in &axes {
            place = place.wrapping_add_signed(stride.wrapping_mul((number % size) as isize));
            number /= size;
        }
        place
    }
}

/// How far apart the numbers of a tensor of this shape are, along each of its dimensions.
fn strides(shape: &[usize]) -> Vec<isize> {
    (1..=shape.len()).map(|axis| numbers(&shape[axis..]) as isize).collect()
}

/// Whole numbers none of which is the size of the batch.
fn known(ints: Ints) -> Result<Ints, String> {
    if ints.data.contains(&BATCH) { Err("is computed from the size of the batch".to_owned()) } else { Ok(ints) }
}
