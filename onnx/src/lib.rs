//! Interchange and execution: networks to and from ONNX, and the engines that run such files.
//!
//! Import reads structure and never names; export writes the graph node for node. Each operator family's spelling is
//! read and written in the same file under `ops/`, so the two cannot part ways. Nothing here knows about training.

pub mod check;
pub mod conventions;
pub mod engine;
pub mod export;
pub mod features;
pub mod file;
pub mod fold;
pub mod import;
pub mod metadata;
pub mod opaque;
pub mod parity;

mod edit;
mod names;
mod ops;
mod proto;
mod read;
mod write;

pub use engine::{Engine, EngineError, EngineKind, Outputs};
pub use export::{ExportError, ExportOptions, export};
pub use features::{FeatureExtractor, FeatureExtractorError};
pub use file::{FileError, ModelFile};
pub use import::{ImportError, ImportedModel, import};
pub use opaque::{Batching, OpaqueOptions};
