//! Finds the classifier of a file on the way back from its first output.

use std::collections::{HashMap, HashSet};

use super::FeatureExtractorError;
use crate::edit::captured;
use crate::proto::{GraphProto, NodeProto, TensorProto};

/// The input of the last layer with weights.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClassifierInput {
    pub(super) features: FeatureTensor,
    /// Whether it is one vector an image, not a feature map.
    pub(super) vector: bool,
    /// The operator of that layer.
    pub(super) layer: &'static str,
}

/// The names of the tensors that hold the features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FeatureTensor {
    Real(String),
    /// Integers, their scale and, if there is one, their zero point.
    Quantized(Vec<String>),
}

/// A kind of layer that may be a classifier.
struct HeadLayer {
    op_type: &'static str,
    /// The index of the input that holds the weights.
    weights: usize,
    takes: InputKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum InputKind {
    Vectors,
    Maps,
    QuantizedVectors,
    QuantizedMaps,
}

/// Layers that may be a classifier, of ONNX and, where quantisation puts them, of ONNX Runtime's own set.
const LAYERS: [HeadLayer; 13] = [
    HeadLayer { op_type: "Gemm", weights: 1, takes: InputKind::Vectors },
    HeadLayer { op_type: "MatMul", weights: 1, takes: InputKind::Vectors },
    HeadLayer { op_type: "FusedGemm", weights: 1, takes: InputKind::Vectors },
    HeadLayer { op_type: "FusedMatMul", weights: 1, takes: InputKind::Vectors },
    HeadLayer { op_type: "MatMulNBits", weights: 1, takes: InputKind::Vectors },
    HeadLayer { op_type: "MatMulInteger", weights: 1, takes: InputKind::Vectors },
    HeadLayer { op_type: "MatMulIntegerToFloat", weights: 1, takes: InputKind::Vectors },
    HeadLayer { op_type: "DynamicQuantizeMatMul", weights: 1, takes: InputKind::Vectors },
    HeadLayer { op_type: "QLinearMatMul", weights: 3, takes: InputKind::QuantizedVectors },
    HeadLayer { op_type: "QGemm", weights: 3, takes: InputKind::QuantizedVectors },
    HeadLayer { op_type: "Conv", weights: 1, takes: InputKind::Maps },
    HeadLayer { op_type: "ConvInteger", weights: 1, takes: InputKind::Maps },
    HeadLayer { op_type: "QLinearConv", weights: 3, takes: InputKind::QuantizedMaps },
];

/// Operators that do not change the order of the classes.
const TRANSPARENT: [&str; 14] = [
    "Cast",
    "DequantizeLinear",
    "Dropout",
    "Flatten",
    "Identity",
    "LogSoftmax",
    "Pad",
    "QLinearSoftmax",
    "QuantizeLinear",
    "Reshape",
    "Softmax",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];
/// Operators that average class maps.
const AVERAGES: [&str; 5] =
    ["AveragePool", "GlobalAveragePool", "QLinearAveragePool", "QLinearGlobalAveragePool", "ReduceMean"];
/// Operators between class maps and their average, as in SqueezeNet.
const SQUASHES: [&str; 2] = ["Relu", "Clip"];
/// Biases, temperatures and the scales of quantized numbers.
const SHIFTS: [&str; 6] = ["Add", "Sub", "Mul", "Div", "QLinearAdd", "QLinearMul"];

/// The operator of the layer with weights that makes this tensor, if nothing but what moves, shifts, squashes or averages
/// its scores lies in between.
pub(crate) fn last_layer(graph: &GraphProto, tensor: &str) -> Option<&'static str> {
    find(graph, tensor).ok().map(|input| input.layer)
}

/// The first layer with weights of its own on the way back from the first output.
pub(super) fn find_behind_output(graph: &GraphProto) -> Result<ClassifierInput, FeatureExtractorError> {
    find(graph, graph.output.first().map_or("", |output| output.name.as_str()))
}

fn find(graph: &GraphProto, output: &str) -> Result<ClassifierInput, FeatureExtractorError> {
    let file = TensorIndex::new(graph);
    let (mut left, mut seen) = (vec![(output, Scores::AsTheyAre)], HashSet::new());
    let mut end = "the image".to_owned();
    while let Some((tensor, scores)) = left.pop() {
        let Some(node) = file.producers.get(tensor).filter(|_| seen.insert(tensor)) else { continue };
        if let Some(classifier) = file.classifier(node, scores) {
            return Ok(classifier);
        }
        let first = file.varying(node).next();
        match node.op_type.as_str() {
            op if TRANSPARENT.contains(&op) => left.extend(first.map(|input| (input, scores))),
            op if AVERAGES.contains(&op) => left.extend(first.map(|input| (input, Scores::Averaged))),
            op if scores == Scores::Averaged && SQUASHES.contains(&op) => {
                left.extend(first.map(|input| (input, scores)))
            }
            // Scores of whole numbers are multiplied by a scale that is computed too, and no other sum or product of two
            // computed tensors is one of scores.
            op if SHIFTS.contains(&op) && (op == "Mul" || file.of_classes(node).count() == 1) => {
                left.extend(file.of_classes(node).map(|input| (input, scores)));
            }
            op => end = format!("`{op}`"),
        }
    }
    Err(FeatureExtractorError::NoClassifier { end })
}

