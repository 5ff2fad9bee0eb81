//! `Gemm`, and `MatMul`, whose bias comes by an `Add` behind it; products with the matrices of an adaptive pooling.

use models::ops::{AdaptiveAvgPool, Linear};
use models::{NodeId, Tensor};

use super::pool::read_averaging;
use crate::read::{GraphReader, NamedValue, NewNode, NodeView, ReadError};
use crate::write::{Attribute, GraphWriter};

pub(super) fn read_gemm(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    if view.int("transA", 0) != 0 {
        return Err(ReadError::Unsupported("a Gemm with transA".to_owned()));
    }
    let (name, weight) = view.tensor_input(reader, 1)?;
    let weight = matrix(&weight)?;
    let weight = if view.int("transB", 0) != 0 { weight } else { transposed(&weight, reader)? };
    let outputs = weight.shape()[0];
    let mut params = vec![(name, scaled(weight, view.float("alpha", 1.0), reader)?)];
    if view.input(2).is_some() {
        let (name, bias) = view.tensor_input(reader, 2)?;
        let bias = match bias.data() {
            [number] => {
                reader.expand(outputs)?;
                Tensor::new([outputs], vec![*number; outputs])
            }
            numbers => bias.reshaped(&[numbers.len()]),
        };
        params.push((name, scaled(bias, view.float("beta", 1.0), reader)?));
    }
    push(view, reader, input, params)
}

/// A linear layer without a bias, or, where the constant is on the left or the other factor an image, half of an adaptive
/// pooling.
pub(super) fn read_matmul(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    if let NamedValue::Constant(..) = view.value(reader, 0)? {
        let (_, rows) = view.tensor_input(reader, 0)?;
        let input = view.node_input(reader, 1)?;
        let (_, height, width) = image(reader, input)?;
        return match read_averaging(&matrix(&rows)?, height, reader)? {
            rows if rows == height => Ok(NamedValue::Node(input)),
            rows => reader.push(view.name(), AdaptiveAvgPool { output: [rows, width] }, &[input]),
        };
    }
    let input = view.node_input(reader, 0)?;
    let (name, weight) = view.tensor_input(reader, 1)?;
    if let Ok((_, height, width)) = image(reader, input) {
        let columns = read_averaging(&transposed(&matrix(&weight)?, reader)?, width, reader)?;
        if columns == width {
            return Ok(NamedValue::Node(input));
        }
        return match reader.builder.node(input).op {
            models::ops::Op::AdaptiveAvgPool(AdaptiveAvgPool { output: [rows, _] }) => {
                let pool = AdaptiveAvgPool { output: [rows, columns] };
                reader.absorb(NewNode { name: view.name(), op: pool.into(), params: vec![] }, input)
            }
            _ => reader.push(view.name(), AdaptiveAvgPool { output: [height, columns] }, &[input]),
        };
    }
    let weight = transposed(&matrix(&weight)?, reader)?;
    push(view, reader, input, vec![(name, weight)])
}

fn image(reader: &GraphReader, id: NodeId) -> Result<(usize, usize, usize), ReadError> {
    let shape = reader.shape(id);
    shape.chw().map_err(|_| ReadError::Unsupported(format!("a constant matrix times something of shape {shape}")))
}

fn scaled(tensor: Tensor, factor: f32, reader: &mut GraphReader) -> Result<Tensor, ReadError> {
    if factor == 1.0 {
        return Ok(tensor);
    }
    reader.expand(tensor.data().len())?;
    Ok(Tensor::new(tensor.shape(), tensor.data().iter().map(|number| factor * number).collect()))
}

pub(super) fn write(_op: &Linear, writer: &mut GraphWriter<'_>) {
    writer.node_with("Gemm", vec![Attribute::int("transB", 1)]);
}

fn push(
    view: &NodeView<'_>,
    reader: &mut GraphReader,
    input: NodeId,
    params: Vec<(String, Tensor)>,
) -> Result<NamedValue, ReadError> {
    let &[out_features, in_features] = params[0].1.shape() else {
        return Err(ReadError::Unsupported(format!("a weight of shape {:?}", params[0].1.shape())));
    };
    let linear = Linear { in_features, out_features, bias: params.len() == 2 };
    reader.push_with(NewNode { name: view.name(), op: linear.into(), params }, &[input])
}

/// A matrix, which may have dimensions of length one before it.
fn matrix(weight: &Tensor) -> Result<Tensor, ReadError> {
    match *weight.shape() {
        [rows, columns] | [1, rows, columns] | [1, 1, rows, columns] => Ok(weight.reshaped(&[rows, columns])),
        ref shape => Err(ReadError::Unsupported(format!("a product with a weight of shape {shape:?}, not a matrix"))),
    }
}

fn transposed(weight: &Tensor, reader: &mut GraphReader) -> Result<Tensor, ReadError> {
    reader.expand(weight.data().len())?;
    let (rows, columns) = (weight.shape()[0], weight.shape()[1]);
    let data = (0..columns).flat_map(|column| (0..rows).map(move |row| weight.data()[row * columns + column]));
    Ok(Tensor::new([columns, rows], data.collect()))
}
