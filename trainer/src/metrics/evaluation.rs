//! The result of a classifier on a set of images.

use models::scores::{ScoreKind, softmax, top_k};
use serde::{Deserialize, Serialize};

use super::interval::ConfidenceInterval;
use super::missing::{is_nan, nan, null_is_nan};
use super::reliability::{Reliability, ReliabilitySums};
use super::truths::Truths;

/// The result on a set of images. Shares are 0..1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Evaluation {
    /// How many images.
    pub images: usize,
    /// Share of images whose highest logit is their class's; where images have several classes, one of theirs.
    pub top1: f64,
    /// The 95 % confidence interval of `top1`; missing without images, and from reports of versions before 0.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub top1_interval: Option<ConfidenceInterval>,
    /// Share of images whose class, or one of whose classes, is among the five highest.
    pub top5: f64,
    /// Mean F1 of the classes that there are images of, each with the same weight; missing as `top1_interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub macro_f1: Option<f64>,
    /// F1 of all decisions together, for each image and class; only where images have several classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub micro_f1: Option<f64>,
    /// Mean average precision (mAP): of the classes that there are images of, the mean of the areas under their curves of
    /// precision over recall, which needs no thresholds; only where images have several classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub mean_average_precision: Option<f64>,
    /// Share of images whose classes are all found and no others; only where images have several classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub exact: Option<f64>,
    /// Mean cross-entropy, where images have several classes the sum of those of the classes; missing where logits were not
    /// finite.
    #[serde(default = "nan", skip_serializing_if = "is_nan", deserialize_with = "null_is_nan")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>, nullable = false))]
    pub loss: f64,
    /// Whether scores mean what they say; missing as `top1_interval`, and where logits were not finite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub reliability: Option<Reliability>,
    /// One entry a class.
    pub classes: Vec<ClassResult>,
    /// `confusion[truth][predicted]`: how many images. Empty where images have several classes.
    pub confusion: Vec<Vec<usize>>,
}

/// The result for one class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ClassResult {
    /// Images of the class.
    pub support: usize,
    /// Of the images predicted as this class, the share that is. Missing when none is predicted as it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub precision: Option<f64>,
    /// Of the images of this class, the share predicted as it. Missing when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub recall: Option<f64>,
    /// The 95 % confidence interval of `recall`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub recall_interval: Option<ConfidenceInterval>,
    /// The harmonic mean of precision and recall. Missing when there is no image of the class and none is predicted as it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub f1: Option<f64>,
    /// The area under the curve of precision over recall; only where images have several classes, and missing without an image
    /// of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub average_precision: Option<f64>,
    /// The score from which on an image counted as one of the class; only where images have several classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub threshold: Option<f32>,
}

impl Evaluation {
    /// From logits `[n, classes]`, row-major, and what the images show. Where they show several classes, each counts as said
    /// from its threshold on, a score: [`ScoreKind::THRESHOLD`] where none are given.
    #[must_use]
    pub fn of(logits: &[f32], truths: Truths<'_>, thresholds: Option<&[f32]>) -> Self {
        let Some(sets) = truths.sets else { return Self::new(logits, truths.numbers, truths.classes) };
        let default = vec![ScoreKind::THRESHOLD; truths.classes];
        Self::of_sets(logits, truths, sets, thresholds.unwrap_or(&default))
    }

    /// What classifiers are ranked by: the mean average precision, or the share of images that are right.
    #[must_use]
    pub fn rank(&self) -> f64 {
        self.mean_average_precision.unwrap_or(self.top1)
    }

    /// Whether images could have several classes.
    #[must_use]
    pub fn is_multi_label(&self) -> bool {
        self.exact.is_some() || self.mean_average_precision.is_some()
    }

    /// From logits `[n, classes]`, row-major, and the true class of each row.
    #[must_use]
    pub fn new(logits: &[f32], truths: &[usize], classes: usize) -> Self {
        let mut confusion = vec![vec![0; classes]; classes];
        let (mut in_top5, mut loss, mut reliability) = (0_usize, 0.0, ReliabilitySums::default());
        for (row, &truth) in logits.chunks(classes).zip(truths) {
            let (best, scores) = (top_k(row, 5), softmax(row, 1.0));
            confusion[truth][best[0]] += 1;
            in_top5 += usize::from(best.contains(&truth));
            loss -= f64::from(scores[truth]).max(f64::MIN_POSITIVE).ln();
            reliability.add(f64::from(scores[best[0]]), usize::from(best[0] == truth));
        }
        let images = truths.len();
        let hits: usize = (0..classes).map(|class| confusion[class][class]).sum();
        let results: Vec<ClassResult> = (0..classes).map(|class| ClassResult::of(&confusion, class)).collect();
        Self {
            images,
            top1: share(hits, images).unwrap_or_default(),
            top1_interval: ConfidenceInterval::wilson(hits, images),
            top5: share(in_top5, images).unwrap_or_default(),
            macro_f1: mean(results.iter().filter(|class| class.support > 0).filter_map(|class| class.f1)),
            micro_f1: None,
            mean_average_precision: None,
            exact: None,
            loss: loss / images.max(1) as f64,
            reliability: reliability.finish(),
            classes: results,
            confusion,
        }
    }
}

