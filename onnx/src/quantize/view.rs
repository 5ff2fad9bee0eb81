//! What a graph's tensors are made of and used for.

use std::collections::{HashMap, HashSet};

use models::Tensor;

use super::error::QuantizeError;
use crate::proto::{GraphProto, NodeProto, TensorProto, data_type};
use crate::read::Constant;

/// A graph with its tensors at hand.
pub(super) struct GraphView<'g> {
    pub(super) graph: &'g GraphProto,
    producers: HashMap<&'g str, usize>,
    consumers: HashMap<&'g str, Vec<usize>>,
    constants: HashMap<&'g str, &'g TensorProto>,
    outputs: HashSet<&'g str>,
}

impl<'g> GraphView<'g> {
    pub(super) fn new(graph: &'g GraphProto) -> Self {
        let (mut producers, mut consumers) = (HashMap::new(), HashMap::<_, Vec<usize>>::new());
        let mut constants: HashMap<_, _> =
            graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        for (index, node) in graph.node.iter().enumerate() {
            node.output.iter().filter(|name| !name.is_empty()).for_each(|name| {
                producers.insert(name.as_str(), index);
            });
            node.input.iter().filter(|name| !name.is_empty()).for_each(|name| {
                consumers.entry(name.as_str()).or_default().push(index);
            });
            let value = node.attribute.iter().find(|attribute| attribute.name == "value");
            if let (true, Some(value)) = (node.op_type == "Constant", value.and_then(|value| value.t.as_ref())) {
                constants.extend(node.output.first().map(|name| (name.as_str(), value)));
            }
        }
        let outputs = graph.output.iter().map(|output| output.name.as_str()).collect();
        Self { graph, producers, consumers, constants, outputs }
    }

    pub(super) fn producer(&self, tensor: &str) -> Option<&'g NodeProto> {
        self.producers.get(tensor).map(|&index| &self.graph.node[index])
    }

    /// The nodes that take a tensor, once for each input that it is.
    pub(super) fn consumers(&self, tensor: &str) -> &[usize] {
        self.consumers.get(tensor).map_or(&[], Vec::as_slice)
    }

    /// A stored tensor of `f32`.
    pub(super) fn weight(&self, tensor: &str) -> Option<&'g TensorProto> {
        self.constants.get(tensor).copied().filter(|tensor| tensor.data_type == data_type::FLOAT)
    }

    /// The numbers of a stored tensor of `f32`.
    pub(super) fn numbers(&self, tensor: &str) -> Result<Tensor, QuantizeError> {
        let wrong = |reason: String| QuantizeError::Weight { name: tensor.to_owned(), reason };
        let stored = self.weight(tensor).ok_or_else(|| wrong("is not stored in the file as f32".to_owned()))?;
        match Constant::decode(stored).map_err(wrong)? {
            Constant::Floats(numbers) if numbers.data().iter().all(|number| number.is_finite()) => Ok(numbers),
            Constant::Floats(_) => Err(QuantizeError::NotFinite(tensor.to_owned())),
            Constant::Ints(_) | Constant::Other(_) => Err(wrong("does not hold real numbers".to_owned())),
        }
    }

    pub(super) fn is_constant(&self, tensor: &str) -> bool {
        self.constants.contains_key(tensor)
    }

    /// Whether a tensor is an output of the network, or becomes one without arithmetic that would hide the steps of 8 bits.
    pub(super) fn is_answer(&self, tensor: &str) -> bool {
        const SHAPES: [&str; 7] = ["Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Softmax"];
        let mut left = vec![tensor];
        let mut seen = HashSet::new();
        while let Some(tensor) = left.pop() {
            if self.outputs.contains(tensor) {
                return true;
            }
            let nodes = self.consumers(tensor).iter().map(|&index| &self.graph.node[index]);
            let next = nodes.filter(|node| SHAPES.contains(&node.op_type.as_str())).flat_map(|node| &node.output);
            left.extend(next.map(String::as_str).filter(|name| seen.insert(*name)));
        }
        false
    }

    /// Whether nothing but the length of a vector is made of a tensor.
    pub(super) fn is_measured(&self, tensor: &str) -> bool {
        let mut left = vec![tensor];
        let mut seen = HashSet::new();
        while let Some(tensor) = left.pop() {
            let consumers = self.consumers(tensor);
            if consumers.is_empty() || self.outputs.contains(tensor) {
                return false;
            }
            let nodes =
                consumers.iter().map(|&index| &self.graph.node[index]).filter(|node| node.op_type != "ReduceL2");
            left.extend(nodes.flat_map(|node| &node.output).map(String::as_str).filter(|name| seen.insert(*name)));
        }
        true
    }

    /// The end of a node's work: the output of the rectifier behind it, if that is all that takes its output. A
    /// `QuantizeLinear` behind the rectifier does the rectifying.
    pub(super) fn rectified(&self, tensor: &'g str) -> &'g str {
        let [only] = *self.consumers(tensor) else { return tensor };
        let node = &self.graph.node[only];
        let bounded = || node.input[1..].iter().all(|bound| bound.is_empty() || self.is_constant(bound));
        let rectifies = node.op_type == "Relu" || (node.op_type == "Clip" && bounded());
        match node.output.first().filter(|_| rectifies && !self.outputs.contains(tensor)) {
            Some(output) => output,
            None => tensor,
        }
    }

    /// The greatest number that the `Clip` behind a tensor lets through.
    pub(super) fn ceiling(&self, tensor: &str) -> Option<f32> {
        let clip = self.producer(tensor).filter(|node| node.op_type == "Clip")?;
        let bound = clip.input.get(2).filter(|bound| !bound.is_empty())?;
        self.numbers(bound).ok()?.data().first().copied()
    }
}
