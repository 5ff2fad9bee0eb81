//! From logits to predictions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the last numbers of a network are, and so how they become scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreKind {
    /// Logits of classes that exclude each other. The scores are their softmax and sum to 1.
    #[default]
    Softmax,
    /// A logit for each class by itself (multi-label). The score of each class is its sigmoid.
    Sigmoid,
    /// Scores already. They are answered as they are.
    #[serde(rename = "none")]
    Identity,
}

impl ScoreKind {
    /// The score from which on a class of a multi-label network counts as present, unless the caller names another.
    pub const THRESHOLD: f32 = 0.5;

    /// The scores of one image, in the order of its logits.
    #[must_use]
    pub fn scores(self, logits: &[f32]) -> Vec<f32> {
        match self {
            Self::Softmax => softmax(logits, 1.0),
            Self::Sigmoid => logits.iter().map(|&logit| sigmoid(logit)).collect(),
            Self::Identity => logits.to_vec(),
        }
    }

    /// The logits of which a softmax makes these numbers' scores: for classes that exclude each other.
    #[must_use]
    pub fn logits(self, numbers: &[f32]) -> Vec<f32> {
        match self {
            Self::Softmax | Self::Sigmoid => numbers.to_vec(),
            // A score of nothing has a logit far below all others.
            Self::Identity => numbers.iter().map(|score| score.max(f32::MIN_POSITIVE).ln()).collect(),
        }
    }
}

impl fmt::Display for ScoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Softmax => "softmax",
            Self::Sigmoid => "sigmoid",
            Self::Identity => "none",
        })
    }
}

/// `1 / (1 + exp(-x))`.
#[must_use]
pub fn sigmoid(logit: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(logit)).exp())) as f32
}

/// `exp(x / temperature) / Σ exp(x / temperature)` over the classes, computed so that no finite logit overflows.
/// A temperature of 1 is the plain softmax; calibration chooses another (Guo et al. 2017).
#[must_use]
pub fn softmax(logits: &[f32], temperature: f32) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&x| (f64::from(x - largest) / f64::from(temperature)).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| (power / sum) as f32).collect()
}

/// The classes with the `k` highest scores, highest first; of equal scores the lower class.
#[must_use]
pub fn top_k(scores: &[f32], k: usize) -> Vec<usize> {
    let mut classes: Vec<usize> = (0..scores.len()).collect();
    classes.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    classes.truncate(k);
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_of_logarithms_is_their_share() {
        let logits = [1.0_f32, 2.0, 5.0].map(f32::ln);
        for (score, share) in softmax(&logits, 1.0).iter().zip([0.125, 0.25, 0.625]) {
            // ln and exp of f32 numbers: a few units in the last place.
            assert!((score - share).abs() < 1e-6);
        }
    }

    #[test]
    fn softmax_survives_huge_logits() {
        assert_eq!(softmax(&[1e30, -1e30, 0.0], 1.0), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn a_high_temperature_flattens() {
        let warm = softmax(&[0.0, 4.0], 4.0);
        assert!((warm[1] - 1.0 / (1.0 + (-1.0_f32).exp())).abs() < 1e-6);
    }

    #[test]
    fn each_score_of_a_multi_label_network_stands_alone() {
        // 1 / (1 + e^-ln(k)) = k / (k + 1).
        let scores = ScoreKind::Sigmoid.scores(&[0.0, 3.0_f32.ln(), -1000.0, 1000.0]);
        for (score, expected) in scores.iter().zip([0.5, 0.75, 0.0, 1.0]) {
            assert!((score - expected).abs() < 1e-6, "{scores:?}");
        }
        assert_eq!(ScoreKind::Identity.scores(&[0.2, 0.7]), [0.2, 0.7]);
    }

    #[test]
    fn scores_have_logits_whose_softmax_they_are() {
        let scores = [0.125_f32, 0.25, 0.625, 0.0];
        for (score, again) in scores.iter().zip(softmax(&ScoreKind::Identity.logits(&scores), 1.0)) {
            assert!((score - again).abs() < 1e-6, "{score} {again}");
        }
        assert_eq!(ScoreKind::Softmax.logits(&[2.0, -1.0]), [2.0, -1.0]);
    }

    #[test]
    fn ties_go_to_the_lower_class() {
        assert_eq!(top_k(&[0.2, 0.4, 0.4, 0.0], 3), [1, 2, 0]);
        assert_eq!(top_k(&[0.2], 5), [0]);
    }
}