impl ClassResult {
    fn of(confusion: &[Vec<usize>], class: usize) -> Self {
        let support = confusion[class].iter().sum();
        let predicted: usize = confusion.iter().map(|row| row[class]).sum();
        let hits = confusion[class][class];
        Self {
            support,
            precision: share(hits, predicted),
            recall: share(hits, support),
            recall_interval: ConfidenceInterval::wilson(hits, support),
            f1: share(2 * hits, support + predicted),
            average_precision: None,
            threshold: None,
        }
    }
}

pub(super) fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

pub(super) fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let numbers: Vec<f64> = numbers.collect();
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

impl Evaluation {
    /// A warning, if the classifier is no better than one that always answers the most frequent class, or, where images have
    /// several classes, one that answers at random.
    #[must_use]
    pub fn poverty(&self) -> Option<String> {
        if self.is_multi_label() {
            return self.chance();
        }
        let most = self.classes.iter().map(|class| class.support).max().unwrap_or(0);
        let blind = most as f64 / self.images.max(1) as f64;
        (self.images > 0 && self.top1 <= blind).then(|| {
            format!(
                "the model is right on {:.1} % of the {} test images, and always answering the most frequent class is on \
                 {:.1} %; check the labels, add images, or try another base",
                100.0 * self.top1,
                self.images,
                100.0 * blind
            )
        })
    }
}

impl Evaluation {
    /// The mean average precision of random scores is the mean share of images that have a class.
    fn chance(&self) -> Option<String> {
        let shares = self.classes.iter().filter(|class| class.support > 0);
        let chance = mean(shares.map(|class| class.support as f64 / self.images.max(1) as f64))?;
        let found = self.mean_average_precision.filter(|found| *found <= chance)?;
        Some(format!(
            "the mean average precision is {:.1} %, and that of random scores is {:.1} %; check the labels, add images, or try \
             another base",
            100.0 * found,
            100.0 * chance
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_by_hand() {
        // Six images of three classes; predictions 0 0 | 1 2 | 2 0.
        let rows: [[f32; 3]; 6] = [[3., 1., 2.], [2., 1., 0.], [0., 5., 4.], [0., 4., 5.], [1., 0., 2.], [3., 2., 1.]];
        let result = Evaluation::new(rows.as_flattened(), &[0, 0, 1, 1, 2, 2], 3);
        assert_eq!(result.confusion, [[2, 0, 0], [0, 1, 1], [1, 0, 1]]);
        assert_eq!((result.top1, result.top5), (4.0 / 6.0, 1.0));
        let expected = [(2.0 / 3.0, 1.0), (1.0, 0.5), (0.5, 0.5)];
        for (class, (precision, recall)) in result.classes.iter().zip(expected) {
            assert_eq!((class.support, class.precision, class.recall), (2, Some(precision), Some(recall)));
        }
    }

    #[test]
    fn a_classifier_that_is_no_better_than_the_most_frequent_class_is_called_so() {
        // Three images of class 0 and one of class 1.
        let blind = Evaluation::new(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0], &[0, 0, 0, 1], 2);
        assert!(blind.poverty().unwrap().starts_with("the model is right on 75.0 % of the 4 test images"));
        let right = Evaluation::new(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0], &[0, 0, 0, 1], 2);
        assert_eq!(right.poverty(), None);
    }

    #[test]
    fn the_loss_of_equal_logits_is_the_logarithm_of_the_classes() {
        let result = Evaluation::new(&[0.0; 8], &[1, 3], 4);
        // The scores are f32.
        assert!((result.loss - 4.0_f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_class_that_is_never_predicted_has_no_precision() {
        let result = Evaluation::new(&[1.0, 0.0, 1.0, 0.0], &[0, 1], 2);
        assert_eq!((result.classes[1].precision, result.classes[1].recall), (None, Some(0.0)));
    }
}
