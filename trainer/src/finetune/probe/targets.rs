//! What logits should say, and how far they are from it.

use models::vectorized;

use super::exponential::exp;
use crate::data::LabelSets;

/// What the rows of a regression show.
#[derive(Clone, Copy)]
pub(super) struct Targets<'a> {
    /// The class of each row, or the number of its set.
    pub(super) numbers: &'a [usize],
    /// How many classes there are.
    pub(super) classes: usize,
    /// The sets, where classes stand beside each other.
    pub(super) sets: Option<&'a LabelSets>,
    /// What each class counts: of exclusive classes every row of it, of others an image that shows it against one that does not.
    pub(super) weights: Option<&'a [f32]>,
    /// The share of each target that is spread over all classes, or over both answers for a class by itself.
    pub(super) smoothing: f32,
}

/// The loss of a row of logits, as numbers for loops without branches.
pub(super) struct Losses {
    kind: LossKind,
    /// `[n, classes]`: the share of each class in each row, smoothed.
    targets: Vec<f32>,
    classes: usize,
    curvatures: Vec<f64>,
}

enum LossKind {
    /// Softmax cross-entropy, with what each row counts.
    Exclusive(Vec<f32>),
    /// Binary cross-entropy of each class, with what its images count.
    Independent(Option<Vec<f32>>),
}

/// The sum of the losses of all rows at a point of a line, with its derivatives along the line.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LineSums {
    pub(super) loss: f64,
    pub(super) slope: f64,
    pub(super) curvature: f64,
}

/// Logits on a line: `base + length · step`, each `[n, classes]`.
pub(super) struct Line<'a> {
    pub(super) base: &'a [f32],
    pub(super) step: &'a [f32],
    /// What is added to each row of them.
    pub(super) biases: [&'a [f32]; 2],
    pub(super) length: f32,
}

/// A row of targets, and how far a line goes for each of its logits.
#[derive(Clone, Copy)]
struct LineRow<'a> {
    targets: &'a [f32],
    steps: &'a [f32],
}

impl Targets<'_> {
    /// What the losses of these rows are computed from.
    pub(super) fn losses(&self) -> Losses {
        let Self { numbers, classes, sets, weights, smoothing } = *self;
        let (kind, mut targets, spread) = match sets {
            None => {
                let mut targets = vec![0.0; numbers.len() * classes];
                numbers.iter().enumerate().for_each(|(row, &class)| targets[row * classes + class] = 1.0);
                let weight = |&class: &usize| weights.map_or(1.0, |weights| weights[class]);
                let mut rows: Vec<f32> = numbers.iter().map(weight).collect();
                // Their mean is 1, so that a penalty means the same with weights and without.
                let mean = rows.iter().sum::<f32>() / rows.len().max(1) as f32;
                rows.iter_mut().filter(|_| mean > 0.0).for_each(|weight| *weight /= mean);
                (LossKind::Exclusive(rows), targets, smoothing / classes as f32)
            }
            Some(sets) => (LossKind::Independent(weights.map(<[f32]>::to_vec)), sets.targets(numbers), smoothing / 2.0),
        };
        targets.iter_mut().for_each(|target| *target = (1.0 - smoothing) * *target + spread);
        let curvatures = curvatures(&kind, &targets, classes);
        Losses { kind, targets, classes, curvatures }
    }
}

/// The least curvature of a class, relative to the mean: some classes have no image.
const LEAST: f64 = 0.1;

