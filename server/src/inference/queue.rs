//! What stands in a model's queue, and what it is answered with.

use std::time::{Duration, Instant};

use models::preprocess::PreparedImage;
use tokio::sync::oneshot;
use trainer::evaluate::TestViews;

use super::InferenceError;
use super::admission::QueuePermit;

/// An image that waits.
pub(super) struct QueuedImage {
    pub(super) input: PreparedImage,
    pub(super) permit: QueuePermit,
    /// How long it waited before it was decoded.
    pub(super) waited: Duration,
    pub(super) queued: Instant,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<ImageLogits, InferenceError>>,
}

/// The logits of one image, and how it fared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ImageLogits {
    pub(super) logits: Vec<f32>,
    /// Waiting, before it was decoded and behind.
    pub(super) queue: Duration,
    /// The run of the batch it was in.
    pub(super) inference: Duration,
    /// Images in that batch.
    pub(super) batch: usize,
}

impl ImageLogits {
    /// Of an image, given those of its views: the mean of the logits, and the slowest.
    pub(super) fn mean(views: &[Self]) -> Self {
        let rows: Vec<Vec<f32>> = views.iter().map(|view| view.logits.clone()).collect();
        Self {
            logits: TestViews::mean(&rows),
            queue: views.iter().map(|view| view.queue).max().unwrap_or_default(),
            inference: views.iter().map(|view| view.inference).max().unwrap_or_default(),
            batch: views.iter().map(|view| view.batch).max().unwrap_or_default(),
        }
    }

    /// Of an image that was answered before: nothing waited and nothing ran.
    pub(super) fn kept(logits: Vec<f32>) -> Self {
        Self { logits, queue: Duration::ZERO, inference: Duration::ZERO, batch: 0 }
    }
}
