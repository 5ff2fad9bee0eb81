//! Another head for an opaque model: the file is cut before its classifier and the rest of its nodes stay unchanged.

mod classifier;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use models::Network;
use models::ops::Shape;
use thiserror::Error;

use crate::edit::{cast, first_dimension, free, names, set_first_dimension};
use crate::export::{ExportError, OutputSpec};
use crate::file::{FileError, ModelFile};
use crate::names::FEATURES;
use crate::proto::{GraphProto, NodeProto, data_type};
use crate::write::{Attribute, ExportOptions, GraphParts, GraphWriter, WriterNames, initializers, value_info};
use crate::{metadata, ops, prune};
use classifier::ClassifierInput;
pub(crate) use classifier::{FeatureTensor, last_layer};

/// Why an opaque model has no features to put a head on.
#[derive(Debug, Error)]
pub enum FeatureExtractorError {
    /// The bytes are not an ONNX file.
    #[error(transparent)]
    File(#[from] FileError),
    /// No classifier at the end of the network.
    #[error(
        "the network does not end in a linear layer or a 1x1 convolution with weights of its own (the search back from its \
         first output ends at {end}), so a new head has no classifier to replace"
    )]
    NoClassifier {
        /// Where the search back from the output ended: an operator, or the image.
        end: String,
    },
}

/// An opaque model cut before its classifier. Its only output is the features, `[n, width]` or `[n, channels, h, w]`.
#[derive(Debug, Clone)]
pub struct FeatureExtractor {
    file: ModelFile,
}

impl ModelFile {
    /// Cuts the file before its classifier: the first layer with weights on the way back from the first output, over
    /// operators that only move, squash or average scores. The operators before it may be unknown to graft.
    ///
    /// # Errors
    /// [`FeatureExtractorError::NoClassifier`] when another operator comes first, [`FeatureExtractorError::File`] for a file
    /// without a graph.
    pub fn feature_extractor(&self) -> Result<FeatureExtractor, FeatureExtractorError> {
        let ClassifierInput { features, vector, .. } = classifier::find_behind_output(self.graph()?)?;
        let mut file = self.clone();
        let graph = file.proto.graph.get_or_insert_default();
        let mut names = FreshNames::of(graph);
        let mut tensor = match features {
            FeatureTensor::Real(tensor) => tensor,
            FeatureTensor::Quantized(parts) => {
                let real = names.fresh("features.real");
                graph.node.push(node("DequantizeLinear", parts, &real));
                real
            }
        };
        // A file that got its head from graft has these already: another head must not add them again.
        tensor = before_steps(graph, tensor);
        let is_float = is_float(graph, &tensor);
        if vector && !is_vector(graph, &tensor) {
            let flat = names.fresh("features.flat");
            let attribute = vec![Attribute::int("axis", 1).into_proto()];
            graph.node.push(NodeProto { attribute, ..node("Flatten", vec![tensor], &flat) });
            tensor = flat;
        }
        if !is_float {
            let output = names.fresh(FEATURES);
            graph.node.push(cast(&tensor, &output, data_type::FLOAT));
            tensor = output;
        }
        prune::keep(graph, &tensor);
        // Only an engine can tell the shape.
        graph.output = vec![value_info(&tensor, &Shape::new([]))];
        Ok(FeatureExtractor { file })
    }
}

