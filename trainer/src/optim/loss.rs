//! What a network is trained to make small.

use thiserror::Error;

/// Softmax cross-entropy, `torch.nn.CrossEntropyLoss`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CrossEntropy {
    /// The share of each target that is spread over all classes, 0..1 (Szegedy et al. 2016, section 7).
    pub label_smoothing: f64,
    /// What each class counts, or nothing when all count alike.
    pub class_weights: Option<Vec<f32>>,
}

/// A loss, and how the logits change it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// The mean over the batch, in nats.
    pub mean: f64,
    /// Its derivative with respect to each logit, `[n, classes]`, row-major.
    pub gradient: Vec<f32>,
    /// What the sum over the batch was divided by to be the mean.
    pub weight: f64,
}

/// Why there is no loss.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LossError {
    /// Logits, targets and classes do not go together.
    #[error("{found} {what} where {expected} belong; logits and soft targets are [n, classes], classes are [n]")]
    Length {
        /// Logits, targets or weights.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A label that is no class.
    #[error("image {image} of the batch has class {class}, but there are {classes}, counted from 0")]
    Class {
        /// The image's place in the batch, from 0.
        image: usize,
        /// The number that is no class.
        class: usize,
        /// How many classes there are.
        classes: usize,
    },
}

impl CrossEntropy {
    /// For logits `[n, classes]`, row-major, and the class of each row.
    ///
    /// With class weights the mean is weighted: the sum is divided by the sum of the weights of the rows' classes. It
    /// is NaN for no rows, and for rows of classes without weight.
    ///
    /// # Errors
    /// [`LossError`] when the lengths do not go together, or a class is not one.
    pub fn of_classes(&self, logits: &[f32], labels: &[usize], classes: usize) -> Result<Loss, LossError> {
        length("logits", labels.len() * classes, logits.len())?;
        self.check_weights(classes)?;
        if let Some((image, &class)) = labels.iter().enumerate().find(|(_, class)| **class >= classes) {
            return Err(LossError::Class { image, class, classes });
        }
        let whole: f64 = labels.iter().map(|&class| self.weight(class)).sum();
        let spread = self.label_smoothing / classes as f64;
        let target = |image: usize, class: usize| {
            let hit = if class == labels[image] { (1.0 - self.label_smoothing) * self.weight(class) } else { 0.0 };
            hit + spread * self.weight(class)
        };
        Ok(loss(logits, classes, whole, target))
    }

    /// For logits and the share of each class in each row, `[n, classes]`, row-major, as
    /// [`mixup`](crate::data::mixing::mixup) makes them.
    ///
    /// Class weights multiply each class's part, and the sum is divided by the number of rows. It is NaN for no rows.
    ///
    /// # Errors
    /// [`LossError::Length`] when the lengths do not go together.
    pub fn of_shares(&self, logits: &[f32], shares: &[f32], classes: usize) -> Result<Loss, LossError> {
        length("soft targets", logits.len(), shares.len())?;
        self.check_weights(classes)?;
        let rows = logits.len() / classes.max(1);
        length("logits", rows * classes, logits.len())?;
        let spread = self.label_smoothing / classes as f64;
        let target = |image: usize, class: usize| {
            let share = f64::from(shares[image * classes + class]);
            ((1.0 - self.label_smoothing) * share + spread) * self.weight(class)
        };
        Ok(loss(logits, classes, rows as f64, target))
    }

    fn check_weights(&self, classes: usize) -> Result<(), LossError> {
        self.class_weights.as_ref().map_or(Ok(()), |weights| length("class weights", classes, weights.len()))
    }

    fn weight(&self, class: usize) -> f64 {
        self.class_weights.as_ref().map_or(1.0, |weights| f64::from(weights[class]))
    }
}

/// `-Σ target·log softmax(logits) / whole`. In f64, and relative to the largest logit of each row, so that no
/// exponential overflows and none of the logarithms is of zero.
fn loss(logits: &[f32], classes: usize, whole: f64, target: impl Fn(usize, usize) -> f64) -> Loss {
    let mut gradient = vec![0.0; logits.len()];
    let mut sum = 0.0;
    let rows = logits.chunks(classes.max(1)).zip(gradient.chunks_mut(classes.max(1)));
    for (image, (row, gradient)) in rows.enumerate() {
        let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let relative = |logit: f32| f64::from(logit) - f64::from(highest);
        let exponentials: f64 = row.iter().map(|&logit| relative(logit).exp()).sum();
        let normalizer = exponentials.ln();
        let targets: f64 = (0..classes).map(|class| target(image, class)).sum();
        for (class, (&logit, gradient)) in row.iter().zip(gradient).enumerate() {
            let (logarithm, target) = (relative(logit) - normalizer, target(image, class));
            // A class that is no target adds nothing, even where its logarithm is infinite.
            sum -= if target == 0.0 { 0.0 } else { target * logarithm };
            *gradient = ((logarithm.exp() * targets - target) / whole) as f32;
        }
    }
    Loss { mean: sum / whole, gradient, weight: whole }
}

