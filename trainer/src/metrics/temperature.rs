//! Temperature scaling (Guo et al. 2017): one divisor of all logits, after which scores mean what they say.

/// The divisors among which one is looked for.
const RANGE: std::ops::RangeInclusive<f64> = 1e-4..=1e4;
/// How closely, as a share of the divisor.
const PRECISION: f64 = 1e-6;
/// Steps, at most; Newton's method takes about six.
const STEPS: usize = 60;

/// The divisor of logits `[n, classes]` that makes their cross-entropy with the true classes least. It changes no order, and
/// so no top class. `None` without an image, for logits that are not finite, and where no image has different ones.
///
/// Of each target a share of `1 / (n + 2)` is spread over the other classes, as Platt (1999) does: where all of `n` images are
/// right, the next one may yet be wrong, and the least cross-entropy of hard targets would be at a divisor of zero.
#[must_use]
pub fn fit_temperature(logits: &[f32], truths: &[usize], classes: usize) -> Option<f64> {
    let tells = |row: &[f32]| row.iter().any(|logit| *logit != row[0]);
    if classes < 2 || logits.iter().any(|logit| !logit.is_finite()) || !logits.chunks(classes).any(tells) {
        return None;
    }
    let slack = 1.0 / (truths.len() as f64 + 2.0);
    let others = slack / (classes - 1) as f64;
    let target = |row: &[f32], truth: usize| {
        let all: f64 = row.iter().map(|&logit| f64::from(logit)).sum();
        (1.0 - slack - others) * f64::from(row[truth]) + others * all
    };
    let rows = || logits.chunks(classes).zip(truths);
    Some(divisor(|factor| {
        rows().fold((0.0, 0.0), |(slope, curvature), (row, &truth)| {
            let (mean, variance) = moments(row, factor);
            (slope + mean - target(row, truth), curvature + variance)
        })
    }))
}

/// The same for classes that stand beside each other: logits and targets `[n, classes]`, row-major, and the sum of the binary
/// cross-entropies of all classes. The targets of a class with `p` images of `n` are `(p + 1) / (p + 2)` and
/// `1 / (n - p + 2)`, which is Platt's for two classes.
#[must_use]
pub(crate) fn fit_joint_temperature(logits: &[f32], targets: &[f32], classes: usize) -> Option<f64> {
    if classes == 0 || logits.iter().any(|logit| !logit.is_finite()) || logits.iter().all(|logit| *logit == 0.0) {
        return None;
    }
    let images = targets.len() / classes;
    let ends = |class: usize| {
        let there = targets.iter().skip(class).step_by(classes).filter(|target| **target > 0.5).count();
        [1.0 / ((images - there) as f64 + 2.0), (there as f64 + 1.0) / (there as f64 + 2.0)]
    };
    let ends: Vec<[f64; 2]> = (0..classes).map(ends).collect();
    Some(divisor(|factor| {
        let numbers = logits.iter().zip(targets).zip(ends.iter().cycle());
        numbers.fold((0.0, 0.0), |(slope, curvature), ((&logit, &target), ends)| {
            let logit = f64::from(logit);
            let score = 1.0 / (1.0 + (-factor * logit).exp());
            let target = ends[usize::from(target > 0.5)];
            (slope + (score - target) * logit, curvature + score * (1.0 - score) * logit * logit)
        })
    }))
}

/// The inverse of the factor where a convex loss is least, given its slope and curvature at a factor.
fn divisor(at: impl Fn(f64) -> (f64, f64)) -> f64 {
    // The slope rises through zero between these ends.
    let (mut low, mut high) = (1.0 / RANGE.end(), 1.0 / RANGE.start());
    let mut factor = 1.0;
    for _ in 0..STEPS {
        let (slope, curvature) = at(factor);
        if slope > 0.0 {
            high = factor
        } else {
            low = factor
        }
        let newton = factor - slope / curvature;
        let next = if newton > low && newton < high { newton } else { (low * high).sqrt() };
        let change = (next - factor).abs();
        factor = next;
        if change <= PRECISION * factor {
            break;
        }
    }
    1.0 / factor
}

/// Mean and variance of logits by the scores that they have when multiplied by a factor.
fn moments(row: &[f32], factor: f64) -> (f64, f64) {
    let largest = row.iter().fold(f64::NEG_INFINITY, |largest, &logit| largest.max(f64::from(logit)));
    let (mut sum, mut mean, mut square) = (0.0, 0.0, 0.0);
    for &logit in row {
        let below = f64::from(logit) - largest;
        let share = (factor * below).exp();
        sum += share;
        mean += share * below;
        square += share * below * below;
    }
    let (mean, square) = (mean / sum, square / sum);
    (mean + largest, square - mean * mean)
}
