//! How numbers are distributed.

/// Counts of numbers in ranges of the same width, as `tf.summary.histogram` takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// The least number.
    pub min: f64,
    /// The greatest number.
    pub max: f64,
    /// How many there are.
    pub count: f64,
    /// All of them added up.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
    /// The upper end of each range, rising; the first begins at `min`, the last ends at `max`.
    pub limits: Vec<f64>,
    /// How many numbers each range has. One that is an end is in the range behind it, the greatest in the last.
    pub counts: Vec<f64>,
}

/// TensorFlow's default.
const RANGES: usize = 30;

impl Histogram {
    /// Of these numbers, those left out that are infinite or none; `None` where nothing is left.
    #[must_use]
    pub fn of(numbers: &[f32]) -> Option<Self> {
        let finite = || numbers.iter().filter(|number| number.is_finite()).map(|&number| f64::from(number));
        let (min, max) = (finite().reduce(f64::min)?, finite().reduce(f64::max)?);
        // Where all are equal there is one range, without width.
        let ranges = if min == max { 1 } else { RANGES };
        let width = (max - min) / ranges as f64;
        let mut counts = vec![0.0; ranges];
        let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for number in finite() {
            let range = if width > 0.0 { ((number - min) / width) as usize } else { 0 };
            counts[range.min(ranges - 1)] += 1.0;
            count += 1.0;
            sum += number;
            squares += number * number;
        }
        let limit = |range: usize| if range == ranges { max } else { min + width * range as f64 };
        Some(Self { min, max, count, sum, squares, limits: (1..=ranges).map(limit).collect(), counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_one_range() {
        // Thirty ranges of a half from -1 on: what is a limit belongs to the range behind it, but for the greatest.
        let numbers = [-1.0, -0.75, -0.5, 0.0, 0.25, 14.0, 13.5, f32::NAN, f32::INFINITY];
        let found = Histogram::of(&numbers).unwrap();
        assert_eq!((found.min, found.max, found.count, found.sum), (-1.0, 14.0, 7.0, 25.5));
        assert_eq!(found.squares, 1.0 + 0.5625 + 0.25 + 0.0625 + 196.0 + 182.25);
        let limits: Vec<f64> = (1..=30).map(|range| f64::from(range) / 2.0 - 1.0).collect();
        assert_eq!(found.limits, limits);
        let filled = found.counts.iter().enumerate().filter(|(_, count)| **count > 0.0);
        assert_eq!(
            filled.map(|(range, count)| (range, *count)).collect::<Vec<_>>(),
            [(0, 2.0), (1, 1.0), (2, 2.0), (29, 2.0)]
        );
    }

    #[test]
    fn equal_numbers_are_in_one_range_and_none_have_no_histogram() {
        let equal = Histogram::of(&[0.5; 4]).unwrap();
        assert_eq!((equal.limits, equal.counts, equal.squares), (vec![0.5], vec![4.0], 1.0));
        assert_eq!(Histogram::of(&[]), None);
        assert_eq!(Histogram::of(&[f32::NAN]), None);
    }
}
