//! The state of an import and one node's view of it: what [`ops`](crate::ops) reads from.

mod constant;
mod error;
mod reader;
mod spans;
mod view;

pub(crate) use constant::{BATCH, Constant, Ints, check_rank};
pub use error::ReadError;
pub(crate) use reader::{FileFacts, GraphReader, LARGEST_OUTPUT, NamedValue, NewNode};
pub(crate) use spans::{axis_of, read_spans};
pub(crate) use view::{NodeView, bounded};
