//! How weights change: data sets, cached features, the training loop, what is measured and recorded of it.
//!
//! This crate emits events and is asked to stop. It knows no HTTP and no database, and writes only where it is told to.

pub mod backend;
pub mod data;
pub mod estimate;
pub mod evaluate;
pub mod events;
pub mod explain;
pub mod finetune;
pub mod fit;
pub mod identity;
pub mod logs;
pub mod metrics;
mod nearest;
pub mod optim;
pub mod options;
pub mod quantize;
pub mod recipe;

pub use nearest::nearest;
