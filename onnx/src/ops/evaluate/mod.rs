//! Evaluates operators whose inputs are all constants. Exporters leave such arithmetic in the graph: computed shapes, and
//! weights that are reshaped, converted or dequantized before use.

mod arithmetic;
mod layout;

use models::Tensor;
use models::ops::numbers;

use crate::read::{BATCH, Constant, GraphReader, Ints, NamedValue, NodeView, ReadError, check_rank};

type Evaluator = fn(&NodeView<'_>, &GraphReader) -> Result<Constant, String>;

/// The operators that are evaluated on constants.
const EVALUATORS: &[(&str, Evaluator, NameOrigin)] = &[
    ("Add", |view, reader| arithmetic::binary(view, reader, i64::checked_add, |a, b| a + b), NameOrigin::Output),
    ("Cast", arithmetic::cast, NameOrigin::FirstInput),
    ("Ceil", |view, reader| arithmetic::unary(view, reader, f32::ceil), NameOrigin::Output),
    ("Concat", layout::concat, NameOrigin::Output),
    ("DequantizeLinear", arithmetic::dequantize, NameOrigin::FirstInput),
    ("Div", |view, reader| arithmetic::binary(view, reader, i64::checked_div, |a, b| a / b), NameOrigin::Output),
    ("Floor", |view, reader| arithmetic::unary(view, reader, f32::floor), NameOrigin::Output),
    ("Gather", layout::gather, NameOrigin::Output),
    ("Identity", |view, reader| input(view, reader, 0).cloned(), NameOrigin::FirstInput),
    ("Mul", |view, reader| arithmetic::binary(view, reader, i64::checked_mul, |a, b| a * b), NameOrigin::Output),
    ("Reshape", layout::reshape, NameOrigin::FirstInput),
    ("Slice", layout::slice, NameOrigin::Output),
    ("Sqrt", |view, reader| arithmetic::unary(view, reader, f32::sqrt), NameOrigin::Output),
    ("Squeeze", layout::squeeze, NameOrigin::FirstInput),
    ("Sub", |view, reader| arithmetic::binary(view, reader, i64::checked_sub, |a, b| a - b), NameOrigin::Output),
    ("Transpose", layout::transpose, NameOrigin::FirstInput),
    ("Unsqueeze", layout::unsqueeze, NameOrigin::FirstInput),
];

/// Where the name of a result comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NameOrigin {
    /// The first input, whose numbers they still are: a state dict's name survives a transposition.
    FirstInput,
    /// The node's own output.
    Output,
}

/// The result of a node whose inputs are all constants; `None` for any other.
pub(super) fn evaluate(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<Option<NamedValue>, ReadError> {
    let Some((_, evaluator, origin)) = EVALUATORS.iter().find(|(name, ..)| *name == view.op_type()) else {
        return Ok(None);
    };
    let mut names = Vec::new();
    for input in view.inputs().iter().filter(|input| !input.is_empty()) {
        match reader.value(input)? {
            NamedValue::Constant(name, _) => names.push(name.clone()),
            NamedValue::Node(_) => return Ok(None),
        }
    }
    let Some(first) = names.into_iter().next() else { return Ok(None) };
    let constant =
        evaluator(view, reader).map_err(|reason| ReadError::Unsupported(format!("a constant that {reason}")))?;
    reader.expand(constant.cost())?;
    let name = if *origin == NameOrigin::FirstInput { first } else { view.output().to_owned() };
    Ok(Some(NamedValue::Constant(name, constant)))
}

fn input<'r>(view: &NodeView<'_>, reader: &'r GraphReader, index: usize) -> Result<&'r Constant, String> {
    match view.constant(reader, index) {
        Ok(Some(constant)) => Ok(constant),
        Ok(None) => Err(format!("lacks its input {index}")),
        Err(error) => Err(error.to_string()),
    }
}

/// The numbers at these places, as many as the new shape has. Every place must be one that there is.
fn pick(
    reader: &GraphReader,
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
fn afford(reader: &GraphReader, cost: usize) -> Result<(), String> {
    if reader.affords(cost) { Ok(()) } else { Err("takes more memory than any image network".to_owned()) }
}

/// The same numbers in another shape of the same length.
fn shaped(reader: &GraphReader, constant: &Constant, shape: Vec<usize>) -> Result<Constant, String> {
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
