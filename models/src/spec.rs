//! What a file of weights does not say by itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::labels::Labels;
use crate::preprocess::Preprocess;

/// How to use a network: what it is, how its input is prepared, what its outputs mean, and where it came from.
/// Weights never travel without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// The name of the network, such as `resnet50`, or the producer of an imported file.
    pub architecture: String,
    /// The class names; `None` for a headless backbone, which yields features and can only be grafted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// From bytes to the network's input.
    pub preprocess: Preprocess,
    /// How the weights came about; `None` when the model was imported without such a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingRecord>,
}

/// How a model was trained, carried inside the exported file. No path and no host name is ever part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// The name of the model that was grafted upon.
    pub base: String,
    /// Checksum of the frozen weights ([`Params::checksum`](crate::Params::checksum)).
    pub base_sha256: String,
    /// Checksum over the images and their classes.
    pub dataset_sha256: String,
    /// What was trained: `head`, ….
    pub strategy: String,
    /// Decided the split and the order of the images.
    pub seed: u64,
    /// The options in force, by name.
    pub options: Value,
    /// What was measured on images that the training did not see, by name.
    pub metrics: Value,
    /// The program and its version.
    pub created_by: String,
}