pub(super) fn length(what: &'static str, expected: usize, found: usize) -> Result<(), LossError> {
    if found == expected { Ok(()) } else { Err(LossError::Length { what, expected, found }) }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        logits: Vec<f32>,
        classes: Option<Vec<usize>>,
        shares: Option<Vec<f32>>,
        smoothing: f64,
        weights: Option<Vec<f32>>,
        loss: f64,
        gradient: Vec<f32>,
    }

    #[test]
    fn equals_pytorch() {
        /// Written by `reference/loss.py`.
        const TORCH: &str = include_str!("../../tests/data/loss.json");
        let cases: Vec<Case> = serde_json::from_str(TORCH).unwrap();
        assert_eq!(cases.len(), 9);
        for (number, case) in cases.iter().enumerate() {
            let loss = CrossEntropy { label_smoothing: case.smoothing, class_weights: case.weights.clone() };
            let found = match (&case.classes, &case.shares) {
                (Some(classes), _) => loss.of_classes(&case.logits, classes, 4),
                (None, shares) => loss.of_shares(&case.logits, shares.as_ref().unwrap(), 4),
            };
            let found = found.unwrap();
            // PyTorch computes in f32, on losses up to 2000.
            assert!((found.mean - case.loss).abs() <= 1e-6 * case.loss.max(1.0), "{number}: {found:?}, {}", case.loss);
            for (ours, theirs) in found.gradient.iter().zip(&case.gradient) {
                assert!((ours - theirs).abs() <= 2e-7, "{number}: {found:?}, {:?}", case.gradient);
            }
        }
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let loss = CrossEntropy { label_smoothing: 0.1, class_weights: Some(vec![0.5, 2.0, 1.0]) };
        let (logits, classes) = ([0.5_f32, -1.0, 2.0, 0.25, 0.0, -0.5], [2, 0]);
        let found = loss.of_classes(&logits, &classes, 3).unwrap();
        for (index, slope) in found.gradient.iter().enumerate() {
            let at = |step: f32| {
                let mut logits = logits;
                logits[index] += step;
                loss.of_classes(&logits, &classes, 3).unwrap().mean
            };
            // Central differences are exact to the square of the step; 2^-9 is exact in f32.
            let step = 1.0 / 512.0;
            let expected = (at(step) - at(-step)) / f64::from(2.0 * step);
            assert!((expected - f64::from(*slope)).abs() < 1e-6, "{index}: {slope}, {expected}");
        }
    }

    #[test]
    fn classes_and_whole_shares_are_the_same_without_weights() {
        let loss = CrossEntropy { label_smoothing: 0.1, class_weights: None };
        let logits = [0.5_f32, -1.0, 2.0, 0.25, 0.0, -0.5];
        let hard = loss.of_classes(&logits, &[2, 0], 3).unwrap();
        assert_eq!(loss.of_shares(&logits, &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0], 3).unwrap(), hard);
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let plain = CrossEntropy::default();
        let class = LossError::Class { image: 1, class: 3, classes: 3 };
        assert_eq!(plain.of_classes(&[0.0; 6], &[0, 3], 3), Err(class));
        let logits = LossError::Length { what: "logits", expected: 6, found: 5 };
        assert_eq!(plain.of_classes(&[0.0; 5], &[0, 1], 3), Err(logits));
        let shares = LossError::Length { what: "soft targets", expected: 6, found: 3 };
        assert_eq!(plain.of_shares(&[0.0; 6], &[0.0; 3], 3), Err(shares));
        let weighted = CrossEntropy { class_weights: Some(vec![1.0; 2]), ..plain };
        let weights = LossError::Length { what: "class weights", expected: 3, found: 2 };
        assert_eq!(weighted.of_classes(&[0.0; 3], &[0], 3), Err(weights));
    }
}
