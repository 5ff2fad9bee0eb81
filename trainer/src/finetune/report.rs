//! What a fine-tuning run did, as data.

use onnx::EngineKind;
use serde::{Deserialize, Serialize};

use crate::events::Event;
use crate::finetune::{FinetuneOptions, FinetuneStrategy};
use crate::fit::metrics::Evaluation;

/// The report of a run; `report.json` beside the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinetuneReport {
    /// The base model's name.
    pub base: String,
    /// The class names.
    pub labels: Vec<String>,
    /// How many images were in each part.
    pub images: ImageCounts,
    /// The options in force.
    pub options: FinetuneOptions,
    /// The engine that computed the features.
    pub engine: EngineKind,
    /// What trained layers of the base, where any were.
    #[serde(default)]
    pub kernels: String,
    /// Wall-clock seconds of each phase.
    pub seconds: PhaseSeconds,
    /// What was trained; never `auto`.
    pub strategy: FinetuneStrategy,
    /// The epoch whose weights were kept, counted from one.
    pub best_epoch: usize,
    /// Every epoch.
    pub epochs: Vec<Event>,
    /// The result on the validation images, which chose the epoch.
    pub validation: Evaluation,
    /// The result on the test images, which chose nothing.
    pub test: Evaluation,
    /// The exported file against the trainer's logits.
    pub parity: Vec<Parity>,
}

/// How the images were divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageCounts {
    /// Trained on.
    pub train: usize,
    /// Chose the epoch.
    pub validation: usize,
    /// Measured the result.
    pub test: usize,
    /// Could not be read, and were left out.
    pub skipped: usize,
    /// Had their features from an earlier run.
    pub cached: usize,
}

/// Wall-clock seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct PhaseSeconds {
    /// Finding and checking the images.
    pub data: f64,
    /// Running the frozen part.
    pub features: f64,
    /// Training the head.
    pub training: f64,
    /// Writing the file.
    pub export: f64,
    /// Comparing it on every engine.
    pub parity: f64,
    /// All of them.
    pub total: f64,
}

/// The exported file on one engine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Parity {
    /// Which engine.
    pub engine: EngineKind,
    /// How many validation images were compared.
    pub images: usize,
    /// The largest difference of an image's logits, relative to its largest logit.
    pub difference: f64,
}
