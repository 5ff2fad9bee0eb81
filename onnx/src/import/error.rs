//! Why a file cannot be imported.

use models::graph::GraphError;
use models::params::ParamsError;
use thiserror::Error;

use crate::file::FileError;
use crate::metadata::MetadataError;
use crate::read::ReadError;

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
