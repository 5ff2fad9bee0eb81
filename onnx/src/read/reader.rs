//! The graph of an import so far, and what each name of the file stands for.

use std::collections::HashMap;

use models::graph::Node;
use models::ops::{Op, Operator, Shape};
use models::{Graph, GraphBuilder, NodeId, Params, Tensor};

use super::constant::Constant;
use super::error::ReadError;

/// The most numbers in one image's output of one node: a gigabyte.
pub(crate) const LARGEST_OUTPUT: usize = 1 << 28;
/// The most numbers that a file may have made, beside two for each of its own bytes: three quarters of a gigabyte. A
/// constant of one repeated number takes a few bytes, and the weights of VGG-19 stored so are 144 million.
const LARGEST_EXPANSION: usize = 3 << 26;

/// What a name in the file stands for.
#[derive(Debug, Clone)]
pub(crate) enum NamedValue {
    /// A node's output.
    Node(NodeId),
    /// A tensor that does not depend on the input, and the name of its numbers in the file.
    Constant(String, Constant),
}

/// Properties of a file that decide how its nodes are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileFacts {
    /// The version of the standard operator set.
    pub(crate) opset: i64,
    /// The batch size that the file declares, if it declares one.
    pub(crate) fixed_batch: Option<i64>,
    /// The encoded size of its graph in bytes, which bounds what it may expand to.
    pub(crate) bytes: usize,
}

/// The state of an import: the graph so far, and what each name stands for.
pub(crate) struct GraphReader {
    pub(crate) builder: GraphBuilder,
    pub(crate) opset: i64,
    /// The batch size that the file was made for, if it declares one.
    pub(crate) fixed_batch: Option<i64>,
    params: Params,
    values: HashMap<String, NamedValue>,
    /// How many more numbers the file may have made.
    expansion: usize,
}

impl GraphReader {
    /// Starts from a builder that holds the input.
    pub(crate) fn new(builder: GraphBuilder, facts: FileFacts) -> Self {
        Self {
            builder,
            opset: facts.opset,
            fixed_batch: facts.fixed_batch,
            params: Params::default(),
            values: HashMap::new(),
            expansion: LARGEST_EXPANSION + 2 * facts.bytes,
        }
    }

    /// Ends the graph at this node. The parameters may include some that no node takes.
    pub(crate) fn finish(self, output: NodeId) -> (Graph, Params) {
        (self.builder.finish(output), self.params)
    }

    /// The node whose numbers this one has in another shape, or itself.
    pub(crate) fn reshaped(&self, mut id: NodeId) -> NodeId {
        while let Op::Reshape(_) | Op::Flatten(_) = self.builder.node(id).op {
            id = self.builder.node(id).inputs[0];
        }
        id
    }

    /// Makes a name stand for this value from now on.
    pub(crate) fn define(&mut self, name: &str, value: NamedValue) {
        self.values.insert(name.to_owned(), value);
    }

    /// What a name stands for.
    pub(crate) fn value(&self, name: &str) -> Result<&NamedValue, ReadError> {
        self.values.get(name).ok_or_else(|| ReadError::Undefined(name.to_owned()))
    }

    /// A parameter of a node read before.
    pub(crate) fn param(&self, name: &str) -> Option<Tensor> {
        self.params.get(name).cloned()
    }

    /// The shape of a node's output.
    pub(crate) fn shape(&self, id: NodeId) -> &Shape {
        self.builder.shape(id)
    }

    /// Allows this many numbers that are not in the file to be made, once: to be asked before they are.
    ///
    /// # Errors
    /// [`ReadError::Unsupported`] when the file has asked for more than any network has.
    pub(crate) fn expand(&mut self, numbers: usize) -> Result<(), ReadError> {
        self.expansion = self.expansion.checked_sub(numbers).ok_or_else(|| {
            ReadError::Unsupported("constants that take more memory than any image network".to_owned())
        })?;
        Ok(())
    }

    /// Whether so many are allowed.
    pub(crate) fn affords(&self, numbers: usize) -> bool {
        numbers <= self.expansion
    }

    /// Adds a node without parameters under this name, or a numbered one if it is taken.
    pub(crate) fn push(&mut self, name: &str, op: impl Into<Op>, inputs: &[NodeId]) -> Result<NamedValue, ReadError> {
        self.push_with(NewNode { name, op: op.into(), params: vec![] }, inputs)
    }

    /// Adds a node with parameters, each under its name in the file.
    pub(crate) fn push_with(&mut self, node: NewNode<'_>, inputs: &[NodeId]) -> Result<NamedValue, ReadError> {
        let NewNode { name, op, params } = node;
        let params = params.into_iter().map(|(name, tensor)| self.own(name, tensor)).collect::<Vec<_>>();
        let name = self.builder.free_name(&node_name(name, op.operator(), &params));
        let node = Node { name, op, inputs: inputs.to_vec(), params };
        let id = self.builder.push_node(node)?;
        let shape = self.builder.shape(id);
        match shape.dims().iter().try_fold(1_usize, |size, &dim| size.checked_mul(dim)) {
            Some(..=LARGEST_OUTPUT) => Ok(NamedValue::Node(id)),
            _ => Err(ReadError::Unsupported(format!("an output of shape {shape}, too large to compute"))),
        }
    }

    /// Adds a node in the place of an earlier one, of whose work it does a part: the earlier one's name is free for it.
    pub(crate) fn absorb(&mut self, node: NewNode<'_>, absorbed: NodeId) -> Result<NamedValue, ReadError> {
        let inputs = self.builder.node(absorbed).inputs.clone();
        self.builder.release_name(absorbed);
        self.push_with(node, &inputs)
    }

    /// Keeps a parameter and answers its name: a numbered one where another node has other numbers under the same, as
    /// when one stored tensor is used in two shapes.
    fn own(&mut self, name: String, tensor: Tensor) -> String {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let taken = |candidate: &String| self.params.get(candidate).is_some_and(|other| *other != tensor);
        let free = std::iter::once(name.clone()).chain(numbered).find(|candidate| !taken(candidate)).unwrap_or(name);
        self.params.insert(free.clone(), tensor);
        free
    }
}

/// A node to be added.
pub(crate) struct NewNode<'a> {
    /// Its name, if that is free.
    pub(crate) name: &'a str,
    pub(crate) op: Op,
    /// Its parameters, each under its name in the file.
    pub(crate) params: Vec<(String, Tensor)>,
}

/// The module of the state dict if all parameters are named as its parts, otherwise the node's own name.
fn node_name(name: &str, operator: &dyn Operator, params: &[String]) -> String {
    let declared = operator.params();
    let module = params.first().zip(declared.first()).and_then(|(name, param)| name.strip_suffix(param.role));
    module
        .and_then(|module| module.strip_suffix('.'))
        .filter(|module| !module.is_empty())
        .filter(|module| params.iter().zip(&declared).all(|(name, param)| *name == format!("{module}.{}", param.role)))
        .unwrap_or(name)
        .to_owned()
}
