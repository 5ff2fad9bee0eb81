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
    let op = BatchNorm { channels, eps: view.float("epsilon", 1e-5), momentum: 1.0 - view.float("momentum", 0.9) };
    reader.push_with(view, op, &[input], params)
}

pub(super) fn write(op: &BatchNorm, writer: &mut Writer<'_>) {
    writer.node_with(
        "BatchNormalization",
        vec![Attribute::float("epsilon", op.eps), Attribute::float("momentum", 1.0 - op.momentum)],
    );
}
