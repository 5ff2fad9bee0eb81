//! What the fuzz targets share.

pub mod check;
pub mod memory;
pub mod mutate;

#[expect(dead_code, reason = "the messages as onnx has them, of which the mutator changes a few")]
#[path = "../../../onnx/src/proto.rs"]
mod proto;
