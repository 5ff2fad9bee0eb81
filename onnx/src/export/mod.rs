//! From a network to an ONNX file.

mod writer;

use std::collections::HashSet;

use models::ops::Shape;
use models::{Graph, Network, NodeId};
use prost::Message;
use thiserror::Error;

pub(crate) use writer::{Attribute, Writer};

use crate::check::{self, Problem};
use crate::proto::{
    Dimension, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto, data_type,
};
use crate::{fold, metadata, ops};

/// The name of the input: pixels 0..255, RGB, `[batch, 3, h, w]`.
pub const INPUT: &str = "input";
/// The name of a classifier's first output, `[batch, classes]`.
pub const LOGITS: &str = "logits";
/// The name of a classifier's second output: the softmax of the first.
pub const PROBABILITIES: &str = "probabilities";
/// The name of a backbone's output.
pub const FEATURES: &str = "features";

/// The operator set versions in which every operator that graft writes means the same.
const OPSETS: std::ops::RangeInclusive<i64> = 13..=20;
/// Old enough for ONNX Runtime 1.13, which refuses files of a newer form than it knows.
const IR_VERSION: i64 = 8;

/// How a file is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportOptions {
    /// The operator set, 13 to 20.
    pub opset: i64,
    /// What becomes of batch normalisation.
    pub batch_norm: BatchNormalization,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { opset: 17, batch_norm: BatchNormalization::Fold }
    }
}

/// What becomes of a batch normalisation right behind a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchNormalization {
    /// It is multiplied into the convolution's weights: faster, the same answers.
    Fold,
    /// It stays a node of its own, so that the file can be trained further.
    Keep,
}

/// Why a network cannot be written.
#[derive(Debug, Error)]
pub enum ExportError {
    /// An operator set outside the supported range.
    #[error("opset {0} is not supported; choose one from 13 to 20")]
    Opset(i64),
    /// The spec does not fit the network.
    #[error("the spec names {labels} classes but the network ends in {shape}")]
    Labels {
        /// How many class names there are.
        labels: usize,
        /// The shape of the output.
        shape: String,
    },
    /// The weights are not the graph's.
    #[error(transparent)]
    Fold(#[from] fold::FoldError),
    /// The file would not be valid. A defect of graft.
    #[error("the exported file would be invalid: {0}")]
    Invalid(Problem),
}

/// Writes a network as one self-contained ONNX file: labels, preprocessing and training record are in its metadata.
///
/// A network with labels has the outputs [`LOGITS`] and [`PROBABILITIES`], a backbone has [`FEATURES`]. The batch is
/// dynamic and named `batch`. Initialisers keep the names of the state dict.
///
/// # Errors
/// [`ExportError`] for an unsupported opset or labels that do not match the output.
pub fn export(network: &Network, options: &ExportOptions) -> Result<Vec<u8>, ExportError> {
    if !OPSETS.contains(&options.opset) {
        return Err(ExportError::Opset(options.opset));
    }
    let output = network.graph.shape(network.graph.output());
    if let Some(labels) = &network.spec.labels
        && output.dims() != [labels.len()]
    {
        return Err(ExportError::Labels { labels: labels.len(), shape: output.to_string() });
    }
    let (graph, params) = match options.batch_norm {
        BatchNormalization::Fold => fold::batch_norm(&network.graph, &network.params)?,
        BatchNormalization::Keep => (network.graph.clone(), network.params.clone()),
    };
    let heading = if network.spec.labels.is_some() { LOGITS } else { FEATURES };
    let names = value_names(&graph, heading);
    let mut writer = Writer::new(&graph, &names);
    for (id, node) in graph.iter() {
        writer.begin(id);
        ops::write(&node.op, &mut writer);
    }
    let (mut nodes, mut initializer) = writer.finish();
    initializer.extend(params.iter().map(|(name, tensor)| writer::tensor(name, tensor)));
    let value = |id: NodeId| value_info(&names[id.index()], graph.shape(id));
    let mut outputs = vec![value(graph.output())];
    if network.spec.labels.is_some() {
        nodes.push(probabilities(heading));
        outputs.push(value_info(PROBABILITIES, output));
    }
    let inner = graph.iter().skip(1).map(|(id, _)| id).filter(|&id| id != graph.output());
    let produced: HashSet<&str> = nodes.iter().flat_map(|node| &node.output).map(String::as_str).collect();
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "graft".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: options.opset }],
        metadata_props: metadata::write(&network.spec),
        graph: Some(GraphProto {
            name: graph_name(&network.spec),
            input: vec![image_input(value_info(INPUT, graph.shape(graph.input())))],
            output: outputs,
            value_info: inner.map(value).filter(|info| produced.contains(info.name.as_str())).collect(),
            initializer,
            node: nodes,
        }),
    };
    match check::check(&model).into_iter().next() {
        Some(problem) => Err(ExportError::Invalid(problem)),
        None => Ok(model.encode_to_vec()),
    }
}

/// The checker wants a graph to have a name.
fn graph_name(spec: &models::ModelSpec) -> String {
    let name = Some(spec.architecture.clone()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "network".to_owned())
}

/// A name for each node's output: the node's own, but for input and output.
fn value_names(graph: &Graph, output: &str) -> Vec<String> {
    let reserved = [INPUT, LOGITS, PROBABILITIES, FEATURES];
    graph
        .iter()
        .map(|(id, node)| match id {
            id if id == graph.output() => output.to_owned(),
            id if id == graph.input() => INPUT.to_owned(),
            _ if reserved.contains(&node.name.as_str()) => format!("{}_value", node.name),
            _ => node.name.clone(),
        })
        .collect()
}

fn probabilities(logits: &str) -> NodeProto {
    NodeProto {
        name: PROBABILITIES.to_owned(),
        op_type: "Softmax".to_owned(),
        input: vec![logits.to_owned()],
        output: vec![PROBABILITIES.to_owned()],
        attribute: vec![Attribute::int("axis", 1).into_proto()],
        ..NodeProto::default()
    }
}

/// Marks the input as a picture, as ONNX's image conventions do.
fn image_input(mut info: ValueInfoProto) -> ValueInfoProto {
    if let Some(kind) = &mut info.r#type {
        kind.denotation = "IMAGE".to_owned();
    }
    info
}

fn value_info(name: &str, shape: &Shape) -> ValueInfoProto {
    let batch = Dimension::Param("batch".to_owned());
    let rest = shape.dims().iter().map(|&size| Dimension::Value(size as i64));
    let dim = std::iter::once(batch).chain(rest).map(|value| DimensionProto { value: Some(value) }).collect();
    let tensor = TensorTypeProto { elem_type: data_type::FLOAT, shape: Some(TensorShapeProto { dim }) };
    let kind = TypeProto { tensor_type: Some(tensor), denotation: String::new() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(kind) }
}
