//! Writes the quantized graph.

use std::collections::{HashMap, HashSet};

use models::Tensor;

use super::error::QuantizeError;
use super::plan::Plan;
use super::scale::{ActivationScale, WeightRange, WeightScale};
use super::view::GraphView;
use crate::edit::names;
use crate::proto::{GraphProto, NodeProto, TensorProto, data_type};
use crate::write::{Attribute, floats, raw};

/// The name of the tensor that stands for a quantized one in the network.
pub(super) fn dequantized(tensor: &str) -> String {
    format!("{tensor}.dequantized")
}

/// What integers stand for.
#[derive(Clone, Copy)]
pub(super) struct Scales<'a> {
    /// Of the planned tensors.
    pub(super) activations: &'a [ActivationScale],
    pub(super) weights: WeightRange,
}

/// The graph with `QuantizeLinear` and `DequantizeLinear` around the planned nodes and their weights as integers.
pub(super) fn write(graph: &GraphProto, plan: &Plan, scales: Scales<'_>) -> Result<GraphProto, QuantizeError> {
    let Scales { activations, weights } = scales;
    let tensors = plan.tensors.iter().zip(activations).map(|(tensor, &scale)| (tensor.name.as_str(), scale)).collect();
    let taken = names(graph).collect();
    let view = GraphView::new(graph);
    let mut writer = QdqWriter { view, tensors, weights, taken, nodes: vec![], constants: vec![] };
    for input in &graph.input {
        writer.quantize(&input.name)?;
    }
    for (index, node) in graph.node.iter().enumerate() {
        let mut node = node.clone();
        if plan.nodes.contains(&index) && matches!(node.op_type.as_str(), "Conv" | "Gemm") {
            writer.weigh(&mut node)?;
        }
        for input in &mut node.input {
            if writer.tensors.contains_key(input.as_str()) {
                *input = dequantized(input);
            }
        }
        let outputs = node.output.clone();
        writer.nodes.push(node);
        for output in &outputs {
            writer.quantize(output)?;
        }
    }
    let QdqWriter { nodes, constants, .. } = writer;
    let mut quantized = GraphProto { node: nodes, ..graph.clone() };
    quantized.initializer.extend(constants);
    super::drop_unused(&mut quantized);
    Ok(quantized)
}

struct QdqWriter<'g> {
    view: GraphView<'g>,
    /// The tensors that are held in 8 bits.
    tensors: HashMap<&'g str, ActivationScale>,
    weights: WeightRange,
    /// Names of the file's own tensors.
    taken: HashSet<String>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

/// What an output channel's weights are, in a tensor.
#[derive(Clone, Copy)]
struct Channels {
    axis: usize,
    count: usize,
    /// The distance of a channel's neighbors in the row-major numbers.
    stride: usize,
}

