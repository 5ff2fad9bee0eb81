//! The program around the libraries: command line, model store, HTTP, jobs.

pub mod api;
pub mod config;
pub mod datasets;
pub mod error;
pub mod extract;
pub mod finetune;
pub mod inference;
pub mod jobs;
pub mod router;
pub mod runtime;
pub mod serve;
pub mod state;
pub mod store;
pub mod telemetry;
