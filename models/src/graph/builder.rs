//! Builds a graph node by node.

use std::collections::HashSet;

use super::{Graph, GraphError, Node, NodeId};
use crate::ops::{Input, Normalize, Op, Shape};

/// Collects nodes and checks each one when it is added.
///
/// ```
/// use models::GraphBuilder;
/// use models::ops::{Conv2d, Relu, Shape};
///
/// let mut builder = GraphBuilder::new("input", Shape::image(3, 32, 32));
/// let conv = builder.push("conv", Conv2d::new(3, 16, 3), &[builder.input()])?;
/// let relu = builder.push("relu", Relu, &[conv])?;
/// let graph = builder.finish(relu);
/// assert_eq!(graph.shape(graph.output()).dims(), [16, 30, 30]);
/// assert_eq!(graph.node(conv).params, ["conv.weight", "conv.bias"]);
/// # Ok::<(), models::GraphError>(())
/// ```
#[derive(Debug, Clone)]
pub struct GraphBuilder {
    pub(super) nodes: Vec<Node>,
    pub(super) shapes: Vec<Shape>,
    pub(super) names: HashSet<String>,
}

impl GraphBuilder {
    /// Starts with an input node of this name and shape.
    #[must_use]
    pub fn new(name: &str, shape: Shape) -> Self {
        let node =
            Node { name: name.to_owned(), op: Input { shape: shape.clone() }.into(), inputs: vec![], params: vec![] };
        Self { nodes: vec![node], shapes: vec![shape], names: HashSet::from([name.to_owned()]) }
    }

    /// The input node.
    #[must_use]
    pub fn input(&self) -> NodeId {
        NodeId(0)
    }

    /// Adds a node whose parameters are named after it: `name.weight`, `name.bias`, ….
    ///
    /// # Errors
    /// [`GraphError`] when the name is taken or the operator cannot take these inputs.
    pub fn push(&mut self, name: &str, op: impl Into<Op>, inputs: &[NodeId]) -> Result<NodeId, GraphError> {
        let op = op.into();
        let params = op.operator().params().iter().map(|param| format!("{name}.{}", param.role)).collect();
        self.push_node(Node { name: name.to_owned(), op, inputs: inputs.to_vec(), params })
    }

    /// Adds a node with parameter names of its own.
    ///
    /// # Errors
    /// [`GraphError`] when the name is taken, the parameters are not as many as the operator has, or the operator
    /// cannot take these inputs or makes something of them that is empty or too large.
    pub fn push_node(&mut self, node: Node) -> Result<NodeId, GraphError> {
        let operator = node.op.operator();
        let kind = operator.kind();
        let inputs: Vec<&Shape> = node.inputs.iter().map(|id| &self.shapes[id.0]).collect();
        if let Op::Input(_) = node.op {
            return Err(GraphError::SecondInput(node.name));
        }
        let shape = operator.output_shape(&inputs).and_then(Shape::checked);
        let shape = shape.map_err(|source| GraphError::Shape { node: node.name.clone(), kind, source })?;
        let params = operator.params();
        let expected = params.len();
        if node.params.len() != expected {
            let found = node.params.len();
            return Err(GraphError::Params { node: node.name, kind, expected, found });
        }
        for param in params {
            let checked = Shape::new(param.shape).checked();
            checked.map_err(|source| GraphError::Shape { node: node.name.clone(), kind, source })?;
        }
        if !self.names.insert(node.name.clone()) {
            return Err(GraphError::DuplicateName(node.name));
        }
        self.nodes.push(node);
        self.shapes.push(shape);
        Ok(NodeId(self.nodes.len() - 1))
    }

    /// Frees a node's name for its replacement. The node keeps a name derived from it.
    pub fn release_name(&mut self, id: NodeId) {
        let name = std::mem::take(&mut self.nodes[id.0].name);
        let aside = self.free_name(&format!("{name}.absorbed"));
        self.names.remove(&name);
        self.names.insert(aside.clone());
        self.nodes[id.0].name = aside;
    }

    /// The node with this identity.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The shape of a node's output, batch left out.
    #[must_use]
    pub fn shape(&self, id: NodeId) -> &Shape {
        &self.shapes[id.0]
    }

    /// `(channels, height, width)` of a node's output.
    ///
    /// # Errors
    /// [`GraphError::Shape`] when the output is not a feature map.
    pub fn chw(&self, id: NodeId) -> Result<(usize, usize, usize), GraphError> {
        super::chw(self.node(id), self.shape(id))
    }

    /// The graph that ends in this node, without nodes that it does not depend on.
    #[must_use]
    pub fn finish(self, output: NodeId) -> Graph {
        let mut needed = vec![false; self.nodes.len()];
        needed[0] = true;
        needed[output.0] = true;
        for index in (0..self.nodes.len()).rev().filter(|&index| index <= output.0) {
            if needed[index] {
                self.nodes[index].inputs.iter().for_each(|id| needed[id.0] = true);
            }
        }
        let mut copies = vec![NodeId(0); self.nodes.len()];
        let (mut nodes, mut shapes) = (Vec::new(), Vec::new());
        for (index, (mut node, shape)) in self.nodes.into_iter().zip(self.shapes).enumerate() {
            if needed[index] {
                copies[index] = NodeId(nodes.len());
                node.inputs.iter_mut().for_each(|id| *id = copies[id.0]);
                nodes.push(node);
                shapes.push(shape);
            }
        }
        Graph { nodes, shapes, output: copies[output.0] }
    }
}

impl Graph {
    /// Rebuilds the graph node by node. `change` gets each node with its inputs renumbered, and returns the node of the new
    /// graph that replaces it.
    ///
    /// # Errors
    /// The first error of `change`.
    pub fn rebuild<E>(
        &self,
        mut change: impl FnMut(&mut GraphBuilder, NodeId, Node) -> Result<NodeId, E>,
    ) -> Result<Graph, E> {
        let input = self.node(self.input());
        let mut builder = GraphBuilder::new(&input.name, self.shape(self.input()).clone());
        let mut copies = vec![builder.input()];
        for (id, node) in self.iter().skip(1) {
            let inputs = node.inputs.iter().map(|id| copies[id.0]).collect();
            let copy = change(&mut builder, id, Node { inputs, ..node.clone() })?;
            copies.push(copy);
        }
        Ok(builder.finish(copies[self.output.0]))
    }

    /// Inserts a normalization between the input and its consumers.
    ///
    /// # Errors
    /// [`GraphError`] when the constants are not as many as the input's channels.
    pub fn normalized(&self, normalize: &Normalize) -> Result<Graph, GraphError> {
        self.behind("normalize", normalize.clone())
    }

    /// Inserts an operator between the input and its consumers, under this name or a numbered one if it is taken.
    ///
    /// # Errors
    /// [`GraphError`] when the operator does not accept the input, or the network does not accept its output.
    pub fn behind(&self, name: &str, op: impl Into<Op>) -> Result<Graph, GraphError> {
        let op = op.into();
        let mut first = None;
        self.rebuild(|builder, _, mut node| {
            let id = match first {
                Some(id) => id,
                None => {
                    let name = builder.free_name(name);
                    *first.insert(builder.push(&name, op.clone(), &[builder.input()])?)
                }
            };
            node.inputs.iter_mut().filter(|input| input.0 == 0).for_each(|input| *input = id);
            builder.push_node(node)
        })
    }
}