/// What the file has done to a classifier's scores before they are its output: averaged scores were class maps, which only
/// layers on feature maps make.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scores {
    AsTheyAre,
    Averaged,
}

/// A file's tensors by name.
struct TensorIndex<'a> {
    producers: HashMap<&'a str, &'a NodeProto>,
    initializers: HashMap<&'a str, &'a TensorProto>,
    /// Tensors that depend on the image.
    varying: HashSet<&'a str>,
}

impl<'a> TensorIndex<'a> {
    fn new(graph: &'a GraphProto) -> Self {
        let initializers: HashMap<&str, &TensorProto> =
            graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        let inputs = graph.input.iter().map(|input| input.name.as_str());
        let mut varying: HashSet<&str> = inputs.filter(|input| !initializers.contains_key(input)).collect();
        for node in &graph.node {
            let takes = |name: &String| varying.contains(name.as_str());
            if node.input.iter().any(takes) || captured(node).iter().any(takes) {
                varying.extend(node.output.iter().map(String::as_str));
            }
        }
        let outputs = |node: &'a NodeProto| node.output.iter().map(move |output| (output.as_str(), node));
        Self { producers: graph.node.iter().flat_map(outputs).collect(), initializers, varying }
    }

    /// The inputs of a node that depend on the image.
    fn varying(&self, node: &'a NodeProto) -> impl Iterator<Item = &'a str> {
        node.input.iter().map(String::as_str).filter(|input| self.varying.contains(input))
    }

    /// The inputs of a node that depend on the image, without those that a layer makes of a single number, which are the same for all
    /// classes.
    fn of_classes(&self, node: &'a NodeProto) -> impl Iterator<Item = &'a str> {
        self.varying(node).filter(|input| {
            let layer = self.producers.get(input).filter(|node| node.op_type == "Gemm" && is_set(node, "transB"));
            let weights = layer.and_then(|layer| self.stored(layer.input.get(1)?));
            weights.is_none_or(|weights| !matches!(weights.dims[..], [_, 1]))
        })
    }

    /// What the node takes, if it can be a classifier: weights that are the same for every image, which look at one pixel
    /// at a time.
    fn classifier(&self, node: &'a NodeProto, scores: Scores) -> Option<ClassifierInput> {
        let layer = LAYERS.iter().find(|layer| layer.op_type == node.op_type)?;
        let input = |at: usize| node.input.get(at).map(String::as_str).filter(|name| !name.is_empty());
        let (features, weights) = (input(0)?, input(layer.weights)?);
        let features = self.before_quantization(features);
        if !self.varying.contains(features) || self.varying.contains(weights) {
            return None;
        }
        let vector = matches!(layer.takes, InputKind::Vectors | InputKind::QuantizedVectors);
        let averaged = scores == Scores::Averaged;
        let fits = if vector { !averaged && !is_set(node, "transA") } else { self.is_pointwise(weights) };
        if !fits {
            return None;
        }
        let features = match layer.takes {
            InputKind::Vectors | InputKind::Maps => FeatureTensor::Real(features.to_owned()),
            InputKind::QuantizedVectors | InputKind::QuantizedMaps => {
                FeatureTensor::Quantized((0..3).map_while(input).map(str::to_owned).collect())
            }
        };
        Some(ClassifierInput { features, vector, layer: layer.op_type })
    }

    /// What was quantised by a scale of its own, for layers that take such numbers; the tensor itself for others.
    fn before_quantization(&self, tensor: &'a str) -> &'a str {
        let node = self.producers.get(tensor).filter(|node| node.op_type == "DynamicQuantizeLinear");
        node.and_then(|node| node.input.first()).map_or(tensor, String::as_str)
    }

    /// Whether these are the weights of a 1x1 convolution.
    fn is_pointwise(&self, weights: &'a str) -> bool {
        self.stored(weights).is_some_and(|tensor| tensor.dims.iter().skip(2).all(|&size| size == 1))
    }

    /// The stored tensor that these weights are, or are dequantised or converted from.
    fn stored(&self, weights: &'a str) -> Option<&'a TensorProto> {
        let before = |name: &'a str| self.producers.get(name).and_then(|node| node.input.first()).map(String::as_str);
        // A file whose tensors are made of each other in a circle ends the search as well.
        let mut sources = std::iter::successors(Some(weights), |name| before(name)).take(4);
        sources.find_map(|name| self.initializers.get(name).copied())
    }
}

fn is_set(node: &NodeProto, attribute: &str) -> bool {
    node.attribute.iter().any(|candidate| candidate.name == attribute && candidate.i.is_some_and(|value| value != 0))
}
