//! Cuts a network in two.

use super::{Graph, GraphBuilder, GraphError, Node, NodeId};

/// A network in two parts: `suffix(prefix(x))` is the whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// The node and everything that it depends on.
    pub prefix: Graph,
    /// Everything behind the node. Its input has the node's name and shape.
    pub suffix: Graph,
}

impl Graph {
    /// The part of the network that computes this node, which becomes its output.
    #[must_use]
    pub fn prefix(&self, at: NodeId) -> Graph {
        let builder = GraphBuilder::from(self.clone());
        builder.finish(at)
    }

    /// Cuts the network behind a node.
    ///
    /// ```
    /// use models::zoo;
    ///
    /// let graph = zoo::find("resnet18").expect("a network of the table").graph([64, 64], 10)?;
    /// let cut = graph.cut(graph.find("avgpool").expect("a pooling layer"))?;
    /// assert_eq!(cut.prefix.shape(cut.prefix.output()), cut.suffix.shape(cut.suffix.input()));
    /// # Ok::<(), models::GraphError>(())
    /// ```
    ///
    /// # Errors
    /// [`GraphError::Crossing`] when a later node also takes the output of an earlier one, as inside a residual block.
    pub fn cut(&self, at: NodeId) -> Result<Cut, GraphError> {
        let mut builder = GraphBuilder::new(&self.node(at).name, self.shape(at).clone());
        let mut copies = vec![None; self.nodes().len()];
        copies[at.0] = Some(builder.input());
        let needed = self.needed_behind(at);
        for (id, node) in self.iter().filter(|(id, _)| needed[id.0]) {
            let inputs = node
                .inputs
                .iter()
                .map(|input| {
                    copies[input.0].ok_or_else(|| GraphError::Crossing {
                        at: self.node(at).name.clone(),
                        user: node.name.clone(),
                        value: self.node(*input).name.clone(),
                    })
                })
                .collect::<Result<_, _>>()?;
            copies[id.0] = Some(builder.push_node(Node { inputs, ..node.clone() })?);
        }
        let output = copies[self.output().0].unwrap_or(builder.input());
        Ok(Cut { prefix: self.prefix(at), suffix: builder.finish(output) })
    }

    /// Which nodes the output needs besides what `at` already holds.
    fn needed_behind(&self, at: NodeId) -> Vec<bool> {
        let mut needed = vec![false; self.nodes().len()];
        let mut depends = vec![false; self.nodes().len()];
        depends[at.0] = true;
        for (id, node) in self.iter() {
            depends[id.0] |= node.inputs.iter().any(|input| depends[input.0]);
        }
        needed[self.output().0] = self.output() != at;
        for (id, node) in self.iter().rev() {
            if needed[id.0] {
                node.inputs.iter().filter(|input| depends[input.0] && **input != at).for_each(|i| needed[i.0] = true);
            }
        }
        needed
    }
}

impl From<Graph> for GraphBuilder {
    fn from(graph: Graph) -> Self {
        let names = graph.nodes.iter().map(|node| node.name.clone()).collect();
        Self { nodes: graph.nodes, shapes: graph.shapes, names }
    }
}
