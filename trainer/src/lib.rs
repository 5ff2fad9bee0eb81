//! How weights change: data sets, cached features, the training loop, what is measured and recorded of it.
//!
//! This crate emits events and is asked to stop. It knows no HTTP and no database, and writes only where it is told to.

pub mod augment;
pub mod dataset;
pub mod events;
pub mod exec;
pub mod features;
pub mod finetune;
pub mod fit;
pub mod golden;
pub mod head;
mod kernels;
pub mod loader;
pub mod logs;
pub mod loss;
pub mod metrics;
pub mod mixing;
pub mod optim;
pub mod options;
pub mod recipe;
pub mod report;
pub mod sampling;
pub mod schedule;
pub mod stopping;
