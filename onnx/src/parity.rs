//! The difference between two computations of the same network.

/// The largest difference of two rows of logits, relative to the largest logit of the reference. Infinite when either
/// holds a number that is not finite.
#[must_use]
pub fn relative_difference(reference: &[f32], other: &[f32]) -> f64 {
    let finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
    if reference.len() != other.len() || !finite(reference) || !finite(other) {
        return f64::INFINITY;
    }
    let largest = reference.iter().fold(0.0_f64, |largest, &number| largest.max(f64::from(number).abs()));
    let difference =
        reference.iter().zip(other).fold(0.0_f64, |largest, (&a, &b)| largest.max((f64::from(a) - f64::from(b)).abs()));
    if difference == 0.0 { 0.0 } else { difference / largest.max(f64::MIN_POSITIVE) }
}

/// The largest difference allowed between two engines, relative to the largest logit. They add the same numbers in
/// different orders, which makes 1e-6 to 1e-5 for the deepest networks here; a wrong operator makes far more than 1e-4.
pub const TOLERANCE: f64 = 1e-4;

/// The noise of a logit that is allowed at most: it changes a score by a quarter of a percentage point.
const MOST_NOISE: f64 = 1e-2;

/// The difference that one rounding of the largest feature makes in a logit, when the weights of the classifier multiply it;
/// 0.01 at most. On images that hardly differ, large weights tell small features apart, and the logits cancel to numbers
/// that are small beside their terms. `weights` has a row of `width` numbers for each class.
#[must_use]
pub fn propagated_noise(weights: &[f32], width: usize, features: &[f32]) -> f64 {
    let norm = |row: &[f32]| row.iter().map(|&weight| f64::from(weight).powi(2)).sum::<f64>().sqrt();
    let steepest = weights.chunks(width.max(1)).map(norm).fold(0.0, f64::max);
    let largest = features.iter().fold(0.0_f64, |largest, &feature| largest.max(f64::from(feature).abs()));
    (f64::from(f32::EPSILON) * steepest * largest).min(MOST_NOISE)
}

/// Whether two rows of logits agree, and how far they are apart relative to the largest: within [`TOLERANCE`], or within the
/// noise of their classifier.
#[must_use]
pub fn agree(reference: &[f32], other: &[f32], noise: f64) -> (bool, f64) {
    let difference = relative_difference(reference, other);
    let largest = reference.iter().fold(0.0_f64, |largest, &logit| largest.max(f64::from(logit).abs()));
    (difference <= TOLERANCE || (difference.is_finite() && difference * largest <= noise), difference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_relative_to_the_largest_logit() {
        assert!((relative_difference(&[10.0, -20.0], &[10.0, -20.5]) - 0.025).abs() < 1e-12);
        assert_eq!(relative_difference(&[0.0, 0.0], &[0.0, 0.0]), 0.0);
    }

    #[test]
    fn logits_small_beside_their_terms_may_differ_by_the_noise_of_the_terms() {
        // Weights of norm 5000 on features up to 10: a rounding of 2^-23 becomes 6.0e-3.
        let noise = propagated_noise(&[3000.0, 4000.0, 3.0, 4.0], 2, &[10.0, -1.0]);
        assert!((noise - 50_000.0 / 2.0_f64.powi(23)).abs() < 1e-12);
        assert!(agree(&[1.0, -1.0], &[1.0055, -1.0], noise).0);
        assert!(!agree(&[1.0, -1.0], &[1.0065, -1.0], noise).0);
        assert!(!agree(&[1.0, -1.0], &[1.0055, -1.0], 0.0).0);
        assert!(!agree(&[1.0, -1.0], &[f32::NAN, -1.0], f64::MAX).0);
        assert_eq!(propagated_noise(&[3000.0, 4000.0], 2, &[1e6]), 0.01);
    }

    #[test]
    fn numbers_that_are_not_finite_never_agree() {
        assert_eq!(relative_difference(&[f32::NAN], &[f32::NAN]), f64::INFINITY);
        assert_eq!(relative_difference(&[1.0], &[1.0, 1.0]), f64::INFINITY);
    }
}
