//! The nodes and tensors of a file while it is written: what [`ops`](crate::ops) writes to.

mod attribute;
mod initializer;
mod options;
mod value_info;
mod writer;

pub(crate) use attribute::Attribute;
pub(crate) use initializer::{floats, has_outputs, initializers, integers, raw, scales_name};
pub use options::{BatchNormalization, ExportOptions, PixelNormalization, WeightPrecision};
pub(crate) use value_info::{image_input, value_info};
pub(crate) use writer::{GraphParts, GraphWriter, WriterNames};
