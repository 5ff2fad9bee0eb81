//! The program around the libraries: command line, model store, HTTP, jobs.

pub mod access;
pub mod allocator;
pub mod config;
mod database;
pub mod datasets;
pub mod demo;
pub mod evaluate;
pub mod explain;
pub mod failure;
pub mod finetune;
#[cfg(feature = "grpc")]
mod grpc;
pub mod http;
pub mod imports;
pub mod inference;
pub mod jobs;
pub mod label_studio;
pub mod metrics;
mod optional;
pub mod outbound;
pub mod quantize;
pub mod report;
pub mod run_context;
pub mod runtime;
pub mod serve;
pub mod starter;
pub mod store;
pub mod telemetry;
pub mod traces;
pub mod tracking;
pub mod trials;
pub mod webhooks;
