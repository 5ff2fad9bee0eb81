//! What another network answers to the examples, to be learned beside their classes.

use sha2::{Digest, Sha256};

/// A target for each example that is part its class and part what a teacher answers (Hinton, Vinyals and Dean 2015,
/// "Distilling the knowledge in a neural network", section 2, at a temperature of 1 for the network that learns).
#[derive(Debug, Clone, PartialEq)]
pub struct SoftTargets {
    /// The teacher's probabilities `[n, classes]`, row-major.
    probabilities: Vec<f32>,
    classes: usize,
    /// The share of a target that is the teacher's, 0..1.
    share: f32,
}

impl SoftTargets {
    /// Targets from a teacher's logits `[n, classes]`, row-major, divided by a temperature, of which this share, 0..1, is
    /// the teacher's.
    #[must_use]
    pub fn of_logits(logits: &[f32], classes: usize, options: TeacherAnswers) -> Self {
        let mut probabilities = Vec::with_capacity(logits.len());
        for row in logits.chunks(classes.max(1)) {
            let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exponentials = row.iter().map(|logit| ((logit - highest) / options.temperature).exp());
            let sum: f32 = exponentials.clone().sum();
            probabilities.extend(exponentials.map(|exponential| exponential / sum));
        }
        Self { probabilities, classes, share: options.share }
    }

    /// How many examples have one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.probabilities.len() / self.classes.max(1)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.probabilities.is_empty()
    }

    /// Gives the teacher its share of the targets `[n, classes]` of these examples.
    pub(super) fn blend(&self, examples: &[usize], targets: &mut [f32]) {
        for (&example, target) in examples.iter().zip(targets.chunks_mut(self.classes)) {
            let row = &self.probabilities[example * self.classes..][..self.classes];
            for (target, probability) in target.iter_mut().zip(row) {
                *target = (1.0 - self.share) * *target + self.share * probability;
            }
        }
    }

    /// For the identity of a run.
    pub(super) fn checksum(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(self.share.to_le_bytes());
        self.probabilities.iter().for_each(|number| digest.update(number.to_le_bytes()));
        hex::encode(digest.finalize())
    }
}

/// How a teacher's logits become targets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TeacherAnswers {
    /// The share of a target that is the teacher's, 0..1.
    pub share: f32,
    /// What its logits are divided by: above 1, the classes that it thinks unlikely count more.
    pub temperature: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_part_class_and_part_answer() {
        // Odds of 1 to 3: ln 3 at a temperature of 1, and 2 ln 3 at one of 2.
        for temperature in [1.0, 2.0] {
            let logits = [0.0, temperature * 3_f32.ln(), 0.0, 0.0];
            let targets = SoftTargets::of_logits(&logits, 2, TeacherAnswers { share: 0.5, temperature });
            assert_eq!(targets.len(), 2);
            let mut shares = [1.0, 0.0, 0.0, 1.0];
            targets.blend(&[1, 0], &mut shares);
            let expected = [0.75, 0.25, 0.125, 0.875];
            // One rounding in each of exp, the quotient and the sum.
            assert!(shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{shares:?}");
        }
    }
}
