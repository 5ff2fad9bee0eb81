//! The nodes of a file in the making.

use bytes::Bytes;
use models::{Graph, NodeId, Tensor};

use crate::proto::{AttributeProto, AttributeType, NodeProto, TensorProto, data_type};

/// Collects what the operator families write.
pub(crate) struct Writer<'g> {
    graph: &'g Graph,
    current: NodeId,
    /// The tensor that holds each node's output; an alias for nodes that are the identity.
    values: Vec<String>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl<'g> Writer<'g> {
    pub(crate) fn new(graph: &'g Graph, names: &[String]) -> Self {
        let (nodes, constants) = (Vec::new(), Vec::new());
        Self { graph, current: graph.input(), values: names.to_vec(), nodes, constants }
    }

    /// What is written from now on is this node of the graph.
    pub(crate) fn begin(&mut self, id: NodeId) {
        self.current = id;
    }

    /// One ONNX node without attributes.
    pub(crate) fn node(&mut self, op_type: &str) {
        self.node_with(op_type, vec![]);
    }

    /// One ONNX node, its inputs the current node's inputs and parameters.
    pub(crate) fn node_with(&mut self, op_type: &str, attributes: Vec<Attribute>) {
        let node = self.graph.node(self.current);
        let inputs = node.inputs.iter().map(|id| self.values[id.index()].clone());
        self.nodes.push(NodeProto {
            name: node.name.clone(),
            op_type: op_type.to_owned(),
            input: inputs.chain(node.params.iter().cloned()).collect(),
            output: vec![self.values[self.current.index()].clone()],
            attribute: attributes.into_iter().map(Attribute::into_proto).collect(),
            ..NodeProto::default()
        });
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

    /// A step before the last of a graph node that takes several: `op_type(x, constant)`.
    pub(crate) fn constant_step(&mut self, op_type: &str, role: &str, constant: Tensor) {
        let output = format!("{}.{op_type}", self.graph.node(self.current).name);
        self.constant_op(op_type, (role, constant), output.clone(), output);
    }

    /// The last step of a graph node that takes several: `op_type(previous step, constant)`.
    pub(crate) fn constant_node(&mut self, op_type: &str, role: &str, constant: Tensor) {
        let name = self.graph.node(self.current).name.clone();
        let output = self.values[self.current.index()].clone();
        self.constant_op(op_type, (role, constant), name, output);
        if let [.., before, last] = &mut self.nodes[..] {
            last.input[0].clone_from(&before.output[0]);
        }
    }

    fn constant_op(&mut self, op_type: &str, (role, constant): (&str, Tensor), name: String, output: String) {
        let node = self.graph.node(self.current);
        let constant_name = format!("{}.{role}", node.name);
        self.constants.push(tensor(&constant_name, &constant));
        self.nodes.push(NodeProto {
            name,
            op_type: op_type.to_owned(),
            input: vec![self.values[node.inputs[0].index()].clone(), constant_name],
            output: vec![output],
            ..NodeProto::default()
        });
    }

    /// The nodes and the constants they need.
    pub(crate) fn finish(self) -> (Vec<NodeProto>, Vec<TensorProto>) {
        (self.nodes, self.constants)
    }
}

/// A tensor as raw little-endian bytes, which every reader takes without a copy a number.
pub(crate) fn tensor(name: &str, tensor: &Tensor) -> TensorProto {
    let bytes: Vec<u8> = tensor.data().iter().flat_map(|number| number.to_le_bytes()).collect();
    TensorProto {
        name: name.to_owned(),
        dims: tensor.shape().iter().map(|&dim| dim as i64).collect(),
        data_type: data_type::FLOAT,
        raw_data: Bytes::from(bytes),
        ..TensorProto::default()
    }
}

/// An attribute of a node.
pub(crate) struct Attribute(AttributeProto);

impl Attribute {
    pub(crate) fn int(name: &str, value: usize) -> Self {
        Self(AttributeProto { i: Some(value as i64), ..Self::named(name, AttributeType::Int) })
    }

    pub(crate) fn ints(name: &str, values: &[usize]) -> Self {
        let ints = values.iter().map(|&value| value as i64).collect();
        Self(AttributeProto { ints, ..Self::named(name, AttributeType::Ints) })
    }

    pub(crate) fn float(name: &str, value: f32) -> Self {
        Self(AttributeProto { f: Some(value), ..Self::named(name, AttributeType::Float) })
    }

    pub(crate) fn into_proto(self) -> AttributeProto {
        self.0
    }

    fn named(name: &str, kind: AttributeType) -> AttributeProto {
        AttributeProto { name: name.to_owned(), r#type: kind.into(), ..AttributeProto::default() }
    }
}
