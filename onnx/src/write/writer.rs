//! The nodes of a file in the making.

use std::collections::{HashMap, HashSet};

use models::ops::Shape;
use models::{Graph, NodeId, Tensor};

use super::attribute::Attribute;
use super::initializer;
use super::options::ExportOptions;
use crate::names::RESERVED;
use crate::proto::{NodeProto, TensorProto};

/// Collects what the operator families write.
pub(crate) struct GraphWriter<'g> {
    graph: &'g Graph,
    options: ExportOptions,
    current: NodeId,
    /// The tensor that comes in.
    input: &'g str,
    /// The tensor that holds each node's output; an alias for nodes that are the identity.
    values: Vec<String>,
    /// The tensor that holds each parameter as the nodes want it, where that is not the initialiser itself.
    converted: HashMap<String, String>,
    /// Names of nodes and tensors that are taken.
    names: HashSet<String>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    shapes: HashMap<String, Vec<usize>>,
}

/// What was written.
pub(crate) struct GraphParts {
    pub(crate) nodes: Vec<NodeProto>,
    /// Tensors that are no parameters.
    pub(crate) constants: Vec<TensorProto>,
    /// Parameters that nodes want in another shape of the same length.
    pub(crate) shapes: HashMap<String, Vec<usize>>,
    /// The tensor that holds each node's output.
    pub(crate) values: Vec<String>,
}

/// Names in the file that are not the graph's own.
pub(crate) struct WriterNames<'g> {
    /// The tensor that the graph's input stands for.
    pub(crate) input: &'g str,
    /// The tensor that the graph's output becomes.
    pub(crate) output: &'g str,
    /// For each parameter that the file stores in another form, the tensor that holds it in the form nodes take.
    pub(crate) converted: HashMap<String, String>,
}

impl<'g> GraphWriter<'g> {
    pub(crate) fn new(graph: &'g Graph, options: ExportOptions, names: WriterNames<'g>) -> Self {
        let WriterNames { input, output, converted } = names;
        let params = graph.nodes().iter().flat_map(|node| &node.params).chain(converted.values());
        // The last node keeps its name, though not as its tensor's: no step of another node may have it.
        let last = graph.node(graph.output()).name.as_str();
        let reserved = RESERVED.iter().copied().chain([last]).map(str::to_owned);
        let mut writer = Self {
            graph,
            options,
            current: graph.input(),
            input,
            values: Vec::new(),
            names: params.cloned().chain(reserved).collect(),
            converted,
            nodes: Vec::new(),
            constants: Vec::new(),
            shapes: HashMap::new(),
        };
        for (id, node) in graph.iter() {
            let value = match id {
                id if id == graph.output() => output.to_owned(),
                id if id == graph.input() => input.to_owned(),
                _ => writer.fresh(&node.name),
            };
            writer.values.push(value);
        }
        writer
    }

    /// Names that tensors of the file have beside what is written.
    pub(crate) fn reserve(&mut self, names: impl IntoIterator<Item = String>) {
        self.names.extend(names);
    }

    pub(crate) fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// Makes this node the current one.
    pub(crate) fn begin(&mut self, node: NodeId) {
        self.current = node;
    }

    pub(crate) fn finish(self) -> GraphParts {
        let Self { nodes, constants, shapes, values, .. } = self;
        GraphParts { nodes, constants, shapes, values }
    }

    pub(crate) fn options(&self) -> ExportOptions {
        self.options
    }

    /// The tensors that the current node takes.
    pub(crate) fn inputs(&self) -> Vec<String> {
        let inputs = self.graph.node(self.current).inputs.iter();
        inputs.map(|id| self.values[id.index()].clone()).collect()
    }

