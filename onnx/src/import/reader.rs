//! The walk over the nodes of a file.

use std::collections::{HashMap, HashSet};

use models::graph::Node;
use models::ops::{Flatten, Op, Operator, Shape};
use models::{Graph, GraphBuilder, NodeId, Params, Tensor};

use super::{Constant, DEFAULT_SIDE, ImportError};
use crate::export::INPUT;
use crate::ops::{self, ReadError};
use crate::proto::{AttributeProto, Dimension, GraphProto, NodeProto, ValueInfoProto};

/// The largest side of an input. Like the limits below it is far beyond any network for images, and keeps a damaged
/// file from asking for more memory than there is.
const LARGEST_SIDE: usize = 8192;
/// The largest window, step or padding.
const LARGEST_SIZE: usize = 1 << 20;
/// The most numbers in one image's output of one node: a gigabyte.
const LARGEST_OUTPUT: usize = 1 << 28;

/// What a name in the file stands for.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A node's output.
    Node(NodeId),
    /// A tensor that does not depend on the input, and the name that it has in the file.
    Constant(String, Constant),
}

/// The state of the walk: the graph so far, and what each name stands for.
pub(crate) struct Reader {
    pub(crate) builder: GraphBuilder,
    pub(crate) opset: i64,
    params: Params,
    values: HashMap<String, Value>,
}

impl Reader {
    /// Begins with the file's input and initialisers.
    pub(crate) fn new(graph: &GraphProto, opset: i64) -> Result<Self, ImportError> {
        let initialisers: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        // Old files list every initialiser as an input too.
        let inputs: Vec<_> = graph.input.iter().filter(|input| !initialisers.contains(input.name.as_str())).collect();
        let [input] = inputs[..] else {
            return Err(ImportError::Inputs(inputs.iter().map(|input| input.name.clone()).collect()));
        };
        let builder = GraphBuilder::new(INPUT, input_shape(input)?);
        let mut values = HashMap::from([(input.name.clone(), Value::Node(builder.input()))]);
        for tensor in &graph.initializer {
            let constant = Constant::decode(tensor)
                .map_err(|reason| ImportError::Initializer { name: tensor.name.clone(), reason })?;
            values.insert(tensor.name.clone(), Value::Constant(tensor.name.clone(), constant));
        }
        Ok(Self { builder, opset, params: Params::default(), values })
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
            let Some(output) = node.output.first() else { continue };
            self.values.insert(output.clone(), value);
        }
        let output = self.output(graph)?;
        Ok((self.builder.finish(output), self.params))
    }

    /// The node of logits or features: a softmax at the end is left off, so that a file with `logits` and
    /// `probabilities` has one output.
    fn output(&mut self, graph: &GraphProto) -> Result<NodeId, ImportError> {
        let mut found = Vec::new();
        for output in &graph.output {
            let Some(Value::Node(mut id)) = self.values.get(&output.name).cloned() else {
                return Err(ImportError::Undefined(output.name.clone()));
            };
            while let Op::Softmax(_) = self.builder.node(id).op {
                id = self.builder.node(id).inputs[0];
            }
            if !found.contains(&id) {
                found.push(id);
            }
        }
        let [id] = found[..] else {
            return Err(ImportError::Outputs(graph.output.iter().map(|output| output.name.clone()).collect()));
        };
        if let [_, 1, 1] = self.builder.shape(id).dims() {
            let name = self.builder.free_name("flatten");
            return Ok(self.builder.push(&name, Flatten, &[id])?);
        }
        Ok(id)
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
        let names: Vec<String> = params.iter().map(|(name, _)| name.clone()).collect();
        let name = self.builder.free_name(&node_name(view, op.operator(), &names));
        params.into_iter().for_each(|(name, tensor)| self.params.insert(name, tensor));
        let node = Node { name, op, inputs: inputs.to_vec(), params: names };
        let id = self.builder.push_node(node)?;
        let shape = self.builder.shape(id);
        match shape.dims().iter().try_fold(1_usize, |size, &dim| size.checked_mul(dim)) {
            Some(..=LARGEST_OUTPUT) => Ok(Value::Node(id)),
            _ => Err(ReadError::Unsupported(format!("an output of shape {shape}, too large to compute"))),
        }
    }
}

/// The module of the state dict if all parameters are named as its parts, otherwise the node's own name.
fn node_name(view: &NodeView<'_>, operator: &dyn Operator, params: &[String]) -> String {
    let module = params.first().and_then(|name| name.strip_suffix(".weight"));
    let declared = operator.params();
    module
        .filter(|module| params.iter().zip(&declared).all(|(name, param)| *name == format!("{module}.{}", param.role)))
        .unwrap_or(view.name())
        .to_owned()
}

