//! The loss of classes that stand beside each other.

use super::loss::{Loss, LossError, length};

/// Binary cross-entropy of each class by itself, `torch.nn.BCEWithLogitsLoss` summed over the classes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BinaryCrossEntropy {
    /// The share of each target that is spread over both of its values, 0..1: 0 and 1 become `s/2` and `1 - s/2`.
    pub label_smoothing: f64,
    /// What an image of each class counts against one that is not of it, PyTorch's `pos_weight`, or nothing for 1.
    pub class_weights: Option<Vec<f32>>,
}

impl BinaryCrossEntropy {
    /// For logits and targets from 0 to 1, both `[n, classes]`, row-major. The mean over the rows of the sum over the classes;
    /// NaN for no rows.
    ///
    /// # Errors
    /// [`LossError::Length`] when the lengths do not go together.
    pub fn of_targets(&self, logits: &[f32], targets: &[f32], classes: usize) -> Result<Loss, LossError> {
        length("targets", logits.len(), targets.len())?;
        let rows = logits.len() / classes.max(1);
        length("logits", rows * classes, logits.len())?;
        if let Some(weights) = &self.class_weights {
            length("class weights", classes, weights.len())?;
        }
        let weight = |class: usize| self.class_weights.as_ref().map_or(1.0, |weights| f64::from(weights[class]));
        let mut gradient = vec![0.0; logits.len()];
        let mut sum = 0.0;
        for (at, (gradient, (&logit, &target))) in gradient.iter_mut().zip(logits.iter().zip(targets)).enumerate() {
            let (logit, weight) = (f64::from(logit), weight(at % classes));
            let target = (1.0 - self.label_smoothing) * f64::from(target) + 0.5 * self.label_smoothing;
            // log(1 + exp(-x)) of either sign, where no exponential overflows.
            let tail = (-logit.abs()).exp().ln_1p();
            let (there, absent) = (tail + (-logit).max(0.0), tail + logit.max(0.0));
            sum += weight * target * there + (1.0 - target) * absent;
            let score = 1.0 / (1.0 + (-logit).exp());
            *gradient = ((weight * target * (score - 1.0) + (1.0 - target) * score) / rows as f64) as f32;
        }
        Ok(Loss { mean: sum / rows as f64, gradient, weight: rows as f64 })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        logits: Vec<f32>,
        targets: Vec<f32>,
        smoothing: f64,
        weights: Option<Vec<f32>>,
        loss: f64,
        gradient: Vec<f32>,
    }

    #[test]
    fn equals_scipy() {
        /// Written by `reference/multi_label.py`.
        const SCIPY: &str = include_str!("../../tests/data/binary_loss.json");
        let cases: Vec<Case> = serde_json::from_str(SCIPY).unwrap();
        assert_eq!(cases.len(), 5);
        for (number, case) in cases.iter().enumerate() {
            let loss = BinaryCrossEntropy { label_smoothing: case.smoothing, class_weights: case.weights.clone() };
            let found = loss.of_targets(&case.logits, &case.targets, 4).unwrap();
            // Both compute in f64.
            assert!((found.mean - case.loss).abs() <= 1e-9 * case.loss.max(1.0), "{number}: {found:?}, {}", case.loss);
            for (ours, theirs) in found.gradient.iter().zip(&case.gradient) {
                // The gradient is f32, and the reference's of differences.
                assert!((ours - theirs).abs() <= 2e-7, "{number}: {found:?}, {:?}", case.gradient);
            }
        }
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let loss = BinaryCrossEntropy { label_smoothing: 0.1, class_weights: Some(vec![0.5, 2.0, 1.0]) };
        let (logits, targets) = ([0.5_f32, -1.0, 2.0, 0.25, 0.0, -0.5], [1.0, 0.0, 1.0, 0.0, 1.0, 0.5]);
        let found = loss.of_targets(&logits, &targets, 3).unwrap();
        for (index, slope) in found.gradient.iter().enumerate() {
            let at = |step: f32| {
                let mut logits = logits;
                logits[index] += step;
                loss.of_targets(&logits, &targets, 3).unwrap().mean
            };
            // Central differences are exact to the square of the step; 2^-9 is exact in f32.
            let step = 1.0 / 512.0;
            let expected = (at(step) - at(-step)) / f64::from(2.0 * step);
            assert!((expected - f64::from(*slope)).abs() < 1e-6, "{index}: {slope}, {expected}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let targets = LossError::Length { what: "targets", expected: 6, found: 3 };
        assert_eq!(BinaryCrossEntropy::default().of_targets(&[0.0; 6], &[0.0; 3], 3), Err(targets));
        let weighted = BinaryCrossEntropy { class_weights: Some(vec![1.0; 2]), ..BinaryCrossEntropy::default() };
        let weights = LossError::Length { what: "class weights", expected: 3, found: 2 };
        assert_eq!(weighted.of_targets(&[0.0; 3], &[0.0; 3], 3), Err(weights));
    }
}
