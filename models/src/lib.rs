//! Networks, images and predictions as data.
//!
//! A network is a [`Graph`] of operators, the [`Params`] that it names, and a [`ModelSpec`] that describes its input and
//! outputs. This crate computes only pixels and scores; the crates above it run, train and exchange networks.
//!
//! ```
//! use models::zoo;
//!
//! let graph = zoo::find("resnet18").expect("a network of the table").graph([224, 224], 10)?;
//! let counts = graph.counts();
//! assert_eq!(counts.parameters, 11_181_642);
//! let features = graph.node(graph.classifier().expect("a linear layer").node()).inputs[0];
//! assert_eq!(graph.shape(features).dims(), [512]);
//! # Ok::<(), models::GraphError>(())
//! ```

pub mod binary;
mod budget;
pub mod channels;
pub mod cifar;
pub mod doubt;
pub mod failure;
pub mod files;
pub mod graph;
pub mod init;
pub mod inverted;
pub mod labels;
pub mod network;
pub mod ops;
pub mod params;
pub mod pickle;
pub mod preprocess;
pub mod resnet;
pub mod scores;
pub mod simd;
pub mod spec;
pub mod vgg;
pub mod weights;
pub mod zoo;

pub use graph::{Graph, GraphBuilder, GraphError, Node, NodeId};
pub use labels::Labels;
pub use network::Network;
pub use ops::{Op, Shape};
pub use params::{Params, Tensor};
pub use preprocess::Preprocess;
pub use spec::ModelSpec;
