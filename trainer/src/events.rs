//! What a training run says while it runs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The parts of a fine-tuning run, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Finding and checking the images.
    Data,
    /// Running the frozen part of the network once per image.
    Features,
    /// Training the head.
    Training,
    /// Writing the model.
    Export,
    /// Comparing the written model with the trained one on every engine.
    Parity,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A phase begins.
    Phase {
        /// Which.
        phase: Phase,
    },
    /// A phase goes on.
    Progress {
        /// Which.
        phase: Phase,
        /// Images (or epochs; of a data set that is fetched, MiB) behind.
        done: u64,
        /// The same in all.
        total: u64,
    },
    /// The weights have changed; not every step says so.
    Step {
        /// How often they have.
        step: u64,
        /// The current epoch, counted from one.
        epoch: u64,
        /// How many there will be.
        epochs: u64,
        /// Training images behind in this epoch.
        examples: u64,
        /// Their mean loss.
        loss: f64,
        /// The share of them whose highest logit was their class's, 0..1.
        accuracy: f64,
        /// Since this process began to train.
        images_per_second: f64,
        /// Until the last epoch is over.
        seconds_left: f64,
    },
    /// An epoch is over.
    Epoch {
        /// Counted from one.
        epoch: usize,
        /// How many there will be.
        epochs: usize,
        /// Mean cross-entropy over the training images.
        train_loss: f64,
        /// Mean cross-entropy over the validation images, if there are any.
        validation_loss: Option<f64>,
        /// Share of validation images whose highest logit is their class's, 0..1.
        validation_top1: Option<f64>,
    },
    /// Something that was decided, and why.
    Note {
        /// A sentence.
        message: String,
    },
    /// Something the user should know that does not end the run.
    Warning {
        /// A sentence.
        message: String,
    },
    /// The result on the test images.
    Metrics {
        /// By name; shares are 0..1.
        metrics: Value,
    },
}

/// Whoever follows a run.
pub trait Observer {
    /// Something happened.
    fn event(&mut self, event: Event);

    /// Whether the run should end without a result. Asked between batches and before anything is published.
    fn stopped(&self) -> bool;
}

/// An observer for runs that nobody follows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn event(&mut self, _event: Event) {}

    fn stopped(&self) -> bool {
        false
    }
}
