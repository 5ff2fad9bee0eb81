//! The walk over the nodes of a file.

use std::collections::{HashMap, HashSet};

use models::graph::Node;
use models::ops::{Flatten, Op, Operator, Shape, Transpose};
use models::{Graph, GraphBuilder, NodeId, Params, Tensor};
use prost::Message;

use super::input::{ImageInput, Layout};
use super::{Constant, ImportError, NodeView};
use crate::export::INPUT;
use crate::ops::{self, ReadError};
use crate::proto::GraphProto;

/// The most numbers in one image's output of one node: a gigabyte.
const LARGEST_OUTPUT: usize = 1 << 28;
/// The most numbers that a file may have made, beside two for each of its own bytes: three quarters of a gigabyte. A
/// constant of one repeated number takes a few bytes, and the weights of VGG-19 stored so are 144 million.
const LARGEST_EXPANSION: usize = 3 << 26;

/// What a name in the file stands for.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A node's output.
    Node(NodeId),
    /// A tensor that does not depend on the input, and the name of its numbers in the file.
    Constant(String, Constant),
}

/// The state of the walk: the graph so far, and what each name stands for.
pub(crate) struct Reader {
    pub(crate) builder: GraphBuilder,
    pub(crate) opset: i64,
    /// The size of the batch that the file was made for, where it has one.
    pub(crate) fixed_batch: Option<i64>,
    params: Params,
    values: HashMap<String, Value>,
    expansion: usize,
}

impl Reader {
    /// Begins with the file's input and initialisers.
    pub(crate) fn new(graph: &GraphProto, input: ImageInput, opset: i64) -> Result<Self, ImportError> {
        if input.shape.len() > LARGEST_OUTPUT {
            return Err(ImportError::InputSize { name: input.name, shape: input.shape.to_string() });
        }
        let mut builder = GraphBuilder::new(INPUT, input.shape);
        let mut image = builder.input();
        if input.layout == Layout::ChannelsLast {
            let name = builder.free_name("channels_last");
            image = builder.push(&name, Transpose { order: vec![1, 2, 0] }, &[image])?;
        }
        let mut values = HashMap::from([(input.name, Value::Node(image))]);
        for tensor in &graph.initializer {
            let constant = Constant::decode(tensor)
                .map_err(|reason| ImportError::Initializer { name: tensor.name.clone(), reason })?;
            values.insert(tensor.name.clone(), Value::Constant(tensor.name.clone(), constant));
        }
        let (fixed_batch, expansion) = (input.fixed_batch, LARGEST_EXPANSION + 2 * graph.encoded_len());
        Ok(Self { builder, opset, fixed_batch, params: Params::default(), values, expansion })
    }

    /// Reads every node, then finds the network's output.
    pub(crate) fn read(mut self, graph: &GraphProto) -> Result<(Graph, Params), ImportError> {
        for node in &graph.node {
            let view = NodeView { proto: node };
            let value = ops::read(&view, &mut self).map_err(|source| ImportError::Node {
                node: view.name().to_owned(),
                operator: node.op_type.clone(),
                source,
            })?;
            self.define(view.output(), value);
        }
        let output = self.output(graph)?;
        Ok((self.builder.finish(output), self.params))
    }

    /// The node of logits or features: a softmax at the end is left off, so that a file with `logits` and
    /// `probabilities` has one output.
    fn output(&mut self, graph: &GraphProto) -> Result<NodeId, ImportError> {
        let mut found = HashSet::new();
        let mut last = None;
        for output in &graph.output {
            let Some(Value::Node(mut id)) = self.values.get(&output.name).cloned() else {
                return Err(ImportError::Undefined(output.name.clone()));
            };
            let mut end = id;
            // What only training sees may stand behind it.
            while let Op::Softmax(_) | Op::Dropout(_) = self.builder.node(end).op {
                let softmax = matches!(self.builder.node(end).op, Op::Softmax(_));
                end = self.builder.node(end).inputs[0];
                id = if softmax { end } else { id };
            }
            found.insert(id);
            last = Some(id);
        }
        let Some(id) = last.filter(|_| found.len() == 1) else {
            return Err(ImportError::Outputs(graph.output.iter().map(|output| output.name.clone()).collect()));
        };
        match *self.builder.shape(id).dims() {
            [length, 1, 1] => self.vector(id, length),
            _ => Ok(id),
        }
    }

    /// A node's numbers as a vector, which it may have been made of.
    fn vector(&mut self, id: NodeId, length: usize) -> Result<NodeId, ImportError> {
        let source = self.reshaped(id);
        if *self.builder.shape(source).dims() == [length] {
            return Ok(source);
        }
        let name = self.builder.free_name("flatten");
        Ok(self.builder.push(&name, Flatten, &[source])?)
    }

    /// The node whose numbers this one has in another shape, or itself.
    pub(crate) fn reshaped(&self, mut id: NodeId) -> NodeId {
        while let Op::Reshape(_) | Op::Flatten(_) = self.builder.node(id).op {
            id = self.builder.node(id).inputs[0];
        }
        id
    }

    /// From now on this name stands for this value.
    pub(crate) fn define(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    /// What a name stands for.
    pub(crate) fn value(&self, name: &str) -> Result<&Value, ReadError> {
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

    /// Adds a node without parameters.
    pub(crate) fn push(
        &mut self,
        view: &NodeView<'_>,
        op: impl Into<Op>,
        inputs: &[NodeId],
    ) -> Result<Value, ReadError> {
        self.push_with(view, op, inputs, vec![])
    }

    /// Adds a node with parameters, each under its name in the file.
    pub(crate) fn push_with(
        &mut self,
        view: &NodeView<'_>,
        op: impl Into<Op>,
        inputs: &[NodeId],
        params: Vec<(String, Tensor)>,
    ) -> Result<Value, ReadError> {
        let op = op.into();
        let params = params.into_iter().map(|(name, tensor)| self.own(name, tensor)).collect::<Vec<_>>();
        let name = self.builder.free_name(&node_name(view, op.operator(), &params));
        let node = Node { name, op, inputs: inputs.to_vec(), params };
        let id = self.builder.push_node(node)?;
        let shape = self.builder.shape(id);
        match shape.dims().iter().try_fold(1_usize, |size, &dim| size.checked_mul(dim)) {
            Some(..=LARGEST_OUTPUT) => Ok(Value::Node(id)),
            _ => Err(ReadError::Unsupported(format!("an output of shape {shape}, too large to compute"))),
        }
    }

    /// Adds a node in the place of an earlier one, of whose work it does a part: the earlier one's name is free for it.
    pub(crate) fn absorb(
        &mut self,
        view: &NodeView<'_>,
        absorbed: NodeId,
        op: impl Into<Op>,
        params: Vec<(String, Tensor)>,
    ) -> Result<Value, ReadError> {
        let inputs = self.builder.node(absorbed).inputs.clone();
        self.builder.release_name(absorbed);
        self.push_with(view, op, &inputs, params)
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

/// The module of the state dict if all parameters are named as its parts, otherwise the node's own name.
fn node_name(view: &NodeView<'_>, operator: &dyn Operator, params: &[String]) -> String {
    let declared = operator.params();
    let module = params.first().zip(declared.first()).and_then(|(name, param)| name.strip_suffix(param.role));
    module
        .and_then(|module| module.strip_suffix('.'))
        .filter(|module| !module.is_empty())
        .filter(|module| params.iter().zip(&declared).all(|(name, param)| *name == format!("{module}.{}", param.role)))
        .unwrap_or(view.name())
        .to_owned()
}
