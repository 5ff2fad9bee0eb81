//! Files whose images are channels last, computed channels first.

use models::NodeId;
use models::ops::{Op, Transpose};

use crate::read::{GraphReader, NamedValue, NodeView, ReadError};

/// The channels-first image that this node shows channels last.
pub(super) fn channels_last(reader: &GraphReader, id: NodeId) -> Option<NodeId> {
    let node = reader.builder.node(id);
    match &node.op {
        Op::Transpose(Transpose { order }) if order[..] == [1, 2, 0] => Some(node.inputs[0]),
        _ => None,
    }
}

/// An operator that treats all numbers alike, applied channels first where the file does it channels last. So a network
/// that was made channels last is one with its channels first, but for its edges.
pub(super) fn elementwise(
    view: &NodeView<'_>,
    reader: &mut GraphReader,
    op: impl Into<Op>,
    inputs: &[NodeId],
) -> Result<NamedValue, ReadError> {
    let sources: Option<Vec<NodeId>> = inputs.iter().map(|&id| channels_last(reader, id)).collect();
    match sources {
        Some(sources) => {
            let value = reader.push(view.name(), op, &sources)?;
            show_channels_last(view, reader, value)
        }
        None => reader.push(view.name(), op, inputs),
    }
}

/// The same image in the file's order.
pub(super) fn show_channels_last(
    view: &NodeView<'_>,
    reader: &mut GraphReader,
    value: NamedValue,
) -> Result<NamedValue, ReadError> {
    match value {
        NamedValue::Node(id) => reader.push(view.name(), Transpose { order: vec![1, 2, 0] }, &[id]),
        constant @ NamedValue::Constant(..) => Ok(constant),
    }
}