/// The mean second derivative of the loss by the logit of each class, for a head that knows of the classes how frequent they are,
/// and no more.
fn curvatures(kind: &LossKind, targets: &[f32], classes: usize) -> Vec<f64> {
    let n = (targets.len() / classes.max(1)).max(1) as f64;
    let mut shares = vec![0.0; classes];
    for (row, targets) in targets.chunks(classes.max(1)).enumerate() {
        let weight = if let LossKind::Exclusive(weights) = kind { f64::from(weights[row]) } else { 1.0 };
        shares.iter_mut().zip(targets).for_each(|(share, &target)| *share += weight * f64::from(target) / n);
    }
    let curvature = |(class, share): (usize, &f64)| match kind {
        // Logits of all classes rise and fall together without a change, so that the others share what is left.
        LossKind::Exclusive(_) => share * (1.0 - share) * classes as f64 / (classes as f64 - 1.0).max(1.0),
        LossKind::Independent(weights) => {
            let there = share * weights.as_ref().map_or(1.0, |weights| f64::from(weights[class]));
            there * (1.0 - share) / (there + 1.0 - share)
        }
    };
    let mut curvatures: Vec<f64> = shares.iter().enumerate().map(curvature).collect();
    // Where only one answer is there, none is curved.
    let least = (LEAST * curvatures.iter().sum::<f64>() / classes.max(1) as f64).max(1e-6);
    curvatures.iter_mut().for_each(|curvature| *curvature = curvature.max(least));
    curvatures
}

impl Losses {
    /// About the second derivative of the mean loss by a logit of each class.
    pub(super) fn curvatures(&self) -> &[f64] {
        &self.curvatures
    }

    /// The sums at a point of a line. `scores` becomes the scores of the logits there, `[n, classes]`.
    pub(super) fn along(&self, line: &Line<'_>, scores: &mut [f32]) -> LineSums {
        let mut sums = LineSums::default();
        let mut steps = vec![0.0; self.classes];
        let classes = self.classes;
        vectorized!({
            let rows = scores.chunks_mut(classes).zip(line.base.chunks(classes)).zip(line.step.chunks(classes));
            for (row, ((scores, base), step)) in rows.enumerate() {
                let targets = &self.targets[row * classes..][..classes];
                let [bias, bias_step] = line.biases;
                for class in 0..classes {
                    steps[class] = step[class] + bias_step[class];
                    scores[class] = base[class] + bias[class] + line.length * steps[class];
                }
                let line = LineRow { targets, steps: &steps };
                match &self.kind {
                    LossKind::Exclusive(weights) => softmax_row(&mut sums, f64::from(weights[row]), line, scores),
                    LossKind::Independent(weights) => sigmoid_row(&mut sums, weights.as_deref(), line, scores),
                }
            }
        });
        sums
    }

    /// The derivatives of the sum of the losses by the logits whose scores these are.
    pub(super) fn residuals(&self, scores: &[f32], factor: f32) -> Vec<f32> {
        let mut residuals = scores.to_vec();
        vectorized!({
            let rows = residuals.chunks_mut(self.classes).zip(self.targets.chunks(self.classes));
            for (row, (residuals, targets)) in rows.enumerate() {
                match &self.kind {
                    LossKind::Exclusive(weights) => {
                        let factor = factor * weights[row];
                        residuals
                            .iter_mut()
                            .zip(targets)
                            .for_each(|(score, target)| *score = (*score - target) * factor);
                    }
                    LossKind::Independent(None) => {
                        residuals
                            .iter_mut()
                            .zip(targets)
                            .for_each(|(score, target)| *score = (*score - target) * factor);
                    }
                    LossKind::Independent(Some(weights)) => {
                        for ((score, target), weight) in residuals.iter_mut().zip(targets).zip(weights) {
                            *score = (weight * target * (*score - 1.0) + (1.0 - target) * *score) * factor;
                        }
                    }
                }
            }
        });
        residuals
    }
}

