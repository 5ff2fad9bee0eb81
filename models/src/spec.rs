//! The facts about a network that its weights do not contain.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::labels::Labels;
use crate::preprocess::Preprocess;

/// A network's name, preprocessing, class names and origin. Weights never travel without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// The name of the network, such as `resnet50`, or the producer of an imported file.
    pub architecture: String,
    /// The class names in the order of the logits; `None` for a backbone without a head, whose output is features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// How an image file becomes the network's input.
    pub preprocess: Preprocess,
    /// The training run that made the weights; `None` for an imported model without such a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingRecord>,
}

/// A training run, stored inside the exported file. It never contains a path or a host name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// The name of the base model.
    pub base: String,
    /// Checksum of the frozen weights ([`Params::checksum`](crate::Params::checksum)).
    pub base_sha256: String,
    /// Checksum over the images and their classes.
    pub dataset_sha256: String,
    /// The fine-tuning strategy, such as `head`.
    pub strategy: String,
    /// The seed of the split and of the order of the images.
    pub seed: u64,
    /// The options of the run, by name.
    pub options: Value,
    /// Metrics on held-out images, by name.
    pub metrics: Value,
    /// The program that trained it and its version.
    pub created_by: String,
}
