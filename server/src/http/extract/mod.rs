//! What handlers take from a request. Each answers what it cannot read with a problem from the table of errors, where
//! axum's own would answer plain text.

mod bytes;
mod encoding;
mod images;
mod json;
mod path;
mod query;

pub use bytes::ImageBytes;
pub use images::{Images, LabeledImages, Upload};
pub use json::{Json, not_null};
pub use path::Path;
pub use query::Query;
