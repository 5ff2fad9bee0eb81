//! Another head for a file that graft cannot take apart: it is cut off before its classifier, and what is left stays as it
//! is.

mod classifier;
mod prune;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use models::Network;
use models::ops::Shape;
use thiserror::Error;

use crate::export::{
    Answers, Attribute, ExportError, ExportOptions, FEATURES, Writer, Written, initializers, value_info,
};
use crate::file::{FileError, ModelFile};
use crate::opaque::{cast, first_dimension, free, names, set_first_dimension, set_metadata};
use crate::proto::{NodeProto, data_type};
use classifier::{Classifier, Features};

/// Why a file cannot be cut off before its classifier.
#[derive(Debug, Error)]
pub enum FeatureExtractorError {
    /// No ONNX graph.
    #[error(transparent)]
    File(#[from] FileError),
    /// Nothing at the end of the network is a classifier.
    #[error(
        "the network ends in no linear layer and no 1x1 convolution with weights of its own (the way back from its first \
         output ends at {found}), so there is no classifier that a new head could replace"
    )]
    NoClassifier {
        /// Where the way back from the output ended.
        found: String,
    },
}

/// A file cut off before its classifier. Its only output are the features, an image's a vector or `[channels, h, w]`.
#[derive(Debug, Clone)]
pub struct FeatureExtractor {
    file: ModelFile,
}

impl ModelFile {
    /// The file up to what its classifier takes: the first layer with weights on the way back from the first output, over
    /// operators that only move, squash or average scores. Nothing has to be known of the operators before it.
    ///
    /// # Errors
    /// [`FeatureExtractorError`].
    pub fn feature_extractor(&self) -> Result<FeatureExtractor, FeatureExtractorError> {
        let Classifier { features, vector } = classifier::find(self.graph()?)?;
        let mut file = self.clone();
        let graph = file.proto.graph.get_or_insert_default();
        let mut taken: HashSet<String> = names(graph).collect();
        let mut fresh = |name: &str| {
            let name = free(name, &taken);
            taken.insert(name.clone());
            name
        };
        let mut tensor = match features {
            Features::Real(tensor) => tensor,
            Features::Quantized(parts) => {
                let real = fresh("features.real");
                graph.node.push(node("DequantizeLinear", parts, &real));
                real
            }
        };
        if vector {
            let flat = fresh("features.flat");
            let attribute = vec![Attribute::int("axis", 1).into_proto()];
            graph.node.push(NodeProto { attribute, ..node("Flatten", vec![tensor], &flat) });
            tensor = flat;
        }
        let output = fresh(FEATURES);
        graph.node.push(cast(&tensor, &output, data_type::FLOAT));
        prune::keep(graph, &output);
        // The shape is the file's secret until an engine has run it.
        graph.output = vec![value_info(&output, &Shape::new([]))];
        Ok(FeatureExtractor { file })
    }
}

impl FeatureExtractor {
    /// The file that computes the features.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.file.encode()
    }

    /// The file with a network behind it that takes the features as its input. The outputs are those of
    /// [`export`](crate::export()), under other names where the file has such tensors itself; the metadata is the
    /// network's.
    ///
    /// # Errors
    /// [`ExportError::Labels`] for labels that do not fit the network.
    pub fn with_head(&self, network: &Network) -> Result<Vec<u8>, ExportError> {
        let mut file = self.file.clone();
        let graph = file.proto.graph.get_or_insert_default();
        let features = graph.output.first().map_or_else(String::new, |output| output.name.clone());
        let mut taken: HashSet<String> = names(graph).collect();
        let answers = Answers::of(network, |name| {
            let name = free(name, &taken);
            taken.insert(name.clone());
            name
        })?;
        let stored: HashMap<String, String> =
            network.params.iter().map(|(name, _)| (name.to_owned(), free(name, &taken))).collect();
        let options = ExportOptions { opset: self.file.opset(), ..ExportOptions::default() };
        let mut writer = Writer::new(&network.graph, options, (&features, &answers.heading), stored.clone());
        writer.reserve(taken);
        let Written { nodes, constants, shapes, .. } = writer.write();
        graph.node.extend(nodes.into_iter().chain(answers.softmax));
        let weights = initializers(&network.params, &shapes, options.weights).map(|mut tensor| {
            tensor.name = stored[&tensor.name].clone();
            tensor
        });
        graph.initializer.extend(constants.into_iter().chain(weights));
        graph.output = answers.outputs;
        if let Some(batch) = graph.input.first().and_then(first_dimension) {
            graph.output.iter_mut().for_each(|output| set_first_dimension(output, &batch));
        }
        set_metadata(&mut file.proto, &network.spec);
        Ok(file.encode())
    }
}

fn node(op_type: &str, input: Vec<String>, output: &str) -> NodeProto {
    let output = vec![output.to_owned()];
    NodeProto { name: output[0].clone(), op_type: op_type.to_owned(), input, output, ..NodeProto::default() }
}
