//! From an ONNX file to a graph.

mod constant;
mod reader;

use bytes::Bytes;
use models::graph::GraphError;
use models::params::ParamsError;
use models::{Graph, ModelSpec, Params};
use prost::Message;
use thiserror::Error;

pub(crate) use constant::Constant;
pub(crate) use reader::{NodeView, Reader, Value};

use crate::metadata::{self, MetadataError};
use crate::ops::ReadError;
use crate::proto::ModelProto;

/// What an ONNX file holds.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The network, ending in logits (a final softmax is left off) or in a backbone's features.
    pub graph: Graph,
    /// Its parameters under the file's names.
    pub params: Params,
    /// The spec, if graft wrote the file. A foreign file does not say how its input is prepared.
    pub spec: Option<ModelSpec>,
    /// Who wrote the file, such as `pytorch 2.4.0`.
    pub producer: String,
}

/// The side of the square input that a file with symbolic height and width is given.
const DEFAULT_SIDE: usize = 224;

/// Why a file cannot be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// Not ONNX at all, or cut off.
    #[error("not an ONNX file, or a truncated one")]
    Decode(#[from] prost::DecodeError),
    /// A protobuf that decodes but holds no graph.
    #[error("not an ONNX model: it holds no graph")]
    NoGraph,
    /// A classifier has one image input.
    #[error("the model has inputs {0:?}; graft imports networks with exactly one image input")]
    Inputs(Vec<String>),
    /// The input is not a batch of channels-first images.
    #[error("input `{name}` has shape {shape}; graft wants [n, channels, height, width]{hint}")]
    InputShape {
        /// The input's name.
        name: String,
        /// What the file declares.
        shape: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// More than one output that is not merely another's softmax.
    #[error("the model has the unrelated outputs {0:?}; graft imports networks with one")]
    Outputs(Vec<String>),
    /// A weight that cannot be read.
    #[error("initialiser `{name}`: {reason}")]
    Initializer {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A node that cannot be read.
    #[error("node `{node}` ({operator}): {source}")]
    Node {
        /// Its name, or its first output's if it has none.
        node: String,
        /// Its operator.
        operator: String,
        /// What is wrong.
        source: ReadError,
    },
    /// A tensor that nothing produces.
    #[error("`{0}` is used but nothing produces it")]
    Undefined(String),
    /// Nodes that do not make a network.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Weights that do not fit the graph.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// Metadata of ours that cannot be read.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// Reads an ONNX file by structure.
///
/// The batch dimension is made dynamic whatever the file says. Node names are the modules of the state dict where the
/// weights have such names, otherwise the file's.
///
/// # Errors
/// [`ImportError`] naming the node and operator, the initialiser or the input that graft cannot read.
pub fn import(file: impl Into<Bytes>) -> Result<Imported, ImportError> {
    let model = ModelProto::decode(file.into())?;
    let spec = metadata::read(&model.metadata_props)?;
    let producer = format!("{} {}", model.producer_name, model.producer_version).trim().to_owned();
    let opset = model.opset_import.iter().filter(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    let opset = opset.map(|set| set.version).max().unwrap_or(1);
    let graph = model.graph.ok_or(ImportError::NoGraph)?;
    let (graph, params) = Reader::new(&graph, opset)?.read(&graph)?;
    let params = params.select(&graph)?;
    Ok(Imported { graph, params, spec, producer })
}
