//! `BatchNormalization`.

use models::ops::BatchNorm;

use super::ReadError;
use crate::export::{Attribute, Writer};
use crate::import::{NodeView, Reader, Value};

pub(super) fn read(view: &NodeView<'_>, reader: &mut Reader) -> Result<Value, ReadError> {
    let input = view.node_input(reader, 0)?;
    let params = (1..=4).map(|index| view.tensor_input(reader, index)).collect::<Result<Vec<_>, _>>()?;
    if view.int("training_mode", 0) != 0 {
        let advice = "it was exported in training mode; call `model.eval()` before exporting";
        return Err(ReadError::Unsupported(advice.to_owned()));
    }
    let channels = params[0].1.data().len();
    let op =
        BatchNorm { channels, eps: view.float("epsilon", 1e-5), momentum: complement(view.float("momentum", 0.9)) };
    reader.push_with(view, op, &[input], params)
}

pub(super) fn write(op: &BatchNorm, writer: &mut Writer<'_>) {
    writer.node_with(
        "BatchNormalization",
        vec![Attribute::float("epsilon", op.eps), Attribute::float("momentum", complement(op.momentum))],
    );
}

/// ONNX stores the share of the old statistics, PyTorch that of the new. Rounded to the seventh decimal, so that writing
/// and reading 0.1 gives 0.1 again, although 1 - (1 - 0.1) is not 0.1 in f32.
fn complement(momentum: f32) -> f32 {
    ((1.0 - f64::from(momentum)) * 1e7).round() as f32 / 1e7
}
