//! `BatchNormalization`, `LRN`, `LpNormalization`, `ReduceL2`.

use models::ops::{BatchNorm, L2Length, L2Norm, LocalResponseNorm};

use crate::read::{GraphReader, NamedValue, NewNode, NodeView, ReadError, bounded};
use crate::write::{Attribute, GraphWriter};

pub(super) fn read(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let params = (1..=4).map(|index| view.tensor_input(reader, index)).collect::<Result<Vec<_>, _>>()?;
    if view.int("training_mode", 0) != 0 {
        let advice = "it was exported in training mode; call `model.eval()` before exporting";
        return Err(ReadError::Unsupported(advice.to_owned()));
    }
    if view.int("spatial", 1) == 0 {
        return Err(ReadError::Unsupported("batch normalisation of each pixel by itself".to_owned()));
    }
    let channels = params[0].1.data().len();
    // A share, though no engine minds.
    let momentum = complement(view.float("momentum", 0.9).clamp(0.0, 1.0));
    let op = BatchNorm { channels, eps: view.float("epsilon", 1e-5), momentum };
    reader.push_with(NewNode { name: view.name(), op: op.into(), params }, &[input])
}

pub(super) fn write(op: &BatchNorm, writer: &mut GraphWriter<'_>) {
    writer.node_with(
        "BatchNormalization",
        vec![Attribute::float("epsilon", op.eps), Attribute::float("momentum", complement(op.momentum))],
    );
}

pub(super) fn read_local_response(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let size = bounded(view.int("size", 0)).filter(|&size| size > 0);
    let size = size.ok_or(ReadError::Attribute { name: "size", value: view.int("size", 0).to_string() })?;
    let (alpha, beta, bias) = (view.float("alpha", 1e-4), view.float("beta", 0.75), view.float("bias", 1.0));
    reader.push(view.name(), LocalResponseNorm { size, alpha, beta, bias }, &[input])
}

pub(super) fn write_local_response(op: &LocalResponseNorm, writer: &mut GraphWriter<'_>) {
    let numbers = [("alpha", op.alpha), ("beta", op.beta), ("bias", op.bias)];
    let mut attributes: Vec<_> = numbers.into_iter().map(|(name, number)| Attribute::float(name, number)).collect();
    attributes.push(Attribute::int("size", op.size));
    writer.node_with("LRN", attributes);
}

pub(super) fn read_lp(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let (p, axis) = (view.int("p", 2), view.int("axis", -1));
    let shape = reader.shape(input);
    if p != 2 || shape.dims().len() != 1 || !matches!(axis, 1 | -1) {
        let reason =
            format!("a normalization of {shape} along axis {axis} by p = {p}; only one of vectors by p = 2 is read");
        return Err(ReadError::Unsupported(reason));
    }
    reader.push(view.name(), L2Norm, &[input])
}

pub(super) fn write_lp(writer: &mut GraphWriter<'_>) {
    writer.node_with("LpNormalization", vec![Attribute::int("axis", 1), Attribute::int("p", 2)]);
}

pub(super) fn read_length(view: &NodeView<'_>, reader: &mut GraphReader) -> Result<NamedValue, ReadError> {
    let input = view.node_input(reader, 0)?;
    let axes = view.ints_of(reader, "axes", 1)?.unwrap_or_default();
    let shape = reader.shape(input);
    if shape.dims().len() != 1 || !matches!(axes[..], [1 | -1]) || view.int("keepdims", 1) != 1 {
        let reason =
            format!("a length of {shape} along axes {axes:?}; only that of vectors is read, which keeps its dimension");
        return Err(ReadError::Unsupported(reason));
    }
    reader.push(view.name(), L2Length, &[input])
}

/// The axes are an attribute up to opset 17, and an input from 18 on.
pub(super) fn write_length(writer: &mut GraphWriter<'_>) {
    if writer.options().opset < 18 {
        return writer.node_with("ReduceL2", vec![Attribute::ints("axes", &[1])]);
    }
    let axes = writer.integers("axes", &[1]);
    writer.node_taking("ReduceL2", vec![axes], vec![]);
}

/// ONNX stores the share of the old statistics, PyTorch that of the new. Rounded to the seventh decimal, so that writing
/// and reading 0.1 gives 0.1 again, although 1 - (1 - 0.1) is not 0.1 in f32.
fn complement(momentum: f32) -> f32 {
    ((1.0 - f64::from(momentum)) * 1e7).round() as f32 / 1e7
}