/// The image shape that the file declares for its input.
fn input_shape(input: &ValueInfoProto) -> Result<Shape, ImportError> {
    let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let dims = tensor.and_then(|tensor| tensor.shape.as_ref()).map_or(&[][..], |shape| &shape.dim[..]);
    let sizes: Vec<Option<usize>> = dims
        .iter()
        .map(|dim| match dim.value {
            Some(Dimension::Value(size)) => usize::try_from(size).ok().filter(|size| (1..=LARGEST_SIDE).contains(size)),
            _ => None,
        })
        .collect();
    let refuse = |hint| {
        let shown: Vec<String> =
            sizes.iter().map(|size| size.map_or("?".to_owned(), |size| size.to_string())).collect();
        Err(ImportError::InputShape { name: input.name.clone(), shape: format!("[{}]", shown.join(", ")), hint })
    };
    match sizes[..] {
        [_, Some(channels @ (1 | 3)), height, width] => {
            Ok(Shape::image(channels, height.unwrap_or(DEFAULT_SIDE), width.unwrap_or(DEFAULT_SIDE)))
        }
        [_, _, _, Some(1 | 3)] => refuse("; it looks like channels-last, so export it as channels-first"),
        _ => refuse(""),
    }
}

/// A node of the file with its attributes at hand.
pub(crate) struct NodeView<'m> {
    proto: &'m NodeProto,
}

impl<'m> NodeView<'m> {
    /// Its name, or its first output's if it has none.
    pub(crate) fn name(&self) -> &'m str {
        if self.proto.name.is_empty() { self.proto.output.first().map_or("", String::as_str) } else { &self.proto.name }
    }

    pub(crate) fn op_type(&self) -> &'m str {
        &self.proto.op_type
    }

    pub(crate) fn domain(&self) -> &'m str {
        &self.proto.domain
    }

    pub(crate) fn output(&self) -> &'m str {
        self.proto.output.first().map_or("", String::as_str)
    }

    /// The names of all inputs.
    pub(crate) fn inputs(&self) -> &'m [String] {
        &self.proto.input
    }

    /// The name of an input; optional inputs that are left out are `None`.
    pub(crate) fn input(&self, index: usize) -> Option<&'m str> {
        self.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The node behind an input.
    pub(crate) fn node_input(&self, reader: &Reader, index: usize) -> Result<NodeId, ReadError> {
        let name = self.input(index).ok_or(ReadError::MissingInput(index))?;
        match reader.value(name)? {
            Value::Node(id) => Ok(*id),
            Value::Constant(..) => Err(ReadError::Unsupported(format!("its input `{name}` is a constant"))),
        }
    }

    /// The real numbers behind an input, with their name in the file.
    pub(crate) fn tensor_input(&self, reader: &Reader, index: usize) -> Result<(String, Tensor), ReadError> {
        let name = self.input(index).ok_or(ReadError::MissingInput(index))?;
        match reader.value(name)? {
            Value::Constant(name, Constant::Floats(tensor)) => Ok((name.clone(), tensor.clone())),
            _ => Err(ReadError::Unsupported(format!("its input `{name}` is computed, not a stored weight"))),
        }
    }

    /// The whole numbers behind an input.
    pub(crate) fn ints_input(&self, reader: &Reader, index: usize) -> Result<Vec<i64>, ReadError> {
        let name = self.input(index).ok_or(ReadError::MissingInput(index))?;
        match reader.value(name)? {
            Value::Constant(_, Constant::Ints(numbers)) => Ok(numbers.clone()),
            _ => Err(ReadError::Unsupported(format!("its input `{name}` is computed, not a stored constant"))),
        }
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&'m AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|attribute| attribute.i).unwrap_or(default)
    }

    pub(crate) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).and_then(|attribute| attribute.f).unwrap_or(default)
    }

    pub(crate) fn text(&self, name: &str, default: &'m str) -> &'m str {
        let value = self.attribute(name).and_then(|attribute| attribute.s.as_ref());
        value.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or(default)
    }

    /// A list of sizes; `None` when the attribute is absent.
    pub(crate) fn sizes<const N: usize>(&self, name: &'static str) -> Result<Option<[usize; N]>, ReadError> {
        let Some(attribute) = self.attribute(name) else { return Ok(None) };
        let size = |&size: &i64| usize::try_from(size).ok().filter(|&size| size <= LARGEST_SIZE);
        let sizes: Option<Vec<usize>> = attribute.ints.iter().map(size).collect();
        match sizes.and_then(|sizes| sizes.try_into().ok()) {
            Some(sizes) => Ok(Some(sizes)),
            None => Err(ReadError::Attribute { name, value: format!("{:?}", attribute.ints) }),
        }
    }
}
