//! The facts about a network that its weights do not contain.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::doubt::{Doubt, DoubtSpec};
use crate::labels::Labels;
use crate::preprocess::Preprocess;
use crate::scores::{ScoreKind, top_k};

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
    /// What the network's last numbers mean.
    #[serde(default, skip_serializing_if = "ScoreSpec::is_default")]
    pub scores: ScoreSpec,
    /// The training run that made the weights; `None` for an imported model without such a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingRecord>,
}

impl ModelSpec {
    /// The spec of a network whose scores are a softmax and whose training is not recorded.
    #[must_use]
    pub fn new(architecture: impl Into<String>, labels: Option<Labels>, preprocess: Preprocess) -> Self {
        let architecture = architecture.into();
        Self { architecture, labels, preprocess, scores: ScoreSpec::default(), training: None }
    }

    /// The spec of a new head on this network: its classes exclude each other, and nothing of the old head's record holds.
    #[must_use]
    pub fn with_head(&self, labels: Option<Labels>) -> Self {
        Self::new(self.architecture.clone(), labels, self.preprocess.clone())
    }
}

/// What a network's last numbers mean, and how that is known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ScoreSpec {
    /// How they become scores.
    pub kind: ScoreKind,
    /// Of a network whose classes stand beside each other: the score from which on each class counts as present, in their
    /// order. `None` for [`ScoreKind::THRESHOLD`] for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Vec<f32>>,
    /// When an answer is uncertain, of a network whose classes exclude each other; `None` where that was never measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<DoubtSpec>,
    /// The evidence of an imported file, as a sentence; `None` for a head that graft trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

impl ScoreSpec {
    /// Whether this is a softmax that needs no evidence.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The score from which on a class counts as present, unless the caller asks for another; `None` where classes exclude each
    /// other.
    ///
    /// ```
    /// use models::scores::ScoreKind;
    /// use models::spec::ScoreSpec;
    ///
    /// let scores = ScoreSpec { kind: ScoreKind::Sigmoid, thresholds: Some(vec![0.3, 0.6]), ..ScoreSpec::default() };
    /// assert_eq!([scores.threshold(1, None), scores.threshold(1, Some(0.9))], [Some(0.6), Some(0.9)]);
    /// assert_eq!(ScoreSpec::default().threshold(1, None), None);
    /// ```
    #[must_use]
    pub fn threshold(&self, class: usize, asked: Option<f32>) -> Option<f32> {
        let own = || self.thresholds.as_ref().and_then(|thresholds| thresholds.get(class)).copied();
        (self.kind == ScoreKind::Sigmoid).then(|| asked.or_else(own).unwrap_or(ScoreKind::THRESHOLD))
    }

    /// The one threshold of all classes; `None` where each has its own, and where classes exclude each other.
    #[must_use]
    pub fn common_threshold(&self, asked: Option<f32>) -> Option<f32> {
        if self.thresholds.is_some() { asked } else { self.threshold(0, asked) }
    }

    /// Whether the answer of these logits is uncertain, and why; `None` too for a network of which that is not known.
    #[must_use]
    pub fn doubt(&self, logits: &[f32]) -> Option<Doubt> {
        self.doubt.as_ref().filter(|_| self.kind == ScoreKind::Softmax)?.doubt(logits)
    }

    /// The classes to answer, best first: so many of the highest scores, and whatever else is present.
    #[must_use]
    pub fn answered(&self, scores: &[f32], most: usize, asked: Option<f32>) -> Vec<usize> {
        let present = |class: usize| self.threshold(class, asked).is_some_and(|threshold| scores[class] >= threshold);
        let ranked = top_k(scores, scores.len()).into_iter().enumerate();
        ranked.filter(|&(rank, class)| rank < most || present(class)).map(|(_, class)| class).collect()
    }
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
    /// The snapshot of a stored data set that the images are, such as `flowers@3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
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
