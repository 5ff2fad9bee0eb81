//! What is made small, and what classes count in it.

use serde::{Deserialize, Serialize};

use super::FitError;
use crate::data::LabelSets;
use crate::data::mixing::shares;
use crate::data::sampling::class_weights;
use crate::optim::binary::BinaryCrossEntropy;
use crate::optim::loss::{CrossEntropy, Loss, LossError};

/// What is made small: softmax cross-entropy, or, where an image may have several classes, the sum of the binary cross-entropies
/// of the classes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossOptions {
    /// The share of each target that is spread over all classes, or over both answers for a class by itself, 0 or more and below
    /// 1 (Szegedy et al. 2016, section 7).
    pub label_smoothing: f64,
    /// What each class counts, or nothing when all count alike.
    pub class_weights: Option<ClassWeights>,
}

/// What each class counts in a loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "`class_weights` is \"balanced\" or a list of a number for each class")]
pub enum ClassWeights {
    /// All alike, however many images each has: `n / (classes · n_c)` over the training images, which is scikit-learn's
    /// `class_weight="balanced"`; of a class by itself its images as much as the others.
    Balanced,
    /// These, in the order of the classes.
    #[serde(untagged)]
    Listed(Vec<f32>),
}

impl LossOptions {
    /// The loss on examples of these classes, or of these sets of classes.
    ///
    /// # Errors
    /// [`FitError::PerClass`] where there is not a weight for each of the `outputs` classes.
    pub(super) fn resolve<'a>(
        &self,
        classes: &[usize],
        outputs: usize,
        sets: Option<&'a LabelSets>,
    ) -> Result<Objective<'a>, FitError> {
        let class_weights = self.class_weights.as_ref();
        let class_weights = class_weights.map(|weights| weights.resolve(classes, outputs, sets)).transpose()?;
        let label_smoothing = self.label_smoothing;
        Ok(match sets {
            None => Objective::Exclusive(CrossEntropy { label_smoothing, class_weights }),
            Some(sets) => Objective::Independent(BinaryCrossEntropy { label_smoothing, class_weights }, sets),
        })
    }
}

impl ClassWeights {
    /// A number for each of so many classes, given the class of each example, or the number of its set.
    ///
    /// # Errors
    /// [`FitError::PerClass`] where they are listed and are not as many.
    pub(crate) fn resolve(
        &self,
        examples: &[usize],
        classes: usize,
        sets: Option<&LabelSets>,
    ) -> Result<Vec<f32>, FitError> {
        match (self, sets) {
            (Self::Balanced, None) => Ok(class_weights(examples, classes)),
            (Self::Balanced, Some(sets)) => {
                let weight =
                    |there: usize| if there == 0 { 1.0 } else { (examples.len() - there) as f32 / there as f32 };
                // A class that every image has is learned all the same.
                Ok(sets.counts(examples).into_iter().map(|there| weight(there).max(f32::MIN_POSITIVE)).collect())
            }
            (Self::Listed(weights), _) => {
                per_class("class_weights", weights.len(), classes)?;
                Ok(weights.clone())
            }
        }
    }
}

/// The loss of a run.
pub(super) enum Objective<'a> {
    /// Each example has one class.
    Exclusive(CrossEntropy),
    /// Each example has one of these sets of classes.
    Independent(BinaryCrossEntropy, &'a LabelSets),
}

impl Objective<'_> {
    /// Of examples with these classes, or numbers of sets.
    pub(super) fn of_classes(&self, logits: &[f32], examples: &[usize], classes: usize) -> Result<Loss, LossError> {
        match self {
            Self::Exclusive(loss) => loss.of_classes(logits, examples, classes),
            Self::Independent(loss, sets) => loss.of_targets(logits, &sets.targets(examples), classes),
        }
    }

    /// Of examples that are mixed, and so have shares of classes.
    pub(super) fn of_shares(&self, logits: &[f32], shares: &[f32], classes: usize) -> Result<Loss, LossError> {
        match self {
            Self::Exclusive(loss) => loss.of_shares(logits, shares, classes),
            Self::Independent(loss, _) => loss.of_targets(logits, shares, classes),
        }
    }

    /// The shares of the classes of examples that are not mixed yet.
    pub(super) fn shares(&self, examples: &[usize], classes: usize) -> Vec<f32> {
        match self {
            Self::Exclusive(_) => shares(examples, classes),
            Self::Independent(_, sets) => sets.targets(examples),
        }
    }
}

/// Whether there is a number for each class.
pub(super) fn per_class(option: &'static str, found: usize, classes: usize) -> Result<(), FitError> {
    if found == classes { Ok(()) } else { Err(FitError::PerClass { option, found, classes }) }
}