impl FeatureExtractor {
    /// The bytes of an ONNX file that computes the features.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.file.encode()
    }

    /// Appends a network that takes the features as its input, and returns the bytes of the whole file. It has the outputs
    /// of [`export`](crate::export()), under other names where the file has such tensors itself, and the network's metadata.
    ///
    /// # Errors
    /// [`ExportError::Labels`] when the labels are not as many as the network's outputs.
    pub fn with_head(&self, network: &Network) -> Result<Vec<u8>, ExportError> {
        let mut file = self.file.clone();
        let graph = file.proto.graph.get_or_insert_default();
        let features = graph.output.first().map_or_else(String::new, |output| output.name.clone());
        let mut names = FreshNames::of(graph);
        let outputs = OutputSpec::of(network, |name| names.fresh(name))?;
        let stored: HashMap<String, String> =
            network.params.iter().map(|(name, _)| (name.to_owned(), free(name, &names.taken))).collect();
        let options = ExportOptions { opset: self.file.opset(), ..ExportOptions::default() };
        let edges = WriterNames { input: &features, output: &outputs.heading, converted: stored.clone() };
        let mut writer = GraphWriter::new(&network.graph, options, edges);
        writer.reserve(names.taken);
        let GraphParts { nodes, constants, shapes, .. } = ops::write(writer);
        let mut node_names: HashSet<String> = graph.node.iter().map(|node| node.name.clone()).collect();
        for mut node in nodes.into_iter().chain(outputs.scores) {
            node.name = free(&node.name, &node_names);
            node_names.insert(node.name.clone());
            graph.node.push(node);
        }
        let weights = initializers(&network.params, &shapes, options.weights).map(|mut tensor| {
            tensor.name = stored[&tensor.name].clone();
            tensor
        });
        graph.initializer.extend(constants.into_iter().chain(weights));
        graph.output = outputs.outputs;
        if let Some(batch) = graph.input.first().and_then(first_dimension) {
            graph.output.iter_mut().for_each(|output| set_first_dimension(output, &batch));
        }
        metadata::replace(&mut file.proto, &network.spec);
        Ok(file.encode())
    }
}

/// Names of tensors that the file does not have yet.
struct FreshNames {
    taken: HashSet<String>,
}

impl FreshNames {
    fn of(graph: &GraphProto) -> Self {
        Self { taken: names(graph).collect() }
    }

    /// This name, or one made from it; a second call with the same name returns another one.
    fn fresh(&mut self, name: &str) -> String {
        let name = free(name, &self.taken);
        self.taken.insert(name.clone());
        name
    }
}

/// Whether a cast makes this tensor `f32`. Of others the type is not known.
fn is_float(graph: &GraphProto, tensor: &str) -> bool {
    producer(graph, tensor)
        .is_some_and(|node| node.op_type == "Cast" && int(node, "to") == Some(data_type::FLOAT.into()))
}

/// Whether a flatten behind the batch makes this tensor, or the one that it is a cast of.
fn is_vector(graph: &GraphProto, tensor: &str) -> bool {
    let source = match producer(graph, tensor) {
        Some(node) if node.op_type == "Cast" => node.input.first().and_then(|input| producer(graph, input)),
        other => other,
    };
    source.is_some_and(|node| node.op_type == "Flatten" && int(node, "axis").unwrap_or(1) == 1)
}

/// The tensor before the steps that an earlier head took between the features and its layer: their division by their length,
/// and their signed square root.
fn before_steps(graph: &GraphProto, tensor: String) -> String {
    let made_by = |tensor: &str, op_type: &str| {
        let node = producer(graph, tensor).filter(|node| node.op_type == op_type)?;
        node.input.first().cloned()
    };
    let root = |tensor: &str| {
        let [sign, root] = &producer(graph, tensor).filter(|node| node.op_type == "Mul")?.input[..] else {
            return None;
        };
        let x = made_by(sign, "Sign")?;
        (made_by(&made_by(root, "Sqrt")?, "Abs")? == x).then_some(x)
    };
    let features = made_by(&tensor, "LpNormalization").unwrap_or(tensor);
    root(&features).unwrap_or(features)
}

fn producer<'a>(graph: &'a GraphProto, tensor: &str) -> Option<&'a NodeProto> {
    graph.node.iter().find(|node| node.output.iter().any(|output| output == tensor))
}

fn int(node: &NodeProto, attribute: &str) -> Option<i64> {
    node.attribute.iter().find(|found| found.name == attribute).and_then(|found| found.i)
}

fn node(op_type: &str, input: Vec<String>, output: &str) -> NodeProto {
    let output = vec![output.to_owned()];
    NodeProto { name: output[0].clone(), op_type: op_type.to_owned(), input, output, ..NodeProto::default() }
}
