//! Removes the nodes and weights that a tensor does not depend on.

use std::collections::HashSet;

use bytes::Bytes;
use prost::Message;

use crate::proto::{GraphProto, NodeProto};

/// Keeps the nodes and weights that this tensor depends on, and the first input.
pub(super) fn keep(graph: &mut GraphProto, tensor: &str) {
    let mut needed = HashSet::from([tensor.to_owned()]);
    let mut nodes = Vec::new();
    for node in std::mem::take(&mut graph.node).into_iter().rev() {
        if node.output.iter().any(|output| needed.contains(output)) {
            needed.extend(node.input.iter().cloned().chain(captured(&node)));
            nodes.push(node);
        }
    }
    nodes.reverse();
    graph.node = nodes;
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
    let mut first = true;
    graph.input.retain(|input| std::mem::take(&mut first) || needed.contains(&input.name));
}

/// The names that subgraphs of a node, such as the branches of an `If`, use. They may be tensors of the outer graph, which
/// the node does not list among its inputs.
pub(super) fn captured(node: &NodeProto) -> Vec<String> {
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
