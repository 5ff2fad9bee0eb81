//! What a network is, what an image is, what a prediction is.
//!
//! A network is data: a [`Graph`] of operators, the [`Params`] it names, and the [`ModelSpec`] that says how to prepare
//! its input and what its outputs mean. This crate computes nothing but pixels and scores; running, differentiating and
//! exchanging networks are the business of the crates above it.

pub mod channels;
pub mod cifar;
pub mod files;
pub mod graph;
pub mod init;
pub mod labels;
pub mod network;
pub mod ops;
pub mod params;
pub mod preprocess;
pub mod resnet;
pub mod scores;
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
