//! Whether scores mean what they say: of the answers with a score of 80 %, 80 % should be right.

use serde::{Deserialize, Serialize};

/// How many bins there are.
const BINS: usize = 15;

/// The scores of a classifier against how often it is right. Where images have several classes, the score of each class of each
/// image counts as an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reliability {
    /// The expected calibration error (Guo et al. 2017), a share: the mean difference of highest score and accuracy, over 15
    /// bins of equal width, each with the weight of its images.
    #[cfg_attr(feature = "openapi", schema(example = 0.018))]
    pub ece: f64,
    /// The bins, from low scores to high: bin `i` of `n` has the images whose highest score is above `i/n` and at most
    /// `(i+1)/n`.
    pub bins: Vec<ReliabilityBin>,
}

/// Images whose highest scores are about the same.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReliabilityBin {
    /// How many images.
    pub images: usize,
    /// Their mean highest score; 0 of none.
    pub score: f64,
    /// The share of them whose class has the highest score; 0 of none.
    pub accuracy: f64,
}

/// Collects answers.
#[derive(Debug, Default)]
pub(super) struct ReliabilitySums([(usize, f64, usize); BINS]);

impl ReliabilitySums {
    /// An answer: its highest score, and 1 if it is right.
    pub(super) fn add(&mut self, score: f64, correct: usize) {
        // A score that is no number counts for the lowest bin.
        let bin = ((score * BINS as f64).ceil() as usize).saturating_sub(1).min(BINS - 1);
        let (images, scores, right) = &mut self.0[bin];
        (*images, *scores, *right) = (*images + 1, *scores + score, *right + correct);
    }

    /// `None` where there was no answer, or one that was no number.
    pub(super) fn finish(self) -> Option<Reliability> {
        let all: usize = self.0.iter().map(|(images, ..)| images).sum();
        let bin = |&(images, scores, correct): &(usize, f64, usize)| {
            let n = images.max(1) as f64;
            ReliabilityBin { images, score: scores / n, accuracy: correct as f64 / n }
        };
        let bins: Vec<ReliabilityBin> = self.0.iter().map(bin).collect();
        let gap = |bin: &ReliabilityBin| bin.images as f64 * (bin.score - bin.accuracy).abs();
        let ece = bins.iter().map(gap).sum::<f64>() / all as f64;
        ece.is_finite().then_some(Reliability { ece, bins })
    }
}
