//! Which nodes are computed with integers, and which tensors are held in 8 bits for it.

use std::collections::{HashMap, HashSet};

use super::error::QuantizeError;
use super::ranges::Ranges;
use super::scale::ActivationScale;
use super::view::GraphView;
use crate::proto::NodeProto;

/// What is to be quantized in a graph.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Indexes of the nodes that are computed with integers.
    pub(super) nodes: HashSet<usize>,
    /// In the order in which they are made.
    pub(super) tensors: Vec<QuantizedTensor>,
}

/// A tensor that is held in 8 bits.
#[derive(Debug)]
pub(super) struct QuantizedTensor {
    pub(super) name: String,
    /// The node at whose end it stands; `None` for one that a node of `f32` makes.
    node: Option<usize>,
    range: RangeSource,
}

/// Where a tensor's range is from.
#[derive(Debug)]
enum RangeSource {
    /// Observed on images, below the greatest number that a `Clip` lets through.
    Observed(Option<f32>),
    /// That of the tensor with this index. Max pooling compares integers, so its output has its input's scale.
    Shared(usize),
}

impl QuantizedTensor {
    /// Whether its range is observed on images.
    pub(super) fn is_observed(&self) -> bool {
        matches!(self.range, RangeSource::Observed(_))
    }
}

impl Plan {
    /// The scale of each tensor.
    pub(super) fn scales(&self, ranges: &Ranges) -> Result<Vec<ActivationScale>, QuantizeError> {
        let mut scales: Vec<ActivationScale> = Vec::with_capacity(self.tensors.len());
        for (index, tensor) in self.tensors.iter().enumerate() {
            scales.push(match tensor.range {
                RangeSource::Shared(source) => scales[source],
                RangeSource::Observed(ceiling) => {
                    let [low, high] =
                        ranges.get(index).ok_or_else(|| QuantizeError::NotCalibrated(tensor.name.clone()))?;
                    if !(low.is_finite() && high.is_finite()) {
                        return Err(QuantizeError::NotFinite(tensor.name.clone()));
                    }
                    ActivationScale::of([low, high], ceiling)
                }
            });
        }
        Ok(scales)
    }

    /// The tensors that quantized nodes make, each with the index of the node.
    pub(super) fn layers(&self) -> impl Iterator<Item = (usize, &QuantizedTensor)> {
        self.tensors.iter().filter_map(|tensor| Some((tensor.node?, tensor)))
    }
}

/// Decides what is quantized, node after node.
pub(super) struct Planner<'g> {
    view: GraphView<'g>,
    plan: Plan,
    /// The index of each tensor in the plan.
    indexes: HashMap<&'g str, usize>,
}

impl<'g> Planner<'g> {
    pub(super) fn plan(view: GraphView<'g>) -> Plan {
        let mut planner = Self { view, plan: Plan::default(), indexes: HashMap::new() };
        for (index, node) in planner.view.graph.node.iter().enumerate() {
            if let Some(inputs) = activations(node, &planner.view, &planner.indexes) {
                planner.add(index, &inputs);
            }
        }
        planner.plan
    }

    fn add(&mut self, index: usize, inputs: &[&'g str]) {
        let node = &self.view.graph.node[index];
        for input in inputs {
            if !self.indexes.contains_key(input) {
                let range = RangeSource::Observed(self.view.ceiling(input));
                self.hold(input, None, range);
            }
        }
        self.plan.nodes.insert(index);
        // The logits are wanted as they are, and a matrix product can give numbers of `f32`.
        if node.op_type == "Gemm" {
            return;
        }
        let end = self.view.rectified(&node.output[0]);
        let range = match node.op_type.as_str() {
            "MaxPool" => RangeSource::Shared(self.indexes[inputs[0]]),
            _ => RangeSource::Observed(self.view.ceiling(end)),
        };
        self.hold(end, Some(index), range);
    }

    fn hold(&mut self, name: &'g str, node: Option<usize>, range: RangeSource) {
        self.indexes.insert(name, self.plan.tensors.len());
        self.plan.tensors.push(QuantizedTensor { name: name.to_owned(), node, range });
    }
}

/// The tensors that a node takes and that have to be quantized for it; `None` for a node that stays in `f32`. ONNX Runtime has
/// integer kernels for these nodes if all that they take and give is quantized.
fn activations<'g>(
    node: &'g NodeProto,
    view: &GraphView<'g>,
    quantized: &HashMap<&'g str, usize>,
) -> Option<Vec<&'g str>> {
    if !matches!(node.domain.as_str(), "" | "ai.onnx") || node.output.iter().skip(1).any(|name| !name.is_empty()) {
        return None;
    }
    let weights = |rank: usize| {
        let weight = node.input.get(1).and_then(|name| view.weight(name)).filter(|weight| weight.dims.len() == rank);
        let bias = node.input.get(2).filter(|name| !name.is_empty());
        let stored = bias.is_none_or(|name| view.weight(name).is_some_and(|bias| bias.dims.len() == 1));
        weight.is_some() && stored && !view.is_constant(&node.input[0])
    };
    // How far features are outside of a subspace is asked of images that are like none of the training. Ranges of the training's would
    // cut off just that.
    let is_length = |name: &String| view.producer(name).is_some_and(|node| node.op_type == "ReduceL2");
    if node.output.first().is_some_and(|name| view.is_measured(name)) || node.input.first().is_some_and(is_length) {
        return None;
    }
    let known = |name: &String| quantized.contains_key(name.as_str());
    let inputs = || node.input.iter().map(String::as_str).collect::<Vec<_>>();
    let fits = match node.op_type.as_str() {
        "Gemm" => return (weights(2) && is_plain_product(node)).then(|| vec![node.input[0].as_str()]),
        "Conv" => {
            let fits = weights(4) && !view.is_answer(view.rectified(&node.output[0]));
            return fits.then(|| vec![node.input[0].as_str()]);
        }
        // What costs little is quantized where its neighbors are, which saves the way to `f32` and back.
        "Add" | "Mul" | "Concat" => {
            node.input.iter().any(known) && !node.input.iter().any(|name| view.is_constant(name))
        }
        "MaxPool" | "AveragePool" => node.input.iter().all(known),
        "GlobalAveragePool" => node.input.iter().all(known) && are(&node.output[0], "Conv", view),
        "Sigmoid" => node.input.iter().all(known) && are(&node.output[0], "Mul", view),
        _ => false,
    };
    (fits && !view.is_answer(view.rectified(&node.output[0]))).then(inputs)
}

/// `x·W` or `x·Wᵀ`, with a bias or without.
fn is_plain_product(node: &NodeProto) -> bool {
    let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    let one = |name: &str| attribute(name).and_then(|attribute| attribute.f).is_none_or(|factor| factor == 1.0);
    one("alpha") && one("beta") && attribute("transA").and_then(|attribute| attribute.i).unwrap_or(0) == 0
}

/// Whether all that takes a tensor is of this kind, and its output is not the answer.
fn are(tensor: &str, op_type: &str, view: &GraphView<'_>) -> bool {
    let consumers = view.consumers(tensor);
    let is = |&index: &usize| {
        let node = &view.graph.node[index];
        node.op_type == op_type && !view.is_answer(view.rectified(&node.output[0]))
    };
    !consumers.is_empty() && consumers.iter().all(is)
}
