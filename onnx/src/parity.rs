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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_relative_to_the_largest_logit() {
        assert!((relative_difference(&[10.0, -20.0], &[10.0, -20.5]) - 0.025).abs() < 1e-12);
        assert_eq!(relative_difference(&[0.0, 0.0], &[0.0, 0.0]), 0.0);
    }

    #[test]
    fn numbers_that_are_not_finite_never_agree() {
        assert_eq!(relative_difference(&[f32::NAN], &[f32::NAN]), f64::INFINITY);
        assert_eq!(relative_difference(&[1.0], &[1.0, 1.0]), f64::INFINITY);
    }
}
