//! The Open Inference Protocol (version 2 of KServe's predict protocol) over HTTP, with Triton's extensions: the addresses,
//! field names and statuses are theirs. Errors are `{"error": …}` (`ERROR_TEXT`).
//!
//! Images and tensors meet the same admission, queue, limits and counters as at `/classify`.

pub(crate) mod answer;
mod body;
pub mod config;
pub mod health;
pub mod infer;
pub(crate) mod input;
pub mod load;
mod located;
pub mod metadata;
pub(crate) mod output;
pub mod repository;
pub mod request;
pub mod response;
pub mod statistics;
pub(crate) mod target;
pub mod tensors;