    /// The shape of the first of them.
    pub(crate) fn input_shape(&self) -> &'g Shape {
        self.graph.shape(self.graph.node(self.current).inputs[0])
    }

    /// The current node's parameters.
    pub(crate) fn params(&self) -> Vec<String> {
        let params = self.graph.node(self.current).params.iter();
        params.map(|name| self.converted.get(name).unwrap_or(name).clone()).collect()
    }

    /// The current node's parameters, one number a channel each, in a shape that broadcasts over its input. A parameter
    /// of this node alone is stored so; one that other nodes take as well is reshaped for this one.
    pub(crate) fn column_params(&mut self) -> Vec<String> {
        let rank = self.input_shape().dims().len();
        let node = self.graph.node(self.current);
        let columns = node.params().zip(self.params()).map(|((name, param), value)| {
            let shape: Vec<usize> = param.shape.into_iter().chain(std::iter::repeat_n(1, rank - 1)).collect();
            let users = self.graph.nodes().iter().filter(|node| node.params.iter().any(|param| param == name));
            if users.count() == 1 {
                self.shapes.insert(name.to_owned(), shape);
                return value;
            }
            let dims: Vec<i64> = shape.iter().map(|&dim| dim as i64).collect();
            let dims = self.integers("shape", &dims);
            self.step("Reshape", vec![value, dims], vec![])
        });
        columns.collect()
    }

    /// A constant of the current node.
    pub(crate) fn constant(&mut self, role: &str, tensor: &Tensor) -> String {
        let name = self.role_name(role);
        self.constants.push(initializer::floats(&name, tensor));
        name
    }

    /// A constant of one number.
    pub(crate) fn scalar(&mut self, role: &str, number: f32) -> String {
        self.constant(role, &Tensor::new([0_usize; 0], vec![number]))
    }

    /// A constant vector of whole numbers.
    pub(crate) fn integers(&mut self, role: &str, numbers: &[i64]) -> String {
        let name = self.role_name(role);
        self.constants.push(initializer::integers(&name, numbers));
        name
    }

    /// One ONNX node without attributes.
    pub(crate) fn node(&mut self, op_type: &str) {
        self.node_with(op_type, vec![]);
    }

    /// One ONNX node that takes the current node's inputs and parameters.
    pub(crate) fn node_with(&mut self, op_type: &str, attributes: Vec<Attribute>) {
        self.last(op_type, [self.inputs(), self.params()].concat(), attributes);
    }

    /// One ONNX node that takes the current node's inputs and these constants.
    pub(crate) fn node_taking(&mut self, op_type: &str, constants: Vec<String>, attributes: Vec<Attribute>) {
        self.last(op_type, [self.inputs(), constants].concat(), attributes);
    }

    /// Writes a step before the last of a graph node that takes several, and returns the tensor that it produces.
    pub(crate) fn step(&mut self, op_type: &str, inputs: Vec<String>, attributes: Vec<Attribute>) -> String {
        let name = self.role_name(op_type);
        self.nodes.push(NodeProto {
            name: name.clone(),
            output: vec![name.clone()],
            ..node(op_type, inputs, attributes)
        });
        name
    }

    /// Writes the last or only step of a graph node.
    pub(crate) fn last(&mut self, op_type: &str, inputs: Vec<String>, attributes: Vec<Attribute>) {
        let name = self.graph.node(self.current).name.clone();
        let output = vec![self.values[self.current.index()].clone()];
        self.nodes.push(NodeProto { name, output, ..node(op_type, inputs, attributes) });
    }

    /// Nothing, unless the input is the network's output as well, which must have a producer.
    pub(crate) fn input(&mut self) {
        if self.current == self.graph.output() {
            self.last("Identity", vec![self.input.to_owned()], vec![]);
        }
    }

    /// No ONNX node at all: whoever takes the current node's output takes its input. The network's own output must
    /// have a producer, so there it is an `Identity`.
    pub(crate) fn alias(&mut self) {
        if self.current == self.graph.output() {
            return self.node("Identity");
        }
        let source = self.graph.node(self.current).inputs[0];
        self.values[self.current.index()] = self.values[source.index()].clone();
    }

    /// A free name for a part of the current node.
    fn role_name(&mut self, role: &str) -> String {
        let name = format!("{}.{role}", self.graph.node(self.current).name);
        self.fresh(&name)
    }

    /// This name, or the first made from it that is free.
    fn fresh(&mut self, name: &str) -> String {
        let mut free = name.to_owned();
        while !self.names.insert(free.clone()) {
            free.push_str("_value");
        }
        free
    }
}

fn node(op_type: &str, input: Vec<String>, attributes: Vec<Attribute>) -> NodeProto {
    let attribute = attributes.into_iter().map(Attribute::into_proto).collect();
    NodeProto { op_type: op_type.to_owned(), input, attribute, ..NodeProto::default() }
}
