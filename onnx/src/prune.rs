//! Removes the nodes and weights that a tensor does not depend on.

use std::collections::HashSet;

use crate::edit::captured;
use crate::proto::GraphProto;

/// Keeps the nodes and weights that this tensor depends on, and the first input.
pub(crate) fn keep(graph: &mut GraphProto, tensor: &str) {
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
