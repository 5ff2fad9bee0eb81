//! From a network to an ONNX file.

mod outputs;

use std::collections::{HashMap, HashSet};

use models::ops::Op;
use models::{Graph, Network, NodeId};
use prost::Message;
use thiserror::Error;

pub use crate::names::{FEATURES, INPUT, LOGITS, PROBABILITIES};
pub use crate::write::{BatchNormalization, ExportOptions, PixelNormalization, WeightPrecision};
pub(crate) use outputs::{OutputSpec, scores};

use crate::check::{self, Violation};
use crate::proto::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto, data_type};
use crate::write::{
    Attribute, GraphParts, GraphWriter, WriterNames, has_outputs, image_input, initializers, scales_name, value_info,
};
use crate::{fold, metadata, ops};

/// The operator set versions in which every operator that graft writes means the same.
const OPSETS: std::ops::RangeInclusive<i64> = 13..=20;
/// Old enough for ONNX Runtime 1.13, which refuses files of a newer form than it knows.
const IR_VERSION: i64 = 8;

/// Why a network cannot be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// An operator set outside 13 to 20.
    #[error("opset {0} is not supported; choose one from 13 to 20")]
    Opset(i64),
    /// The labels are not as many as the outputs of the network.
    #[error("the spec names {labels} classes but the network ends in {shape}")]
    Labels {
        /// The number of class names.
        labels: usize,
        /// The shape of the network's output.
        shape: String,
    },
    /// [`PixelNormalization::Outside`] for a network that does not begin with a normalization.
    #[error("the network does not begin with a normalisation, so there is none to leave out")]
    NotNormalized,
    /// Weights that do not fit the graph.
    #[error(transparent)]
    Fold(#[from] fold::FoldError),
    /// The file would break a rule of ONNX: a defect of graft.
    #[error("the exported file would be invalid: {0}")]
    Invalid(Violation),
}

/// Writes a network as one self-contained ONNX file, with labels, preprocessing and training record in its metadata.
///
/// A network with labels has the outputs [`LOGITS`] and [`PROBABILITIES`], a backbone has [`FEATURES`]. The batch is
/// dynamic and named `batch`. Initializers keep the names of the state dict.
///
/// # Errors
/// [`ExportError`] for an unsupported opset or labels that do not match the output.
pub fn export(network: &Network, options: &ExportOptions) -> Result<Vec<u8>, ExportError> {
    if !OPSETS.contains(&options.opset) {
        return Err(ExportError::Opset(options.opset));
    }
    let OutputSpec { heading, outputs, scores } = OutputSpec::of(network, str::to_owned)?;
    let graph = match options.normalization {
        PixelNormalization::Inside => network.graph.clone(),
        PixelNormalization::Outside => without_normalization(&network.graph)?,
    };
    let (graph, params) = match options.batch_norm {
        BatchNormalization::Fold => fold::batch_norm(&graph, &network.params)?,
        BatchNormalization::Keep => (graph, network.params.clone()),
    };
    let real: HashMap<String, String> = match options.weights {
        WeightPrecision::F32 => HashMap::new(),
        WeightPrecision::Half => params.iter().map(|(name, _)| converted(name)).collect(),
        WeightPrecision::Int8 => {
            params.iter().filter(|(_, tensor)| has_outputs(tensor)).map(|(name, _)| converted(name)).collect()
        }
    };
    let names = WriterNames { input: INPUT, output: &heading, converted: real.clone() };
    let GraphParts { nodes, constants, shapes, values } = ops::write(GraphWriter::new(&graph, *options, names));
    let conversions = params.iter().filter_map(|(name, _)| Some(conversion(name, real.get(name)?, options.weights)));
    let nodes: Vec<NodeProto> = conversions.chain(nodes).chain(scores).collect();
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "graft".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: options.opset }],
        metadata_props: metadata::write(&network.spec, options.normalization),
        graph: Some(GraphProto {
            name: graph_name(&network.spec),
            input: vec![image_input(value_info(INPUT, graph.shape(graph.input())))],
            output: outputs,
            value_info: inner_values(&graph, &values, &nodes),
            initializer: constants.into_iter().chain(initializers(&params, &shapes, options.weights)).collect(),
            node: nodes,
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    match check::check(&model).into_iter().next() {
        Some(problem) => Err(ExportError::Invalid(problem)),
        None => Ok(model.encode_to_vec()),
    }
}

/// The graph from normalised pixels on.
fn without_normalization(graph: &Graph) -> Result<Graph, ExportError> {
    let input = graph.input();
    let mut has_normalization = false;
    let rest = graph.rebuild::<models::GraphError>(|builder, _, node| match node.op {
        Op::Normalize(_) if node.inputs == [input] => {
            has_normalization = true;
            Ok(builder.input())
        }
        _ => builder.push_node(node),
    });
    if has_normalization { Ok(rest.map_err(fold::FoldError::from)?) } else { Err(ExportError::NotNormalized) }
}

/// Shapes of what the nodes of the graph put out between input and output.
fn inner_values(graph: &Graph, values: &[String], nodes: &[NodeProto]) -> Vec<ValueInfoProto> {
    let mut produced: HashSet<&str> = nodes.iter().flat_map(|node| &node.output).map(String::as_str).collect();
    let inner = graph.iter().skip(1).map(|(id, _)| id).filter(|&id| id != graph.output());
    // An identity shares its tensor with the node before it, which is listed once.
    let inner = inner.filter(|id| produced.remove(values[id.index()].as_str())).collect::<Vec<NodeId>>();
    inner.into_iter().map(|id| value_info(&values[id.index()], graph.shape(id))).collect()
}

/// The name of a weight as it is stored, and as it is computed with.
fn converted(name: &str) -> (String, String) {
    (name.to_owned(), format!("{name}.float"))
}

/// From a weight as it is stored to the number that is computed with.
fn conversion(name: &str, converted: &str, precision: WeightPrecision) -> NodeProto {
    let (op_type, input, attribute) = match precision {
        WeightPrecision::Int8 => {
            ("DequantizeLinear", vec![name.to_owned(), scales_name(name)], Attribute::int("axis", 0))
        }
        WeightPrecision::F32 | WeightPrecision::Half => {
            ("Cast", vec![name.to_owned()], Attribute::int("to", data_type::FLOAT as usize))
        }
    };
    NodeProto {
        name: converted.to_owned(),
        op_type: op_type.to_owned(),
        input,
        output: vec![converted.to_owned()],
        attribute: vec![attribute.into_proto()],
        ..NodeProto::default()
    }
}

/// The checker wants a graph to have a name.
fn graph_name(spec: &models::ModelSpec) -> String {
    let name = Some(spec.architecture.clone()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| "network".to_owned())
}
