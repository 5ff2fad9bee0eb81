//! What handlers take from a request. Each answers what it cannot read with a problem from the table of errors, where
//! axum's own would answer plain text.

pub mod base64;
mod bytes;
mod coding;
pub(super) mod encoding;
mod images;
mod json;
mod path;
pub mod prefer;
mod query;

pub use crate::optional::not_null;
pub use bytes::ImageBytes;
pub use coding::ContentCoding;
pub use images::{Images, LabeledImages, Upload};
pub use json::{Json, parse_json, read_json};
pub use path::Path;
pub use query::Query;
