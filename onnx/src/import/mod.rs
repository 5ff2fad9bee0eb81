//! From an ONNX file to a graph.

mod constant;
mod fold;
mod input;
mod reader;
#[cfg(test)]
mod tests;
mod view;

use bytes::Bytes;
use models::graph::GraphError;
use models::params::ParamsError;
use models::{Graph, ModelSpec, Params};
use thiserror::Error;

pub(crate) use constant::{BATCH, Constant, Ints, check_rank};
pub(crate) use fold::fold;
pub(crate) use input::{ImageInput, Layout, image_input};
pub(crate) use reader::{Reader, Value};
pub(crate) use view::{NodeView, bounded};

use crate::export::PixelNormalization;
use crate::file::{FileError, ModelFile};
use crate::metadata::{self, MetadataError, Recorded};
use crate::ops::ReadError;

/// What an ONNX file holds.
#[derive(Debug, Clone)]
pub struct ImportedModel {
    /// The network, ending in logits (a final softmax is left off) or in a backbone's features.
    pub graph: Graph,
    /// Its parameters under the file's names.
    pub params: Params,
    /// The spec, if graft wrote the file. A foreign file does not say how its input is prepared.
    pub spec: Option<ModelSpec>,
    /// Who wrote the file, such as `pytorch 2.4.0`.
    pub producer: String,
}

/// Why a file cannot be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// No ONNX model, or one whose weights are not all there.
    #[error(transparent)]
    File(#[from] FileError),
    /// Operators that graft's own cannot stand beside.
    #[error(
        "the model is of operator set {0}, and only files of 10 and newer can be kept as they are; convert it with \
         onnx.version_converter"
    )]
    OpaqueOpset(i64),
    /// Operators that broadcast by other rules.
    #[error("the model is of operator set {0}, graft reads 7 and newer; convert it with onnx.version_converter")]
    Opset(i64),
    /// A classifier has one image input.
    #[error("the model has inputs {0:?}; graft imports networks with exactly one image input")]
    Inputs(Vec<String>),
    /// The input is not a batch of images.
    #[error(
        "input `{name}` has shape {shape}; graft wants [n, channels, height, width] or [n, height, width, channels]"
    )]
    InputShape {
        /// The input's name.
        name: String,
        /// What the file declares.
        shape: String,
    },
    /// Another size than the one that the file fixes.
    #[error("the model takes images of {} x {} pixels and no others, not of {} x {}", .fixed[0], .fixed[1], .wanted[0], .wanted[1])]
    Size {
        /// Height and width in the file.
        fixed: [usize; 2],
        /// Height and width that were asked for.
        wanted: [usize; 2],
    },
    /// Images that no memory holds.
    #[error("input `{name}` takes images of shape {shape}, too large to compute with")]
    InputSize {
        /// The input's name.
        name: String,
        /// Its shape.
        shape: String,
    },
    /// The input is not of numbers that a pixel can be.
    #[error("input `{name}` takes {found} numbers; graft gives FLOAT, FLOAT16, DOUBLE or UINT8")]
    InputType {
        /// The input's name.
        name: String,
        /// What the file declares.
        found: String,
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

/// The oldest operator set whose arithmetic broadcasts as NumPy does.
const OLDEST_OPSET: i64 = 7;

/// Reads an ONNX file that holds its weights itself; see [`ModelFile::import`].
///
/// # Errors
/// As there.
pub fn import(file: impl Into<Bytes>) -> Result<ImportedModel, ImportError> {
    ModelFile::decode(file)?.import()
}

impl ModelFile {
    /// Reads the network for images of the size that the file says, or 224 by 224 pixels where it says none.
    ///
    /// # Errors
    /// As [`import_for`](Self::import_for).
    pub fn import(&self) -> Result<ImportedModel, ImportError> {
        self.import_for(None)
    }

    /// Reads the network by structure, for images of this height and width.
    ///
    /// The batch dimension is made dynamic whatever the file says, and the image comes channels first. Node names are the
    /// modules of the state dict where the weights have such names, otherwise the file's.
    ///
    /// # Errors
    /// [`ImportError`] naming the node and operator, the initialiser or the input that graft cannot read.
    pub fn import_for(&self, size: Option<[usize; 2]>) -> Result<ImportedModel, ImportError> {
        let recorded = metadata::read(self.props())?;
        let opset = self.opset();
        if opset < OLDEST_OPSET {
            return Err(ImportError::Opset(opset));
        }
        let file = self.graph()?;
        let input = image_input(file)?.sized(size)?;
        let (mut graph, params) = Reader::new(file, input, opset)?.read(file)?;
        if let Some(Recorded { spec, normalization: PixelNormalization::Outside }) = &recorded {
            graph = graph.normalized(&spec.preprocess.normalize())?;
        }
        let params = params.select(&graph)?;
        Ok(ImportedModel { graph, params, spec: recorded.map(|recorded| recorded.spec), producer: self.producer() })
    }
}
