//! Answers that a model is not sure of.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::scores::{softmax, top_k};

/// When a network whose classes exclude each other is not sure: found at its training, on images that it was not trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoubtSpec {
    /// The share of sure answers that was to be right, 0 to 1.
    pub precision: f32,
    /// The score from which on so many answers of a class were right, by class; 1 where there is none.
    pub thresholds: Vec<f32>,
    /// The least [`familiarity`] of an image that is like those of the training.
    pub familiarity: f32,
}

/// Why an answer is uncertain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The image is far from every class: nothing speaks for any of them.
    Unfamiliar,
    /// The best class has a score at which answers are not right often enough.
    LowScore,
}

impl DoubtSpec {
    /// Whether the answer of these logits is uncertain, and why.
    ///
    /// ```
    /// use models::doubt::{Doubt, DoubtSpec};
    ///
    /// let spec = DoubtSpec { precision: 0.99, thresholds: vec![0.6, 0.9], familiarity: 1.0 };
    /// assert_eq!(spec.doubt(&[3.0, 1.0]), None);
    /// // A score of 0.88, which suffices for the first class, but not for this one.
    /// assert_eq!(spec.doubt(&[1.0, 3.0]), Some(Doubt::LowScore));
    /// assert_eq!(spec.doubt(&[-3.0, -9.0]), Some(Doubt::Unfamiliar));
    /// ```
    #[must_use]
    pub fn doubt(&self, logits: &[f32]) -> Option<Doubt> {
        let class = *top_k(logits, 1).first()?;
        // What is not a number is not familiar.
        let is_familiar = familiarity(logits) >= self.familiarity;
        if !is_familiar {
            return Some(Doubt::Unfamiliar);
        }
        let threshold = self.thresholds.get(class).copied().unwrap_or(1.0);
        // Scores round to 1, but no score is enough where there is no threshold.
        let is_high = threshold < 1.0 && softmax(logits, 1.0)[class] >= threshold;
        (!is_high).then_some(Doubt::LowScore)
    }
}

impl Doubt {
    /// The reason as programs read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unfamiliar => "unfamiliar",
            Self::LowScore => "low_score",
        }
    }
}

/// `ln Σ exp(logit)`, the negative energy of Liu et al. 2020: how much the features of an image speak for classes at all, whichever
/// they are. A softmax hides that, since its scores add up to 1 for every image. Networks that graft fine-tuned also lower all logits of
/// an image by the distance of its features from those of the training, which changes this and no score.
#[must_use]
pub fn familiarity(logits: &[f32]) -> f32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
    largest + sum.ln() as f32
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unfamiliar => "unlike the training images",
            Self::LowScore => "low score",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn familiarity_is_the_logarithm_of_the_sum_of_the_powers() {
        // ln(2 + 6)
        assert!((familiarity(&[2.0_f32.ln(), 6.0_f32.ln()]) - 8.0_f32.ln()).abs() < 1e-6);
        assert_eq!(familiarity(&[1e30, -1e30]), 1e30);
    }

    #[test]
    fn logits_that_are_no_numbers_and_classes_without_a_threshold_are_in_doubt() {
        let spec = DoubtSpec { precision: 0.9, thresholds: vec![0.5], familiarity: -100.0 };
        assert_eq!(spec.doubt(&[f32::NAN, 1.0]), Some(Doubt::Unfamiliar));
        assert_eq!(spec.doubt(&[2.0, -1.0]), None);
        assert_eq!(spec.doubt(&[-1.0, 2.0]), Some(Doubt::LowScore));
        // A score that rounds to 1.
        assert_eq!(spec.doubt(&[0.0, 1e3]), Some(Doubt::LowScore));
        assert_eq!(spec.doubt(&[]), None);
    }
}
