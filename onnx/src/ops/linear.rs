//! `Gemm`, and `MatMul` followed by `Add`.

use models::graph::Node;
use models::ops::{Linear, Op};
use models::{NodeId, Tensor};

use super::ReadError;
use crate::export::{Attribute, Writer};
use crate::import::{NodeView, Reader, Value};

pub(super) fn read_gemm(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let input = view.node_input(reader, 0)?;
    let (alpha, beta) = (view.float("alpha", 1.0), view.float("beta", 1.0));
    let bias = view.input(2).is_some();
    if alpha != 1.0 || (bias && beta != 1.0) || view.int("transA", 0) != 0 {
        return Err(ReadError::Unsupported("a Gemm with alpha, beta or transA".to_owned()));
    }
    let (name, weight) = view.tensor_input(reader, 1)?;
    let weight = if view.int("transB", 0) != 0 { matrix(weight)? } else { transposed(&matrix(weight)?) };
    let mut params = vec![(name, weight)];
    if bias {
        let (name, bias) = view.tensor_input(reader, 2)?;
        params.push((name, Tensor::new([bias.data().len()], bias.data().to_vec())));
    }
    push(view, reader, input, params)
}

pub(super) fn read_matmul(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let input = view.node_input(reader, 0)?;
    let (name, weight) = view.tensor_input(reader, 1)?;
    push(view, reader, input, vec![(name, transposed(&matrix(weight)?))])
}

/// `Add` of a stored vector right behind a `MatMul`: the layer's bias.
pub(super) fn read_bias(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let constant = usize::from(!matches!(reader.value(view.input(0).unwrap_or_default())?, Value::Constant(..)));
    let product = view.node_input(reader, 1 - constant)?;
    let (bias_name, bias) = view.tensor_input(reader, constant)?;
    let Node { op: Op::Linear(linear), inputs, params, name } = reader.builder.node(product).clone() else {
        return Err(ReadError::Unsupported(format!("adding the constant `{bias_name}` to anything but a MatMul")));
    };
    if linear.bias || bias.data().len() != linear.out_features {
        return Err(ReadError::Unsupported(format!("adding the constant `{bias_name}` of shape {:?}", bias.shape())));
    }
    let bias = Tensor::new([linear.out_features], bias.data().to_vec());
    let weight = reader.param(&params[0]).ok_or(ReadError::Undefined(name))?;
    let params = vec![(params[0].clone(), weight), (bias_name, bias)];
    push(view, reader, inputs[0], params)
}

pub(super) fn write(_op: &Linear, writer: &mut Writer<'_>) {
    writer.node_with("Gemm", vec![Attribute::int("transB", 1)]);
}

fn push(
    view: &NodeView<'_>,
    reader: &mut Reader,
    input: NodeId,
    params: Vec<(String, Tensor)>,
) -> Result<Value, ReadError> {
    let &[out_features, in_features] = params[0].1.shape() else {
        return Err(ReadError::Unsupported(format!("a weight of shape {:?}", params[0].1.shape())));
    };
    let linear = Linear { in_features, out_features, bias: params.len() == 2 };
    reader.push_with(view, linear, &[input], params)
}

fn matrix(weight: Tensor) -> Result<Tensor, ReadError> {
    match weight.shape() {
        [_, _] => Ok(weight),
        shape => Err(ReadError::Unsupported(format!("a product with a weight of shape {shape:?}, not a matrix"))),
    }
}

fn transposed(weight: &Tensor) -> Tensor {
    let (rows, columns) = (weight.shape()[0], weight.shape()[1]);
    let data = (0..columns).flat_map(|column| (0..rows).map(move |row| weight.data()[row * columns + column]));
    Tensor::new([columns, rows], data.collect())
}
