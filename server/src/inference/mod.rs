//! From images to logits.
//!
//! A model admits an image only if its predicted wait is short enough; otherwise the client learns at once when to come
//! back. Admitted images are decoded on a bounded pool, where models take turns, and queued. One task for each model owns
//! its engines and never waits for more images than there are: an image that is alone runs on all threads, one among others
//! on one thread beside them. A thread is taken only for a run. A request whose client has gone, or whose deadline has
//! passed, releases its queue permits and is not run.

mod admission;
mod answers;
mod decoder;
mod lanes;
mod memory;
mod model;
mod opener;
mod plan;
mod providers;
mod queue;
mod race;
mod registry;
mod rehearsal;
mod run;
mod self_test;
mod shadow;
mod status;
#[cfg(test)]
pub(crate) mod testing;
mod turns;
mod variants;
mod worker;

use std::time::Duration;

use thiserror::Error;

use crate::metrics::Metrics;

pub use answers::AnswerCache;
pub use decoder::Decoder;
pub use lanes::RunProfile;
pub use memory::MemoryOptions;
pub use model::{ImageRequest, InferenceResult, Model};
pub use plan::ServingPlan;
pub use providers::ProviderStatus;
pub use registry::{LookupError, PromoteError, Registry, ShadowSample, VariantError};
pub use self_test::check_version;
pub use shadow::{
    Disagreement, LatencyQuantiles, ShadowAnswer, ShadowCounts, ShadowLatency, ShadowReport, ShadowState,
};
pub use status::{ModelDescription, ModelState, ModelStatus};
pub use variants::VariantStatus;

/// How models are run.
#[derive(Clone)]
pub struct InferenceOptions {
    /// The most images in one run.
    pub max_batch: usize,
    /// What a model's engines are chosen for.
    pub profile: RunProfile,
    /// How many images are decoded at a time.
    pub decoders: usize,
    /// The most images that wait for one model.
    pub queue: usize,
    /// The longest predicted wait for a model.
    pub max_wait: Duration,
    /// How many percentage points of accuracy a faster variant of a model may cost.
    pub max_accuracy_drop: f64,
    /// What models may take, and how they are loaded.
    pub memory: MemoryOptions,
    /// What models have answered.
    pub answers: AnswerCache,
    /// Where stages and batches are counted.
    pub metrics: Metrics,
}

/// Why images have no logits.
#[derive(Debug, Clone, Error)]
pub enum InferenceError {
    /// The queue is full, or the wait would be too long.
    #[error("{waiting} images are waiting for the model, and it takes no more")]
    Overloaded {
        /// How many are waiting.
        waiting: usize,
        /// How long they will take, by the speed of the last ones.
        retry_after: Duration,
    },
    /// The deadline has passed, or would pass while the images wait.
    #[error("the model cannot answer before the request's deadline")]
    Late,
    /// More images than the queue ever holds.
    #[error("{images} images are more than the {capacity} that may wait for a model")]
    TooMany {
        /// Images in the request.
        images: usize,
        /// The most that may wait.
        capacity: usize,
    },
    /// The engine, or the code around it, failed on images that look right.
    #[error("{0}")]
    Failed(String),
    /// The model's worker has ended.
    #[error("the model has stopped: {0}")]
    Stopped(String),
}
