//! Why a node of a file cannot be read.

use models::graph::GraphError;
use thiserror::Error;

/// Why a node cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// An operator without a counterpart in [`models::Op`].
    #[error("graft does not know this operator; it reads {known}")]
    UnknownOperator {
        /// The operators that graft reads, separated by commas.
        known: String,
    },
    /// An operator of a quantized network.
    #[error("the network is quantized, and graft parses only networks of real numbers")]
    Quantized,
    /// A name that no earlier node, initializer or input produces.
    #[error("its input `{0}` is not produced by any earlier node")]
    Undefined(String),
    /// An absent input that the operator requires, counted from 0.
    #[error("its input {0} is missing")]
    MissingInput(usize),
    /// A node whose first output has no name.
    #[error("its first output has no name, so no other node can take it")]
    NoOutput,
    /// An attribute outside the operator's range.
    #[error("attribute `{name}` = {value} is not valid")]
    Attribute {
        /// The attribute's name.
        name: &'static str,
        /// The value in the file.
        value: String,
    },
    /// A valid use of the operator that graft does not support.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// The node does not fit the shapes of its inputs.
    #[error(transparent)]
    Graph(#[from] GraphError),
}
