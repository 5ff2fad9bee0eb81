//! Why a file cannot be imported.

use models::graph::GraphError;
use models::params::ParamsError;
use thiserror::Error;

use crate::file::FileError;
use crate::metadata::MetadataError;
use crate::read::ReadError;
use crate::signature::error::SignatureError;

/// Why a file cannot be imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// Not an ONNX model, or one with missing weights.
    #[error(transparent)]
    File(#[from] FileError),
    /// An operator set too old to add graft's own nodes to an opaque model.
    #[error(
        "the model is of operator set {0}, and opaque models must be of 10 or newer; convert it with onnx.version_converter"
    )]
    OpaqueOpset(i64),
    /// An operator set with other broadcasting rules.
    #[error("the model is of operator set {0}, graft reads 7 and newer; convert it with onnx.version_converter")]
    Opset(i64),
    /// Not exactly one image input.
    #[error("the model has {}; graft imports networks with exactly one image input", counted(.0))]
    Inputs(Vec<String>),
    /// An input that is not a batch of images.
    #[error(
        "input `{name}` has shape {shape}; graft wants [n, channels, height, width] or [n, height, width, channels]"
    )]
    InputShape {
        /// The input's name.
        name: String,
        /// The declaration in the file.
        shape: String,
    },
    /// A requested size other than the one that the file fixes.
    #[error("the model takes images of {} x {} pixels and no others, not of {} x {}", .fixed[0], .fixed[1], .wanted[0], .wanted[1])]
    Size {
        /// Height and width in the file.
        fixed: [usize; 2],
        /// The requested height and width.
        wanted: [usize; 2],
    },
    /// Images too large for memory.
    #[error("input `{name}` takes images of shape {shape}, too large to compute with")]
    InputSize {
        /// The input's name.
        name: String,
        /// Such as `[n, 3, 224, 224]`.
        shape: String,
    },
    /// An input of an element type that pixels are not converted to.
    #[error("input `{name}` takes {found} numbers; graft gives FLOAT, FLOAT16, DOUBLE or UINT8")]
    InputType {
        /// The input's name.
        name: String,
        /// The declaration in the file.
        found: String,
    },
    /// Outputs that do not tell which of them classifies, or of which none does.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// A weight that cannot be read.
    #[error("initialiser `{name}`: {reason}")]
    Initializer {
        /// The initializer's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A node that graft cannot read.
    #[error("node `{node}` ({operator}): {source}")]
    Node {
        /// The node's name, or its first output's if it has none.
        node: String,
        /// The node's operator.
        operator: String,
        /// Why graft cannot read it.
        source: ReadError,
    },
    /// An output that no node produces.
    #[error("`{0}` is used but nothing produces it")]
    Undefined(String),
    /// Nodes that do not form a network.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Weights that do not fit the graph.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// Metadata that graft wrote and cannot read.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// "the inputs `a`, `b`", or "no input".
fn counted(inputs: &[String]) -> String {
    match inputs {
        [] => "no input".to_owned(),
        _ => format!("the inputs {}", inputs.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}