impl QdqWriter<'_> {
    /// The two nodes behind a tensor that is held in 8 bits.
    fn quantize(&mut self, tensor: &str) -> Result<(), QuantizeError> {
        let Some(&ActivationScale { scale, zero_point }) = self.tensors.get(tensor) else { return Ok(()) };
        let [scale_name, zero_name] = ["scale", "zero_point"].map(|role| format!("{tensor}.u8.{role}"));
        let (quantized, dequantized) = (format!("{tensor}.u8"), dequantized(tensor));
        self.constants.push(floats(&scale_name, &Tensor::new([0_usize; 0], vec![scale])));
        self.constants.push(raw(&zero_name, &[], data_type::UINT8, vec![zero_point]));
        let parameters = [scale_name, zero_name];
        self.push(node("QuantizeLinear", [&[tensor.to_owned()][..], &parameters].concat(), &quantized))?;
        self.push(node("DequantizeLinear", [&[quantized][..], &parameters].concat(), &dequantized))
    }

    /// Replaces the weights of a node by integers.
    fn weigh(&mut self, node: &mut NodeProto) -> Result<(), QuantizeError> {
        let input = self.tensors[node.input[0].as_str()];
        let weight = self.view.numbers(&node.input[1])?;
        let bias = node.input.get(2).filter(|name| !name.is_empty()).map(|name| self.view.numbers(name)).transpose()?;
        let channels = Channels::of(node, &weight);
        if bias.as_ref().is_some_and(|bias| bias.data().len() != channels.count) {
            let reason = format!("is a bias of other than {} channels", channels.count);
            return Err(QuantizeError::Weight { name: node.input[2].clone(), reason });
        }
        let mut largest = vec![0.0_f32; channels.count];
        for (index, number) in weight.data().iter().enumerate() {
            let channel = &mut largest[channels.at(index)];
            *channel = channel.max(number.abs());
        }
        let bias_of = |channel: usize| bias.as_ref().map_or(0.0, |bias| bias.data()[channel]);
        let scales: Vec<WeightScale> = largest
            .iter()
            .enumerate()
            .map(|(channel, &largest)| WeightScale::of(self.weights, largest, bias_of(channel), input))
            .collect();
        let numbers = weight.data().iter().enumerate();
        let bytes =
            numbers.map(|(index, &number)| scales[channels.at(index)].weight(number).to_le_bytes()[0]).collect();
        // A tensor that several nodes take has other steps in each, so it is named after the node.
        let name = format!("{}.weight", node.output[0]);
        let steps = scales.iter().map(|scale| scale.scale).collect();
        node.input[1] = self.integers(raw(&name, weight.shape(), data_type::INT8, bytes), steps, channels.axis)?;
        if let Some(bias) = bias {
            let name = format!("{}.bias", node.output[0]);
            let numbers = bias.data().iter().zip(&scales);
            let bytes = numbers.flat_map(|(&number, scale)| scale.bias(number).to_le_bytes()).collect();
            let steps = scales.iter().map(|scale| scale.bias_scale).collect();
            node.input[2] = self.integers(raw(&name, bias.shape(), data_type::INT32, bytes), steps, 0)?;
        }
        Ok(())
    }

    /// Stores integers with their steps, and answers the name of what they stand for.
    fn integers(&mut self, mut stored: TensorProto, steps: Vec<f32>, axis: usize) -> Result<String, QuantizeError> {
        let name = stored.name.clone();
        stored.name = format!("{name}.integers");
        let (channels, scale) = (steps.len(), format!("{}.scale", stored.name));
        let mut inputs = vec![stored.name.clone(), scale.clone()];
        self.constants.push(floats(&scale, &Tensor::new([channels], steps)));
        if stored.data_type == data_type::INT8 {
            let zero_point = format!("{}.zero_point", stored.name);
            self.constants.push(raw(&zero_point, &[channels], data_type::INT8, vec![0; channels]));
            inputs.push(zero_point);
        }
        self.constants.push(stored);
        let mut dequantize = node("DequantizeLinear", inputs, &dequantized(&name));
        dequantize.attribute.push(Attribute::int("axis", axis).into_proto());
        self.push(dequantize)?;
        Ok(dequantized(&name))
    }

    fn push(&mut self, node: NodeProto) -> Result<(), QuantizeError> {
        let own = node.input.iter().chain(&node.output).filter(|name| !self.tensors.contains_key(name.as_str()));
        if let Some(name) = own.clone().find(|name| self.taken.contains(*name)) {
            let reason = "has a name that the quantized file needs; rename it and import the model again".to_owned();
            return Err(QuantizeError::Weight { name: name.clone(), reason });
        }
        self.nodes.push(node);
        Ok(())
    }
}

impl Channels {
    /// The rows of a matrix that is transposed and of a convolution's weights, the columns of any other matrix.
    fn of(node: &NodeProto, weight: &Tensor) -> Self {
        let transposed = node.attribute.iter().any(|attribute| attribute.name == "transB" && attribute.i == Some(1));
        let axis = usize::from(node.op_type == "Gemm" && !transposed);
        let stride = weight.shape()[axis + 1..].iter().product::<usize>().max(1);
        Self { axis, count: weight.shape()[axis], stride }
    }

    /// The channel of a number.
    fn at(self, index: usize) -> usize {
        index / self.stride % self.count.max(1)
    }
}

fn node(op_type: &str, input: Vec<String>, output: &str) -> NodeProto {
    NodeProto {
        name: output.to_owned(),
        op_type: op_type.to_owned(),
        input,
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}
