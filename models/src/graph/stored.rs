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

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::ops::{Linear, Relu, Shape};

    /// Caches and checkpoints are filed under hashes of this text: another text would orphan them.
    #[test]
    fn the_stored_form_never_changes() {
        let mut builder = GraphBuilder::new("input", Shape::vector(4));
        let linear = builder.push("fc", Linear::new(4, 2), &[builder.input()]).unwrap();
        let relu = builder.push("relu", Relu, &[linear]).unwrap();
        let json = builder.finish(relu).to_json();
        let expected = concat!(
            r#"{"nodes":[{"name":"input","op":{"Input":{"shape":[4]}},"inputs":[],"params":[]},"#,
            r#"{"name":"fc","op":{"Linear":{"in_features":4,"out_features":2,"bias":true}},"inputs":[0],"#,
            r#""params":["fc.weight","fc.bias"]},{"name":"relu","op":{"Relu":null},"inputs":[1],"params":[]}],"output":2}"#,
        );
        assert_eq!(json, expected);
        // `printf %s '…' | sha256sum` of the text above.
        let hash = "4acf501782a0e3f9c43143291cef0f07cd2285e42469bf8c5677b501b93fe297";
        assert_eq!(hex::encode(Sha256::digest(json)), hash);
    }
}
