//! A network as a list of nodes.

mod builder;
mod classifier;
mod counts;
mod cut;
mod fingerprint;
mod stored;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use builder::GraphBuilder;
pub use classifier::{Classifier, GraftedGraph, NewHead};
pub use counts::Counts;
pub use cut::Cut;
pub use fingerprint::{Fingerprint, Folding};

use crate::ops::{Op, ParamDecl, Shape, ShapeError};

/// The index of a node in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(usize);

impl NodeId {
    /// The position in [`Graph::nodes`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// One step of the computation. Its output is the value that later nodes name by its [`NodeId`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique in the graph. The module path of the state dict where the network has one (`layer1.0.conv1`).
    pub name: String,
    /// The operator.
    pub op: Op,
    /// The nodes whose outputs it takes, all earlier in the list.
    pub inputs: Vec<NodeId>,
    /// The names of its parameters in [`Params`](crate::Params), in the order of [`Operator::params`](crate::ops::Operator::params).
    pub params: Vec<String>,
}

impl Node {
    /// The name and the declaration of each parameter.
    pub fn params(&self) -> impl Iterator<Item = (&str, ParamDecl)> {
        self.params.iter().map(String::as_str).zip(self.op.operator().params())
    }
}

/// A network: nodes in an order in which they can be computed, the first being the only input and one being the
/// output. Immutable and always well formed; made by a [`GraphBuilder`] and changed by making another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "stored::StoredGraph", into = "stored::StoredGraph")]
pub struct Graph {
    nodes: Vec<Node>,
    shapes: Vec<Shape>,
    output: NodeId,
}

impl Graph {
    /// All nodes, each behind its inputs.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All nodes with their identities.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId(index), node))
    }

    /// The node with this identity.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The node of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.iter().find(|(_, node)| node.name == name).map(|(id, _)| id)
    }

    /// The shape of a node's output, batch left out.
    #[must_use]
    pub fn shape(&self, id: NodeId) -> &Shape {
        &self.shapes[id.0]
    }

    /// `(channels, height, width)` of a node's output.
    ///
    /// # Errors
    /// [`GraphError::Shape`] when it is not a feature map.
    pub fn chw(&self, id: NodeId) -> Result<(usize, usize, usize), GraphError> {
        chw(self.node(id), self.shape(id))
    }

    /// The input node.
    #[must_use]
    pub fn input(&self) -> NodeId {
        NodeId(0)
    }

    /// The node whose output is the network's.
    #[must_use]
    pub fn output(&self) -> NodeId {
        self.output
    }

    /// The nodes that take this node's output.
    pub fn consumers(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        self.iter().filter(move |(_, node)| node.inputs.contains(&id)).map(|(consumer, _)| consumer)
    }

    /// How often each node's output is taken, the network's output counting once.
    #[must_use]
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        self.nodes.iter().flat_map(|node| &node.inputs).for_each(|id| uses[id.0] += 1);
        uses[self.output.0] += 1;
        uses
    }
}

/// The shape of a node's output as a feature map's.
fn chw(node: &Node, shape: &Shape) -> Result<(usize, usize, usize), GraphError> {
    let kind = node.op.operator().kind();
    shape.chw().map_err(|source| GraphError::Shape { node: node.name.clone(), kind, source })
}

/// Why nodes do not form a network, with the name of the node.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GraphError {
    /// An operator that does not accept its inputs.
    #[error("node `{node}` ({kind}): {source}")]
    Shape {
        /// The node's name.
        node: String,
        /// Its operator.
        kind: &'static str,
        /// The rule that it breaks.
        source: ShapeError,
    },
    /// A stored graph that does not begin with its input.
    #[error("the graph does not begin with an input node")]
    NoInput,
    /// An input behind the first node.
    #[error("node `{0}` is a second input; a graph has one")]
    SecondInput(String),
    /// A stored node that takes a later one.
    #[error("node `{0}` takes a node that does not come before it")]
    Order(String),
    /// Two nodes of one name.
    #[error("two nodes are named `{0}`")]
    DuplicateName(String),
    /// A node with more or fewer parameter names than its operator declares.
    #[error("node `{node}` ({kind}) names {found} parameters, its operator has {expected}")]
    Params {
        /// The node's name.
        node: String,
        /// Its operator.
        kind: &'static str,
        /// The number that the operator declares.
        expected: usize,
        /// The number that the node names.
        found: usize,
    },
    /// A cut that a later node reaches across.
    #[error("cannot cut at `{at}`: `{user}` behind the cut also takes `{value}` from before it")]
    Crossing {
        /// The node of the cut.
        at: String,
        /// The later node.
        user: String,
        /// The earlier node that is not the cut.
        value: String,
    },
    /// A network that ends neither in a vector nor in a feature map.
    #[error("cannot graft a head: the network ends in `{node}` of shape {shape}, not in features or a feature map")]
    NoFeatures {
        /// The output node.
        node: String,
        /// Such as `[n, 10, 3, 2]`.
        shape: String,
    },
}
