//! From images to logits.
//!
//! A request is admitted before any work is done for it: a model has a fixed number of places, and who gets none is told
//! when to come back. Then its images are decoded on a bounded pool and queued. One thread for each model owns the
//! engine, takes what is waiting and never waits for more. A request whose client has gone gives up its places and is
//! passed over.

mod admission;
mod decoder;
mod model;
mod registry;
mod self_test;
mod status;
#[cfg(test)]
pub(crate) mod testing;
mod worker;

use std::time::Duration;

use models::preprocess::ImageError;
use thiserror::Error;

pub use decoder::Decoder;
pub use model::{InferenceResult, Model};
pub use registry::{LookupError, Registry};
pub use status::{ModelDescription, ModelState, ModelStatus};

/// How models are run.
#[derive(Debug, Clone, Copy)]
pub struct InferenceOptions {
    /// The most images in one run.
    pub max_batch: usize,
    /// The most images that wait for one model.
    pub queue: usize,
}

/// Why images have no logits.
#[derive(Debug, Clone, Error)]
pub enum InferenceError {
    /// All places are taken.
    #[error("{waiting} images are waiting for the model, and it takes no more")]
    Overloaded {
        /// How many are waiting.
        waiting: usize,
        /// How long they will take, by the speed of the last ones.
        retry_after: Duration,
    },
    /// More images than there will ever be places for.
    #[error("{images} images are more than the {capacity} that may wait for a model")]
    TooMany {
        /// Images in the request.
        images: usize,
        /// Places of the model.
        capacity: usize,
    },
    /// An image cannot be used.
    #[error("image {index}: {source}")]
    Image {
        /// Which, counted from zero.
        index: usize,
        /// What is wrong with it.
        source: ImageError,
    },
    /// The engine, or the code around it, failed on images that look right.
    #[error("{0}")]
    Failed(String),
    /// The model's thread has ended.
    #[error("the model has stopped: {0}")]
    Stopped(String),
}
