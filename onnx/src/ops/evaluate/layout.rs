//! Constants in another shape or order, and parts of them.

use models::ops::numbers;

use super::{afford, input, known, pick, shaped, strided, strides};
use crate::read::{Constant, GraphReader, Ints, NodeView, check_rank, read_spans};

/// The axes of a `Squeeze` or `Unsqueeze`, an attribute before operator set 13 and an input since.
fn axes(view: &NodeView<'_>, reader: &GraphReader) -> Result<Option<Vec<i64>>, String> {
    view.ints_of(reader, "axes", 1).map_err(|error| error.to_string())
}

pub(super) fn concat(view: &NodeView<'_>, reader: &GraphReader) -> Result<Constant, String> {
    let parts = (0..view.inputs().len()).map(|index| input(view, reader, index)).collect::<Result<Vec<_>, _>>()?;
    if parts.iter().any(|part| part.shape().is_ok_and(|shape| shape.len() != 1)) || view.int("axis", 0) > 0 {
        return Err("joins more than vectors".to_owned());
    }
    afford(reader, parts.iter().fold(0, |cost, part| part.cost().saturating_add(cost)))?;
    let mut all = Vec::new();
    for part in parts {
        all.extend(part.integers()?.data);
    }
    Ok(Constant::Ints(Ints::vector(all)))
}

pub(super) fn gather(view: &NodeView<'_>, reader: &GraphReader) -> Result<Constant, String> {
    let (data, indices) = (input(view, reader, 0)?, input(view, reader, 1)?.integers()?);
    let shape = data.shape()?;
    let (Some((&size, inner)), 0) = (shape.split_first(), view.int("axis", 0)) else {
        return Err("is gathered from another axis than the first".to_owned());
    };
    let row = numbers(inner);
    let place = |&index: &i64| {
        let index = if index < 0 { index + size as i64 } else { index };
        usize::try_from(index).ok().filter(|&index| index < size).map(|index| index * row)
    };
    let rows: Option<Vec<usize>> = indices.data.iter().map(place).collect();
    let rows = rows.ok_or(format!("is gathered from outside its {size} rows"))?;
    let shape = indices.shape.iter().chain(inner).copied().collect();
    pick(reader, data, shape, |number| rows[number / row] + number % row)
}

pub(super) fn slice(view: &NodeView<'_>, reader: &GraphReader) -> Result<Constant, String> {
    let data = input(view, reader, 0)?;
    let shape = data.shape()?;
    let spans = read_spans(view, reader, &shape).map_err(|error| format!("is sliced: {error}"))?;
    let lengths: Vec<usize> = spans.iter().map(|span| span.length).collect();
    let strides = strides(&shape);
    let first = spans.iter().zip(&strides).map(|(span, &stride)| span.start.wrapping_mul(stride as usize));
    let first = first.fold(0, usize::wrapping_add);
    let steps: Vec<isize> = spans.iter().zip(&strides).map(|(span, stride)| span.step.wrapping_mul(*stride)).collect();
    pick(reader, data, lengths.clone(), strided(&lengths, &steps, first))
}

pub(super) fn reshape(view: &NodeView<'_>, reader: &GraphReader) -> Result<Constant, String> {
    let data = input(view, reader, 0)?;
    let (from, target) = (data.shape()?, known(input(view, reader, 1)?.integers()?)?.data);
    let sizes = target.iter().zip(0..).map(|(&dim, axis)| match dim {
        0 => from.get(axis).copied().ok_or(format!("is reshaped to {target:?}")),
        -1 => Ok(0),
        dim => usize::try_from(dim).map_err(|_| format!("is reshaped to {target:?}")),
    });
    let mut shape = sizes.collect::<Result<Vec<usize>, String>>()?;
    if let Some(unknown) = target.iter().position(|&dim| dim == -1) {
        shape[unknown] = 1;
        shape[unknown] = numbers(&from).checked_div(numbers(&shape)).unwrap_or(0);
    }
    shaped(reader, data, shape)
}

pub(super) fn squeeze(view: &NodeView<'_>, reader: &GraphReader) -> Result<Constant, String> {
    let data = input(view, reader, 0)?;
    let shape = data.shape()?;
    let rank = shape.len() as i64;
    let axes = axes(view, reader)?;
    let goes = |axis: i64, size: usize| match &axes {
        Some(axes) => axes.contains(&axis) || axes.contains(&(axis - rank)),
        None => size == 1,
    };
    let rest = (0..).zip(&shape).filter(|&(axis, &size)| !goes(axis, size)).map(|(_, &size)| size);
    shaped(reader, data, rest.collect())
}

pub(super) fn unsqueeze(view: &NodeView<'_>, reader: &GraphReader) -> Result<Constant, String> {
    let data = input(view, reader, 0)?;
    let axes = axes(view, reader)?.unwrap_or_default();
    check_rank(axes.len())?;
    let mut rest = data.shape()?.into_iter();
    let rank = (rest.len() + axes.len()) as i64;
    let comes = |axis: i64| axes.contains(&axis) || axes.contains(&(axis - rank));
    let shape: Option<Vec<usize>> = (0..rank).map(|axis| if comes(axis) { Some(1) } else { rest.next() }).collect();
    shaped(reader, data, shape.ok_or(format!("gets the dimensions {axes:?}"))?)
}

pub(super) fn transpose(view: &NodeView<'_>, reader: &GraphReader) -> Result<Constant, String> {
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
    let strides = strides(&shape);
    let strides: Vec<isize> = order.iter().map(|&axis| strides[axis]).collect();
    pick(reader, data, target.clone(), strided(&target, &strides, 0))
}
