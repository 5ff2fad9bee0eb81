//! From a network of `f32` to one of 8-bit integers, as a pass over the nodes of its file.
//!
//! Weights are symmetric `i8` with a scale for each channel; activations are `u8`, in the range that they have on calibration
//! images. `i8` activations would keep ONNX Runtime from fusing nodes on x86. The file has the QDQ form: `QuantizeLinear` and
//! `DequantizeLinear` around nodes of `f32`, which ONNX Runtime replaces by integer kernels.
//!
//! 1. [`Quantizer::new`] decides which nodes are quantized.
//! 2. An engine runs [`Quantizer::calibration_file`] on images; [`Ranges::observe`] reads the ranges from its outputs.
//! 3. [`Quantizer::quantize`] writes the file.

mod batch_norm;
mod error;
mod layers;
mod plan;
mod ranges;
mod scale;
#[cfg(test)]
mod tests;
mod view;
mod writer;

use std::collections::HashSet;

use bytes::Bytes;
use prost::Message;

pub use error::QuantizeError;
pub use layers::{LayerError, LayerErrors};
pub use ranges::Ranges;
pub use scale::WeightRange;

use crate::file::{FileError, ModelFile};
use crate::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use crate::write::Attribute;
use plan::{Plan, Planner};
use ranges::{maximum, minimum};
use view::GraphView;
use writer::{Scales, dequantized};

/// The oldest operator set whose `DequantizeLinear` takes a scale for each channel.
const OLDEST_OPSET: i64 = 13;

/// Quantizes one network.
#[derive(Debug)]
pub struct Quantizer {
    /// The network in `f32`, its batch normalizations written as convolutions.
    model: ModelProto,
    plan: Plan,
    weights: WeightRange,
}

impl Quantizer {
    /// Decides which nodes of a file are computed with integers.
    ///
    /// # Errors
    /// [`QuantizeError`] for a file that is not ONNX, of an operator set older than 13, quantized already, or without a node
    /// that is worth it.
    pub fn new(file: &[u8]) -> Result<Self, QuantizeError> {
        let file = ModelFile::decode(Bytes::copy_from_slice(file))?;
        if file.opset() < OLDEST_OPSET {
            return Err(QuantizeError::Opset(file.opset()));
        }
        let mut model = file.proto;
        let graph = model.graph.as_mut().ok_or(FileError::NoGraph)?;
        if graph.node.iter().any(is_quantized) {
            return Err(QuantizeError::Quantized);
        }
        batch_norm::as_convolutions(graph)?;
        let plan = Planner::plan(GraphView::new(graph));
        if plan.nodes.is_empty() {
            return Err(QuantizeError::Nothing);
        }
        Ok(Self { model, plan, weights: WeightRange::Full })
    }

    /// With weights in this range; without, in the full one.
    #[must_use]
    pub fn with_weights(self, weights: WeightRange) -> Self {
        Self { weights, ..self }
    }

    /// The range of the weights.
    #[must_use]
    pub fn weights(&self) -> WeightRange {
        self.weights
    }

    /// How many nodes are computed with integers.
    #[must_use]
    pub fn quantized_nodes(&self) -> usize {
        self.plan.nodes.len()
    }

    /// The network in `f32` with two more outputs for each tensor that will be quantized: its least and its greatest number
    /// over a batch.
    #[must_use]
    pub fn calibration_file(&self) -> Vec<u8> {
        let mut model = self.model.clone();
        let graph = model.graph.get_or_insert_default();
        for (index, tensor) in self.plan.tensors.iter().enumerate().filter(|(_, tensor)| tensor.is_observed()) {
            for (op_type, output) in [("ReduceMin", minimum(index)), ("ReduceMax", maximum(index))] {
                graph.node.push(NodeProto {
                    name: output.clone(),
                    op_type: op_type.to_owned(),
                    input: vec![tensor.name.clone()],
                    output: vec![output.clone()],
                    attribute: vec![Attribute::int("keepdims", 0).into_proto()],
                    ..NodeProto::default()
                });
                graph.output.push(undeclared(&output));
            }
        }
        model.encode_to_vec()
    }

    /// Ranges in which nothing was observed yet.
    #[must_use]
    pub fn ranges(&self) -> Ranges {
        Ranges::new(self.plan.tensors.len())
    }

    /// The quantized file, with the metadata of the one in `f32`.
    ///
    /// # Errors
    /// [`QuantizeError::NotCalibrated`] for ranges that no image was observed for, [`QuantizeError::NotFinite`] for a tensor or
    /// weight with numbers that are not finite.
    pub fn quantize(&self, ranges: &Ranges) -> Result<Vec<u8>, QuantizeError> {
        Ok(self.quantized(ranges)?.encode_to_vec())
    }

    /// The two networks, in `f32` and quantized, with the output of each quantized layer as one of theirs. What they answer to
    /// one image is compared by [`LayerErrors::observe`].
    ///
    /// # Errors
    /// As [`quantize`](Self::quantize).
    pub fn layer_files(&self, ranges: &Ranges) -> Result<[Vec<u8>; 2], QuantizeError> {
        let (mut single, mut quantized) = (self.model.clone(), self.quantized(ranges)?);
        for (_, tensor) in self.plan.layers() {
            single.graph.get_or_insert_default().output.push(undeclared(&tensor.name));
            quantized.graph.get_or_insert_default().output.push(undeclared(&dequantized(&tensor.name)));
        }
        Ok([single, quantized].map(|file| file.encode_to_vec()))
    }

    /// Errors of layers of which nothing was observed yet.
    #[must_use]
    pub fn layer_errors(&self) -> LayerErrors {
        let nodes = self.model.graph.as_ref().map_or(&[][..], |graph| &graph.node);
        LayerErrors::new(self.plan.layers().map(|(node, tensor)| (&nodes[node], tensor)))
    }

    fn quantized(&self, ranges: &Ranges) -> Result<ModelProto, QuantizeError> {
        let mut model = self.model.clone();
        let graph = model.graph.get_or_insert_default();
        let scales = self.plan.scales(ranges)?;
        let scales = Scales { activations: &scales, weights: self.weights };
        *graph = writer::write(graph, &self.plan, scales)?;
        Ok(model)
    }
}

/// Whether a node computes with quantized numbers, or makes such.
fn is_quantized(node: &NodeProto) -> bool {
    ["QuantizeLinear", "QLinear", "Integer", "QGemm", "QAttention"].iter().any(|part| node.op_type.contains(part))
}

/// An output whose type the engine infers.
fn undeclared(name: &str) -> ValueInfoProto {
    ValueInfoProto { name: name.to_owned(), ..ValueInfoProto::default() }
}

/// Drops the initializers that no node takes any more.
fn drop_unused(graph: &mut GraphProto) {
    let used: HashSet<&str> = graph.node.iter().flat_map(|node| &node.input).map(String::as_str).collect();
    let captured: HashSet<String> = graph.node.iter().flat_map(crate::edit::captured).collect();
    let kept = |name: &str| used.contains(name) || captured.contains(name);
    graph.initializer.retain(|tensor| kept(&tensor.name));
}
