//! Import and export of ONNX files, and the engines that run them.
//!
//! Import goes by structure and never by names; export writes the graph node for node. One file under `ops/` both reads and
//! writes each operator family, so import and export cannot diverge. Nothing here knows about training.
//!
//! ```
//! use models::{ModelSpec, Network, Preprocess, init, zoo};
//! use onnx::{ExportOptions, export, import};
//!
//! let graph = zoo::find("resnet20_cifar").expect("a network of the table").graph([32, 32], 10)?;
//! let spec = ModelSpec::new("resnet20_cifar", None, Preprocess::torchvision(32, 32));
//! let network = Network::new(graph.clone(), &init::he(&graph, 0), spec)?;
//! let file = export(&network, &ExportOptions::default())?;
//! let model = import(file)?;
//! assert_eq!(model.spec, Some(network.spec));
//! assert_eq!(model.graph.shape(model.graph.output()).dims(), [10]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub mod precision;
pub mod quantize;
pub mod signature;

mod edit;
mod error;
mod image;
mod names;
mod ops;
mod order;
mod processor;
mod proto;
mod prune;
mod read;
mod write;

pub use engine::{Engine, EngineError, EngineKind, EngineSet, EngineSpec, Outputs, Provider};
pub use error::ImportError;
pub use export::{ExportError, ExportOptions, export};
pub use features::{FeatureExtractor, FeatureExtractorError};
pub use file::{FileError, ModelFile};
pub use import::{ImportedModel, import};
pub use opaque::{Batching, OpaqueOptions};
pub use order::NodeCycle;
pub use precision::Precision;
pub use quantize::{QuantizeError, Quantizer};
pub use signature::{Signature, SignatureError, SignatureOptions};
