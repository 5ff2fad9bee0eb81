//! A graph in a file: the nodes and the output; the shapes are inferred again.

use serde::{Deserialize, Serialize};

use super::{Graph, GraphBuilder, GraphError, Node, NodeId};
use crate::ops::Op;

/// What is written.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredGraph {
    nodes: Vec<Node>,
    output: NodeId,
}

impl From<Graph> for StoredGraph {
    fn from(graph: Graph) -> Self {
        Self { nodes: graph.nodes, output: graph.output }
    }
}

impl TryFrom<StoredGraph> for Graph {
    type Error = GraphError;

    fn try_from(stored: StoredGraph) -> Result<Self, GraphError> {
        let mut nodes = stored.nodes.into_iter();
        let Some(Node { name, op: Op::Input(input), .. }) = nodes.next() else { return Err(GraphError::NoInput) };
        let shape = input.shape.checked();
        let shape = shape.map_err(|source| GraphError::Shape { node: name.clone(), kind: "Input", source })?;
        let mut builder = GraphBuilder::new(&name, shape);
        for (before, node) in (1..).zip(nodes) {
            if node.inputs.iter().any(|input| input.0 >= before) {
                return Err(GraphError::Order(node.name));
            }
            builder.push_node(node)?;
        }
        match stored.output.0 < builder.nodes.len() {
            true => Ok(builder.finish(stored.output)),
            false => Err(GraphError::Order("output".to_owned())),
        }
    }
}
