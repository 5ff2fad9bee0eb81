//! The stored form of a graph: its nodes and its output. Shapes are inferred again when it is read.

use serde::{Deserialize, Serialize};

use super::{Graph, GraphBuilder, GraphError, Node, NodeId};
use crate::ops::Op;

impl Graph {
    /// The graph as compact JSON, `{"nodes":[…],"output":…}`: the form in which graft stores it, which `serde_json` reads back.
    ///
    /// Equal graphs give equal text, in this and every later version of graft, so its hash identifies a network with its
    /// names. [`fingerprint`](Self::fingerprint) identifies a structure without them.
    ///
    /// ```
    /// use models::ops::{Relu, Shape};
    /// use models::{Graph, GraphBuilder};
    ///
    /// let mut builder = GraphBuilder::new("input", Shape::vector(4));
    /// let relu = builder.push("relu", Relu, &[builder.input()])?;
    /// let graph = builder.finish(relu);
    /// assert_eq!(serde_json::from_str::<Graph>(&graph.to_json())?, graph);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and numbers always serialize")
    }
}

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
