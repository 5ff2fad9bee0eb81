//! Which images an epoch sees, and in which order.
//!
//! Everything is a pure function of a seed and an epoch, so a resumed run sees what it would have seen.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::distr::weighted::WeightedIndex;
use rand::distr::{Distribution, Uniform};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// What to do with the images that do not fill a batch at the end of an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LastBatch {
    /// A smaller batch.
    #[default]
    Keep,
    /// None: every batch is full, as batch normalisation likes it. An epoch smaller than a batch has none at all.
    Drop,
}

/// The numbers `0..n` in an order of their own for each epoch.
#[must_use]
pub fn shuffled(seed: u64, epoch: u64, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut generator(seed, epoch));
    order
}

/// As many images as there are, drawn with replacement so that every class that occurs is as probable as any other:
/// within a class all images are alike, and a small class's come more than once.
///
/// `classes` is the class of each image; the answer is positions in it.
#[must_use]
pub fn balanced(seed: u64, epoch: u64, classes: &[usize]) -> Vec<usize> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (image, &class) in classes.iter().enumerate() {
        members.entry(class).or_default().push(image);
    }
    let members: Vec<Vec<usize>> = members.into_values().collect();
    let mut generator = generator(seed, epoch);
    let draw = |_| {
        let members = &members[uniform(members.len(), &mut generator)];
        members[uniform(members.len(), &mut generator)]
    };
    (0..classes.len()).map(draw).collect()
}

/// As many images as there are, drawn with replacement, each in proportion to its weight, as
/// `torch.utils.data.WeightedRandomSampler`. `None` when no weight is above zero, or one is below or no number.
#[must_use]
pub fn weighted(seed: u64, epoch: u64, weights: &[f64]) -> Option<Vec<usize>> {
    let index = WeightedIndex::new(weights).ok()?;
    Some(index.sample_iter(generator(seed, epoch)).take(weights.len()).collect())
}

/// What makes each class count alike in a loss: `n / (k · count)` with `k` the classes that occur, scikit-learn's
/// `class_weight="balanced"`. The weights of the images have mean 1. A class without images has weight 0.
#[must_use]
pub fn class_weights(classes: &[usize], number: usize) -> Vec<f32> {
    let mut counts = vec![0_usize; number];
    classes.iter().filter(|&&class| class < number).for_each(|&class| counts[class] += 1);
    let occurring = counts.iter().filter(|&&count| count > 0).count();
    let n: usize = counts.iter().sum();
    let weight = |&count: &usize| if count == 0 { 0.0 } else { (n as f64 / (occurring * count) as f64) as f32 };
    counts.iter().map(weight).collect()
}

impl LastBatch {
    /// The batches of an epoch in order. A `size` of 0 counts as 1.
    pub fn batches(self, order: &[usize], size: usize) -> impl Iterator<Item = &[usize]> {
        order.chunks(size.max(1)).take(self.count(order.len(), size))
    }

    /// How many batches an epoch of `n` images has: its steps. A `size` of 0 counts as 1.
    #[must_use]
    pub fn count(self, n: usize, size: usize) -> usize {
        match self {
            LastBatch::Keep => n.div_ceil(size.max(1)),
            LastBatch::Drop => n / size.max(1),
        }
    }
}

/// Random numbers that no other epoch of this seed has: the epoch chooses ChaCha's stream.
#[must_use]
pub fn generator(seed: u64, epoch: u64) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(epoch);
    generator
}

/// A number below `n`, and 0 for 0.
fn uniform(n: usize, generator: &mut ChaCha8Rng) -> usize {
    Uniform::new(0, n).map_or(0, |numbers| numbers.sample(generator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_has_every_image_once_in_an_order_of_its_own() {
        let order = shuffled(7, 3, 100);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(order, shuffled(7, 3, 100));
        assert_ne!(order, shuffled(7, 4, 100));
        assert_ne!(order, shuffled(8, 3, 100));
    }

    #[test]
    fn orders_are_the_same_on_every_machine_and_in_every_version() {
        // Written down from the first version, because a run that is resumed by a later one relies on them.
        assert_eq!(shuffled(0, 0, 8), [2, 0, 6, 1, 3, 5, 7, 4]);
        assert_eq!(balanced(0, 0, &[0, 0, 0, 1, 1, 2]), [4, 5, 4, 3, 2, 4]);
        assert_eq!(weighted(0, 0, &[1.0, 2.0, 3.0, 4.0]), Some(vec![3, 2, 3, 0]));
    }

    #[test]
    fn balanced_draws_every_class_as_often_in_expectation() {
        // 90, 9 and 1 images, and a class without any.
        let classes: Vec<usize> = [vec![0; 90], vec![2; 9], vec![3]].concat();
        let mut counts = [0_i32; 4];
        for epoch in 0..300 {
            let drawn = balanced(1, epoch, &classes);
            assert_eq!(drawn.len(), classes.len());
            drawn.iter().for_each(|&image| counts[classes[image]] += 1);
        }
        // 30,000 draws with probability 1/3: the standard deviation is 82, and four of them are 327.
        for (class, expected) in [(0, 10_000), (1, 0), (2, 10_000), (3, 10_000)] {
            assert!((counts[class] - expected).abs() <= 327, "{counts:?}");
        }
        assert_eq!(balanced(1, 2, &classes), balanced(1, 2, &classes));
        assert_ne!(balanced(1, 2, &classes), balanced(1, 3, &classes));
        assert_eq!(balanced(1, 0, &[]), [0_usize; 0]);
    }

    #[test]
    fn weights_are_proportions() {
        let mut counts = [0_i32; 3];
        for epoch in 0..10_000 {
            weighted(1, epoch, &[1.0, 0.0, 3.0]).unwrap().iter().for_each(|&image| counts[image] += 1);
        }
        // 30,000 draws with probability 1/4: the standard deviation is 75, and four of them are 300.
        assert!((counts[0] - 7_500).abs() <= 300 && counts[1] == 0, "{counts:?}");
        assert_eq!(weighted(1, 0, &[0.0, 0.0]), None);
        assert_eq!(weighted(1, 0, &[1.0, f64::NAN]), None);
    }

    #[test]
    fn class_weights_are_scikit_learns() {
        // compute_class_weight("balanced", classes=[0, 1, 2], y=[0, 0, 0, 1, 1, 2]) by its formula: 6 / (3 · count).
        assert_eq!(class_weights(&[0, 0, 0, 1, 1, 2], 3), [6.0 / 9.0, 1.0, 2.0]);
        assert_eq!(class_weights(&[0, 0, 2, 2], 3), [1.0, 0.0, 1.0]);
    }

    #[test]
    fn the_rest_is_kept_or_dropped() {
        let order = [4, 2, 0, 1, 3];
        let batches = |last: LastBatch, size| last.batches(&order, size).map(<[usize]>::len).collect::<Vec<_>>();
        assert_eq!(batches(LastBatch::Keep, 2), [2, 2, 1]);
        assert_eq!(batches(LastBatch::Drop, 2), [2, 2]);
        assert_eq!(batches(LastBatch::Drop, 5), [5]);
        assert_eq!(batches(LastBatch::Drop, 6), [0_usize; 0]);
        // tflearn's flowers: 1360 images in 43 batches of 32, CIFAR-10's 50,000 in 391 of 128.
        assert_eq!((LastBatch::Keep.count(1360, 32), LastBatch::Keep.count(50_000, 128)), (43, 391));
    }
}