/// Logits become the scores of exclusive classes.
#[inline(always)]
fn softmax_row(sums: &mut LineSums, weight: f64, row: LineRow<'_>, logits: &mut [f32]) {
    let LineRow { targets, steps } = row;
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut aim, mut aim_step) = (0.0_f32, 0.0_f32);
    for ((logit, target), step) in logits.iter_mut().zip(targets).zip(steps) {
        *logit -= largest;
        aim += target * *logit;
        aim_step += target * step;
    }
    logits.iter_mut().for_each(|logit| *logit = exp(*logit));
    let sum: f32 = logits.iter().sum();
    let (mut mean, mut square) = (0.0_f32, 0.0_f32);
    for (score, step) in logits.iter_mut().zip(steps) {
        *score /= sum;
        mean += *score * step;
        square += *score * step * step;
    }
    sums.loss += weight * (f64::from(sum).ln() - f64::from(aim));
    sums.slope += weight * (f64::from(mean) - f64::from(aim_step));
    sums.curvature += weight * (f64::from(square) - f64::from(mean) * f64::from(mean));
}

/// So many factors of at most 2 fit into an f32 as a product.
const FACTORS: usize = 64;

/// Logits become the scores of classes that stand beside each other.
#[inline(always)]
fn sigmoid_row(sums: &mut LineSums, weights: Option<&[f32]>, row: LineRow<'_>, logits: &mut [f32]) {
    let LineRow { targets, steps } = row;
    let (mut loss, mut slope, mut curvature, mut product) = (0.0_f64, 0.0_f32, 0.0_f32, 1.0_f32);
    for (class, logit) in logits.iter_mut().enumerate() {
        let (z, target, step) = (*logit, targets[class], steps[class]);
        let tail = exp(-z.abs());
        let score = if z < 0.0 { tail / (1.0 + tail) } else { 1.0 / (1.0 + tail) };
        // Weighted, the parts of the target and of the rest.
        let there = weights.map_or(1.0, |weights| weights[class]) * target;
        let rest = 1.0 - target;
        loss += f64::from(there * (-z).max(0.0) + rest * z.max(0.0));
        match weights {
            // The sum of logarithms is the logarithm of a product.
            None => product *= 1.0 + tail,
            Some(_) => loss += f64::from((there + rest) * tail.ln_1p()),
        }
        if class % FACTORS == FACTORS - 1 {
            loss += f64::from(product).ln();
            product = 1.0;
        }
        slope += (there * (score - 1.0) + rest * score) * step;
        curvature += (there + rest) * score * (1.0 - score) * step * step;
        *logit = score;
    }
    sums.loss += loss + f64::from(product).ln();
    sums.slope += f64::from(slope);
    sums.curvature += f64::from(curvature);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(numbers: &[usize], classes: usize, weights: Option<&[f32]>) -> Losses {
        Targets { numbers, classes, sets: None, weights, smoothing: 0.0 }.losses()
    }

    #[test]
    fn curvatures_are_those_of_a_head_that_knows_how_frequent_classes_are() {
        // Two classes: p(1 - p) of the difference of their logits, half of which each takes.
        assert_eq!(losses(&[0, 1], 2, None).curvatures(), [0.5, 0.5]);
        // 1/3 · 2/3 · 3/2
        let thirds = losses(&[0, 1, 2], 3, None);
        assert!(thirds.curvatures().iter().all(|curvature| (curvature - 1.0 / 3.0).abs() < 1e-6));
        // A class without an image counts as a tenth of the mean, (0.5 + 0.5 + 0) · 3/4 / 3.
        let missing = losses(&[0, 1], 3, None);
        let expected = [0.375, 0.375, 0.025];
        assert!(
            missing.curvatures().iter().zip(expected).all(|(curvature, expected)| (curvature - expected).abs() < 1e-9)
        );

        let (sets, numbers) = LabelSets::number(2, [vec![0, 1], vec![1], vec![1], vec![1]]);
        let weights = [3.0, 1.0];
        let targets =
            Targets { numbers: &numbers, classes: 2, sets: Some(&sets), weights: Some(&weights), smoothing: 0.0 };
        // Of one image in four that counts three times: 0.75 · 0.75 / 1.5. The other class is on all images.
        let expected = [0.375, 0.01875];
        let losses = targets.losses();
        assert!(
            losses.curvatures().iter().zip(expected).all(|(curvature, expected)| (curvature - expected).abs() < 1e-9)
        );
    }
}
