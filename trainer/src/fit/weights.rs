//! What classes count.

use serde::{Deserialize, Serialize};

use super::FitError;
use crate::data::sampling::class_weights;
use crate::optim::loss::CrossEntropy;

/// What is made small: softmax cross-entropy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossOptions {
    /// The share of each target that is spread over all classes, 0 or more and below 1 (Szegedy et al. 2016, section 7).
    pub label_smoothing: f64,
    /// What each class counts, or nothing when all count alike.
    pub class_weights: Option<ClassWeights>,
}

/// What each class counts in a loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`class_weights` is \"balanced\" or a list of a number for each class")]
pub enum ClassWeights {
    /// All alike, however many images each has: `n / (classes · n_c)` over the training images, which is scikit-learn's
    /// `class_weight="balanced"`.
    Balanced,
    /// These, in the order of the classes.
    #[serde(untagged)]
    Listed(Vec<f32>),
}

impl LossOptions {
    /// The loss on examples of these classes.
    ///
    /// # Errors
    /// [`FitError::PerClass`] where there is not a weight for each of the `outputs` classes.
    pub(super) fn resolve(&self, classes: &[usize], outputs: usize) -> Result<CrossEntropy, FitError> {
        let class_weights = match &self.class_weights {
            None => None,
            Some(ClassWeights::Balanced) => Some(class_weights(classes, outputs)),
            Some(ClassWeights::Listed(weights)) => {
                per_class("class_weights", weights.len(), outputs)?;
                Some(weights.clone())
            }
        };
        Ok(CrossEntropy { label_smoothing: self.label_smoothing, class_weights })
    }
}

/// Whether there is a number for each class.
pub(super) fn per_class(option: &'static str, found: usize, classes: usize) -> Result<(), FitError> {
    if found == classes { Ok(()) } else { Err(FitError::PerClass { option, found, classes }) }
}
