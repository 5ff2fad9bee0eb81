//! Events of a training run, and the trait that receives them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::DatasetSummary;
use crate::metrics::null_is_nan;

/// The phases of a fine-tuning run, in order; an evaluation and a quantization have `data` and the last ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = JobPhase))]
pub enum Phase {
    /// Finding and checking the images.
    Data,
    /// Running the frozen part of the network once for each image.
    Features,
    /// Training the head.
    Training,
    /// Training layers of the base.
    Tuning,
    /// Writing the model.
    Export,
    /// Comparing the written model with the trained one on every engine.
    Parity,
    /// Finding the ranges of a finished model's tensors on training images, and writing it with 8-bit integers.
    Quantization,
    /// Running a finished model on labeled images.
    Evaluation,
}

/// How long a phase is expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PhaseEstimate {
    /// What the estimate is of.
    pub phase: Phase,
    /// From its beginning to its end.
    #[cfg_attr(feature = "openapi", schema(example = 12.5))]
    pub seconds: f64,
}

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = JobEventData))]
pub enum Event {
    /// A phase begins.
    #[cfg_attr(feature = "openapi", schema(title = "PhaseEvent"))]
    Phase {
        /// The one that begins.
        phase: Phase,
    },
    /// Progress within a phase.
    #[cfg_attr(feature = "openapi", schema(title = "ProgressEvent"))]
    Progress {
        /// The one that is going on.
        phase: Phase,
        /// Images or epochs done; MiB of a data set that is downloaded.
        done: u64,
        /// How many `done` counts to.
        total: u64,
    },
    /// How long the run expects its phases to take, those that are over included. Said again when it is better known.
    #[cfg_attr(feature = "openapi", schema(title = "EstimateEvent"))]
    Estimate {
        /// In their order.
        phases: Vec<PhaseEstimate>,
    },
    /// The weights have changed. Only some steps are reported.
    #[cfg_attr(feature = "openapi", schema(title = "StepEvent"))]
    Step {
        /// Steps taken.
        step: u64,
        /// The current epoch, counted from one.
        epoch: u64,
        /// How many the training has.
        epochs: u64,
        /// Training images seen in this epoch.
        examples: u64,
        /// Their mean loss.
        loss: f64,
        /// The share of them classified correctly, 0 to 1.
        accuracy: f64,
        /// Since this process began to train.
        images_per_second: f64,
        /// Estimated time to the end of the last epoch.
        seconds_left: f64,
    },
    /// An epoch is over.
    #[cfg_attr(feature = "openapi", schema(title = "EpochEvent"))]
    Epoch {
        /// Counted from one.
        epoch: usize,
        /// How many the training has.
        epochs: usize,
        /// Mean cross-entropy over the training images.
        #[serde(deserialize_with = "null_is_nan")]
        train_loss: f64,
        /// Mean cross-entropy over the validation images, if there are any.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(nullable = false))]
        validation_loss: Option<f64>,
        /// The share of validation images classified correctly, 0 to 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(nullable = false))]
        validation_top1: Option<f64>,
    },
    /// A decision, with its reason.
    #[cfg_attr(feature = "openapi", schema(title = "NoteEvent"))]
    Note {
        /// The decision and its reason, as a sentence.
        message: String,
    },
    /// Something the user should know that does not end the run.
    #[cfg_attr(feature = "openapi", schema(title = "WarningEvent"))]
    Warning {
        /// What it is and what to do, as a sentence.
        message: String,
    },
    /// How the data set was understood; before anything is trained.
    #[cfg_attr(feature = "openapi", schema(title = "DatasetEvent"))]
    Dataset {
        /// Layout, classes, subsets, and what is left out.
        summary: Box<DatasetSummary>,
    },
    /// The result on the test images.
    #[cfg_attr(feature = "openapi", schema(title = "MetricsEvent"))]
    Metrics {
        /// By name; shares are 0 to 1.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        metrics: Value,
    },
}

/// Receives the events of a run and can stop it.
pub trait Observer {
    /// Receives an event.
    fn event(&mut self, event: Event);

    /// Whether the run must stop. The trainer asks between batches, the server once more before it publishes.
    fn stopped(&self) -> bool;
}

/// Discards events and never stops the run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn event(&mut self, _event: Event) {}

    fn stopped(&self) -> bool {
        false
    }
}
