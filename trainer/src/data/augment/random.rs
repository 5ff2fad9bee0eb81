//! Chance that can be repeated.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a random choice depends on, and all that it depends on: not on the thread, not on the images before it, not on
/// where a run was resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SampleKey {
    /// The run's seed.
    pub seed: u64,
    /// The epoch, from zero.
    pub epoch: u64,
    /// The image's position in the data set.
    pub sample: u64,
}

/// The random numbers of one key. They are made here from the generator's bits, because libraries change how they turn
/// bits into numbers.
pub(super) struct Random(ChaCha8Rng);

impl Random {
    pub(super) fn of(key: SampleKey) -> Self {
        let mut bytes = [0; 32];
        let numbers = [key.seed, key.epoch, key.sample, u64::from_le_bytes(*b"augments")];
        bytes.as_chunks_mut::<8>().0.iter_mut().zip(numbers).for_each(|(part, number)| *part = number.to_le_bytes());
        Self(ChaCha8Rng::from_seed(bytes))
    }

    /// A number in `low..high`; `low` if they are equal.
    pub(super) fn uniform(&mut self, [low, high]: [f64; 2]) -> f64 {
        // 53 bits, as many as a fraction has.
        let share = (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        low + (high - low) * share
    }

    /// A whole number in `0..end`; zero for an empty range. The bias of multiplying instead of drawing again is below
    /// 2^-32 for any count of pixels.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(end)) >> 32) as u32
    }

    /// Whether something of this probability happens.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.uniform([0.0, 1.0]) < probability
    }

    /// The numbers below four in a random order (Fisher and Yates).
    pub(super) fn order(&mut self) -> [usize; 4] {
        let mut order = [0, 1, 2, 3];
        for last in (1..4).rev() {
            order.swap(last, self.below(last as u32 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: SampleKey = SampleKey { seed: 1, epoch: 2, sample: 3 };

    #[test]
    fn equal_keys_draw_equal_numbers_and_each_field_counts() {
        let draw = |key| Random::of(key).uniform([0.0, 1.0]);
        assert_eq!(draw(KEY), draw(KEY));
        for other in [SampleKey { seed: 2, ..KEY }, SampleKey { epoch: 3, ..KEY }, SampleKey { sample: 4, ..KEY }] {
            assert_ne!(draw(KEY), draw(other));
        }
    }

    #[test]
    fn numbers_fill_their_range_evenly() {
        let mut random = Random::of(KEY);
        let mut counts = [0; 5];
        (0..5000).for_each(|_| counts[random.below(5) as usize] += 1);
        // Five standard deviations of a binomial with n = 5000, p = 1/5 are 141.
        assert!(counts.iter().all(|count| (859..=1141).contains(count)), "{counts:?}");
        let mean = (0..5000).map(|_| random.uniform([-1.0, 3.0])).sum::<f64>() / 5000.0;
        // Five standard errors of the mean of numbers spread over four: 5 * 4 / sqrt(12 * 5000) = 0.08.
        assert!((mean - 1.0).abs() < 0.08, "{mean}");
    }

    #[test]
    fn every_order_of_four_comes() {
        let mut random = Random::of(KEY);
        let orders: std::collections::HashSet<[usize; 4]> = (0..500).map(|_| random.order()).collect();
        assert_eq!(orders.len(), 24);
    }
}
