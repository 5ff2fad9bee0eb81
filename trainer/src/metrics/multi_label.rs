//! The result of a classifier whose classes stand beside each other.

use models::scores::{ScoreKind, top_k};

use super::evaluation::{ClassResult, Evaluation, mean, share};
use super::interval::ConfidenceInterval;
use super::reliability::ReliabilitySums;
use super::truths::Truths;
use crate::data::LabelSets;

impl Evaluation {
    /// From logits `[n, classes]`, row-major: a class counts as present from its threshold on, which is a score.
    pub(super) fn of_sets(logits: &[f32], truths: Truths<'_>, sets: &LabelSets, thresholds: &[f32]) -> Self {
        let classes = truths.classes;
        let targets = sets.targets(truths.numbers);
        let (mut hits, mut in_top5, mut exact, mut loss) = (0_usize, 0_usize, 0_usize, 0.0);
        let (mut reliability, mut counts) = (ReliabilitySums::default(), vec![Counts::default(); classes]);
        for (image, (row, targets)) in logits.chunks(classes.max(1)).zip(targets.chunks(classes.max(1))).enumerate() {
            let (best, own, scores) = (top_k(row, 5), truths.of(image), ScoreKind::Sigmoid.scores(row));
            hits += usize::from(best.first().is_some_and(|class| own.contains(class)));
            in_top5 += usize::from(best.iter().any(|class| own.contains(class)));
            let mut right = true;
            for (class, (&score, &target)) in scores.iter().zip(targets).enumerate() {
                let (truth, predicted) = (target > 0.5, score >= thresholds[class]);
                counts[class].add(Verdict { truth, predicted });
                right &= truth == predicted;
                reliability.add(f64::from(score), usize::from(truth));
            }
            exact += usize::from(right);
            loss += joint_cross_entropy(row, targets);
        }
        let images = truths.numbers.len();
        let column = |class: usize| logits.iter().skip(class).step_by(classes.max(1)).copied();
        let result = |class: usize| {
            let truths = targets.iter().skip(class).step_by(classes.max(1)).map(|&target| target > 0.5);
            counts[class].result(average_precision(column(class).zip(truths)), thresholds[class])
        };
        let results: Vec<ClassResult> = (0..classes).map(result).collect();
        let sum = counts.iter().fold(Counts::default(), |sum, counts| sum.plus(counts));
        Self {
            images,
            top1: share(hits, images).unwrap_or_default(),
            top1_interval: ConfidenceInterval::wilson(hits, images),
            top5: share(in_top5, images).unwrap_or_default(),
            mean_average_precision: mean(results.iter().filter_map(|class| class.average_precision)),
            macro_f1: mean(results.iter().filter(|class| class.support > 0).filter_map(|class| class.f1)),
            micro_f1: sum.f1(),
            exact: share(exact, images),
            loss: loss / images.max(1) as f64,
            reliability: reliability.finish(),
            classes: results,
            confusion: vec![],
        }
    }
}

/// Whether an image has a class, and whether it is said to.
#[derive(Clone, Copy)]
struct Verdict {
    truth: bool,
    predicted: bool,
}

/// How often a class was there and was said to be.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    both: usize,
    there: usize,
    said: usize,
}

impl Counts {
    fn add(&mut self, verdict: Verdict) {
        self.both += usize::from(verdict.truth && verdict.predicted);
        self.there += usize::from(verdict.truth);
        self.said += usize::from(verdict.predicted);
    }

    fn plus(self, other: &Self) -> Self {
        Self { both: self.both + other.both, there: self.there + other.there, said: self.said + other.said }
    }

    fn f1(self) -> Option<f64> {
        share(2 * self.both, self.there + self.said)
    }

    fn result(self, average_precision: Option<f64>, threshold: f32) -> ClassResult {
        ClassResult {
            support: self.there,
            precision: share(self.both, self.said),
            recall: share(self.both, self.there),
            recall_interval: ConfidenceInterval::wilson(self.both, self.there),
            f1: self.f1(),
            average_precision,
            threshold: Some(threshold),
        }
    }
}

/// The sum of `-log` of the scores that logits give to what is true of each class; finite for finite logits.
pub(crate) fn joint_cross_entropy(logits: &[f32], targets: &[f32]) -> f64 {
    let of_class = |(&logit, &target): (&f32, &f32)| {
        let (logit, target) = (f64::from(logit), f64::from(target));
        logit.max(0.0) - logit * target + (-logit.abs()).exp().ln_1p()
    };
    logits.iter().zip(targets).map(of_class).sum()
}

/// The area under the curve of precision over recall, as scikit-learn's `average_precision_score`: the mean of the precision
/// at each image of the class, in the order of the scores. `None` without an image of the class.
fn average_precision(scores: impl Iterator<Item = (f32, bool)>) -> Option<f64> {
    let mut ranked: Vec<(f32, bool)> = scores.collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all = ranked.iter().filter(|(_, there)| *there).count();
    let (mut found, mut seen, mut sum) = (0_usize, 0_usize, 0.0);
    // Equal scores are one step: their order tells nothing.
    for equal in ranked.chunk_by(|a, b| a.0 == b.0) {
        let new = equal.iter().filter(|(_, there)| *there).count();
        (found, seen) = (found + new, seen + equal.len());
        sum += new as f64 * found as f64 / seen as f64;
    }
    (all > 0).then(|| sum / all as f64)
}

/// Of each class the score from which on it should count as present, so that F1 on these images is highest; half-way between
/// the scores on both sides, as logits. [`ScoreKind::THRESHOLD`] for a class that no image is of.
///
/// ```
/// use trainer::data::LabelSets;
/// use trainer::metrics::best_thresholds;
///
/// let (sets, numbers) = LabelSets::number(1, [vec![0], vec![0], vec![], vec![0], vec![]]);
/// // The four highest are best: three of them are right, and they are all that there are.
/// let thresholds = best_thresholds(&[2.0, 1.0, -0.5, -1.5, -2.0], &numbers, &sets);
/// assert!((thresholds[0] - 1.0 / (1.0 + 1.75_f32.exp())).abs() < 1e-6, "{thresholds:?}");
/// ```
#[must_use]
pub fn best_thresholds(logits: &[f32], images: &[usize], sets: &LabelSets) -> Vec<f32> {
    let classes = sets.classes();
    let best = |class: usize| {
        let column = logits.iter().skip(class).step_by(classes);
        let mut ranked: Vec<(f32, bool)> =
            column.zip(images).map(|(&logit, &set)| (logit, sets.has(set, class))).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let all = ranked.iter().filter(|(_, there)| *there).count();
        let (mut found, mut best) = (0, (0.0, None));
        for (rank, &(logit, there)) in (1..).zip(&ranked) {
            found += usize::from(there);
            let next = ranked.get(rank).map(|next| next.0);
            let f1 = 2.0 * found as f64 / (rank + all) as f64;
            if f1 > best.0 && next != Some(logit) {
                best = (f1, Some(next.map_or(logit - 1.0, |next| logit.midpoint(next))));
            }
        }
        best.1.map_or(ScoreKind::THRESHOLD, models::scores::sigmoid)
    };
    (0..classes).map(best).collect()
}
