//! When a model should say that it does not know, for reports.

use std::fmt;

use models::doubt::{Doubt, DoubtSpec, familiarity};
use models::scores::{softmax, top_k};
use serde::{Deserialize, Serialize};

/// The fewest answers for a class that choose a threshold for it; with fewer it has that of all answers together.
const FEWEST: usize = 20;
/// The share of images like those of the training that may count as unlike them, and how many standard deviations below the mean the
/// others begin if they are distributed normally.
const UNFAMILIAR: f64 = 0.01;
const DEVIATIONS: f64 = 2.326;

/// How sure a model is of its answers, and how right it is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Certainty {
    /// The share of sure answers that is to be right, 0 to 1.
    #[cfg_attr(feature = "openapi", schema(example = 0.99))]
    pub target_precision: f64,
    /// The threshold of the class whose answers are uncertain below the lowest score, 0 to 1.
    #[cfg_attr(feature = "openapi", schema(example = 0.41))]
    pub lowest_threshold: f32,
    /// That of the class which needs the highest score, 1 if none suffices.
    #[cfg_attr(feature = "openapi", schema(example = 0.93))]
    pub highest_threshold: f32,
    /// The test images, which chose no threshold.
    #[cfg_attr(feature = "openapi", schema(example = 340))]
    pub images: usize,
    /// How many of them have an answer that is sure.
    #[cfg_attr(feature = "openapi", schema(example = 301))]
    pub sure: usize,
    /// How many of the sure answers are right.
    #[cfg_attr(feature = "openapi", schema(example = 300))]
    pub right: usize,
    /// How many images count as unlike those of the training.
    #[cfg_attr(feature = "openapi", schema(example = 4))]
    pub unfamiliar: usize,
}

/// Answers with the classes that the images show.
#[derive(Clone, Copy)]
pub(super) struct LabeledAnswers<'a> {
    /// `[n, classes]`, calibrated.
    pub(super) logits: &'a [f32],
    /// The class of each image.
    pub(super) classes: &'a [usize],
}

/// An answer: its class, its score, and whether it is right.
struct Answer {
    class: usize,
    score: f32,
    is_right: bool,
}

impl<'a> LabeledAnswers<'a> {
    /// The logits of each image with its class.
    fn rows(self) -> impl Iterator<Item = (&'a [f32], usize)> {
        let width = (self.logits.len() / self.classes.len().max(1)).max(1);
        self.logits.chunks(width).zip(self.classes.iter().copied())
    }

    /// For each class the lowest score from which on this share of its answers is right, and what is unlike all of these images.
    pub(super) fn doubt(self, precision: f64) -> DoubtSpec {
        let answer = |(logits, truth): (&[f32], usize)| {
            let class = top_k(logits, 1).first().copied().unwrap_or_default();
            Answer { class, score: softmax(logits, 1.0)[class], is_right: class == truth }
        };
        let mut answers: Vec<Answer> = self.rows().map(answer).collect();
        answers.sort_by(|a, b| b.score.total_cmp(&a.score));
        let all = lowest(answers.iter(), precision);
        let threshold = |class: usize| {
            let own = || answers.iter().filter(|answer| answer.class == class);
            if own().count() < FEWEST { all } else { lowest(own(), precision) }
        };
        let classes = self.logits.len() / self.classes.len().max(1);
        DoubtSpec {
            precision: precision as f32,
            thresholds: (0..classes).map(threshold).collect(),
            familiarity: least(self.rows().map(|(logits, _)| familiarity(logits)).collect()),
        }
    }

    /// What comes of these images.
    pub(super) fn certainty(self, spec: &DoubtSpec) -> Certainty {
        let [lowest_threshold, highest_threshold] =
            [f32::min, f32::max].map(|of| spec.thresholds.iter().copied().reduce(of).unwrap_or_default());
        let mut certainty = Certainty {
            target_precision: f64::from((spec.precision * 1e6).round()) / 1e6,
            lowest_threshold,
            highest_threshold,
            images: self.classes.len(),
            sure: 0,
            right: 0,
            unfamiliar: 0,
        };
        for (logits, truth) in self.rows() {
            match spec.doubt(logits) {
                Some(Doubt::Unfamiliar) => certainty.unfamiliar += 1,
                Some(Doubt::LowScore) => {}
                None => {
                    certainty.sure += 1;
                    certainty.right += usize::from(top_k(logits, 1).first() == Some(&truth));
                }
            }
        }
        certainty
    }
}

/// The lowest score, of answers from the highest score on, down to which this share is right; 1, which no score exceeds, if there is
/// none.
fn lowest<'a>(answers: impl Iterator<Item = &'a Answer>, precision: f64) -> f32 {
    let (mut right, mut threshold) = (0, 1.0);
    for (before, answer) in answers.enumerate() {
        right += usize::from(answer.is_right);
        // A mistake is no place to begin at.
        if answer.is_right && right as f64 >= precision * (before + 1) as f64 {
            threshold = answer.score;
        }
    }
    threshold
}

