//! Parts of a graph that graft adds to a file's own nodes.

use std::collections::HashSet;

use bytes::Bytes;
use prost::Message;

use crate::proto::{Dimension, DimensionProto, GraphProto, NodeProto, ValueInfoProto};
use crate::write::Attribute;

pub(crate) fn cast(from: &str, to: &str, elem_type: i32) -> NodeProto {
    NodeProto {
        name: format!("graft.cast.{to}"),
        op_type: "Cast".to_owned(),
        input: vec![from.to_owned()],
        output: vec![to.to_owned()],
        attribute: vec![Attribute::int("to", elem_type as usize).into_proto()],
        ..NodeProto::default()
    }
}

/// The names of all tensors in a graph.
pub(crate) fn names(graph: &GraphProto) -> impl Iterator<Item = String> {
    let produced = graph.node.iter().flat_map(|node| &node.output);
    let given = graph.initializer.iter().map(|tensor| &tensor.name).chain(graph.input.iter().map(|value| &value.name));
    produced.chain(given).cloned()
}

/// This name, or one made from it that is not taken.
pub(crate) fn free(name: &str, taken: &HashSet<String>) -> String {
    let mut free = name.to_owned();
    while taken.contains(&free) {
        free.push('_');
    }
    free
}

pub(crate) fn first_dimension(value: &ValueInfoProto) -> Option<Dimension> {
    let shape = value.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    shape.dim.first()?.value.clone()
}

pub(crate) fn set_first_dimension(value: &mut ValueInfoProto, batch: &Dimension) {
    let shape = value.r#type.as_mut().and_then(|kind| kind.tensor_type.as_mut()?.shape.as_mut());
    if let Some(first) = shape.and_then(|shape| shape.dim.first_mut()) {
        *first = DimensionProto { value: Some(batch.clone()), ..DimensionProto::default() };
    }
}

/// The names that subgraphs of a node, such as the branches of an `If`, use. They may be tensors of the outer graph, which
/// the node does not list among its inputs.
pub(crate) fn captured(node: &NodeProto) -> Vec<String> {
    let graphs = |node: &NodeProto| -> Vec<Bytes> {
        node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs).cloned()).collect()
    };
    let (mut left, mut names) = (graphs(node), Vec::new());
    while let Some(bytes) = left.pop() {
        // What does not decode is for the engine to refuse.
        let Ok(graph) = GraphProto::decode(bytes) else { continue };
        names.extend(graph.output.into_iter().map(|output| output.name));
        for node in graph.node {
            left.extend(graphs(&node));
            names.extend(node.input);
        }
    }
    names
}