/// The number that one in a hundred is below. Fewer than a hundred do not show it, and have a tail as a normal distribution has one.
fn least(mut numbers: Vec<f32>) -> f32 {
    numbers.sort_by(f32::total_cmp);
    let below = (numbers.len() as f64 * UNFAMILIAR) as usize;
    let Some(&least) = numbers.get(below) else { return f32::MIN };
    if below > 0 {
        return least;
    }
    let [mean, deviation] = mean_and_deviation(&numbers);
    least.min((mean - DEVIATIONS * deviation) as f32)
}

/// The mean of numbers, and their standard deviation.
pub(super) fn mean_and_deviation(numbers: &[f32]) -> [f64; 2] {
    let n = numbers.len() as f64;
    let mean = numbers.iter().copied().map(f64::from).sum::<f64>() / n;
    let variance = numbers.iter().map(|&number| (f64::from(number) - mean).powi(2)).sum::<f64>() / n;
    [mean, variance.sqrt()]
}

impl fmt::Display for Certainty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target_precision, lowest_threshold, highest_threshold, images, sure, right, .. } = *self;
        let precision = 100.0 * target_precision;
        write!(
            f,
            "answers count as uncertain below scores of {lowest_threshold:.2} to {highest_threshold:.2}, so that {precision} % of the \
             others are right, and for images unlike those of the training"
        )?;
        if sure > 0 {
            let share = 100.0 * right as f64 / sure as f64;
            write!(f, ": {sure} of {images} test images have a sure answer, {share:.1} % of them the right one")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The logits of two classes that give the first one this score.
    fn logits(score: f32) -> [f32; 2] {
        [(score / (1.0 - score)).ln(), 0.0]
    }

    #[test]
    fn a_threshold_is_the_lowest_score_down_to_which_enough_answers_are_right() {
        // All say class 0: right, right, wrong, right, right, wrong.
        let scores = [0.95, 0.9, 0.85, 0.8, 0.75, 0.7];
        let numbers: Vec<f32> = scores.into_iter().flat_map(logits).collect();
        let answers = LabeledAnswers { logits: &numbers, classes: &[0, 0, 1, 0, 0, 1] };
        // By counting: 2 of 2 down to 0.9, 3 of 4 to 0.8, 4 of 5 to 0.75.
        for (precision, expected) in [(1.0, 0.9), (0.8, 0.75), (0.75, 0.75), (0.5, 0.75)] {
            let spec = answers.doubt(precision);
            // Too few for a class, so that both have the threshold of all; a softmax of f32 is good for 1e-6.
            assert!(spec.thresholds.iter().all(|threshold| (threshold - expected).abs() < 1e-6), "{spec:?}");
        }
        let wrong = LabeledAnswers { logits: &numbers, classes: &[1; 6] };
        assert_eq!(wrong.doubt(0.5).thresholds, [1.0, 1.0]);
    }

    #[test]
    fn a_class_with_enough_answers_has_its_own_threshold() {
        // Twenty for the first class, all right, and twenty for the second, of which the less sure half is wrong.
        let first = (0..20).flat_map(|at| logits(0.6 + 0.01 * at as f32));
        let second = (0..20).flat_map(|at| {
            let [a, b] = logits(0.6 + 0.01 * at as f32);
            [b, a]
        });
        let numbers: Vec<f32> = first.chain(second).collect();
        let classes: Vec<usize> = (0..40).map(|at| usize::from(at >= 30)).collect();
        let answers = LabeledAnswers { logits: &numbers, classes: &classes };
        let spec = answers.doubt(1.0);
        assert!((spec.thresholds[0] - 0.6).abs() < 1e-6 && (spec.thresholds[1] - 0.7).abs() < 1e-6, "{spec:?}");
        let Certainty { images, sure, right, unfamiliar, .. } = answers.certainty(&spec);
        assert_eq!((images, sure, right, unfamiliar), (40, 30, 30, 0));
    }

    #[test]
    fn one_image_in_a_hundred_may_seem_unfamiliar() {
        let numbers: Vec<f32> = (0..200).flat_map(|at| [at as f32, at as f32 - 50.0]).collect();
        let answers = LabeledAnswers { logits: &numbers, classes: &[0; 200] };
        let spec = answers.doubt(0.99);
        // The larger logit is all of a sum whose other power is e^-50 of it.
        assert_eq!(spec.familiarity, 2.0);
        assert_eq!(answers.certainty(&spec).unfamiliar, 2);
        // Of few: a mean of 9.5, and a standard deviation of √(399 / 12), of 0 to 19.
        let few = LabeledAnswers { logits: &numbers[..40], classes: &[0; 20] }.doubt(0.99).familiarity;
        assert!((few - (9.5 - 2.326 * 33.25_f32.sqrt())).abs() < 1e-4, "{few}");
    }
}
