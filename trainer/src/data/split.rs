//! Which images train, which choose the best epoch, which measure the result.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::LabelSets;
use super::stratify::stratified;

/// The use of an image: to train on, to choose the best epoch by, or to measure the result by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subset {
    /// Images whose gradients change the weights.
    Train,
    /// Images that choose the best epoch.
    Validation,
    /// Images that measure the result and choose nothing.
    Test,
}

impl Subset {
    /// Its name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Subset::Train => "train",
            Subset::Validation => "validation",
            Subset::Test => "test",
        }
    }
}

/// The shares of each class, 0..1, that do not train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fractions {
    /// The share that chooses the best epoch.
    pub validation: f64,
    /// The share that measures the result.
    pub test: f64,
}

/// How many images of each class do not train; all the others do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// How many images of a class choose the best epoch.
    pub validation: usize,
    /// How many images of a class measure the result.
    pub test: usize,
}

/// How the images of a class are split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Partition {
    /// By shares, rounded; each subset gets at least one image of a class that has three.
    Fractions(Fractions),
    /// By numbers. A class that has fewer keeps one image to train on.
    Counts(Counts),
}

/// Positions of images in three subsets without overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Positions of the images to train on.
    pub train: Vec<usize>,
    /// Positions of the images that choose the best epoch.
    pub validation: Vec<usize>,
    /// Positions of the images that measure the result.
    pub test: Vec<usize>,
}

impl Split {
    /// Divides images by their classes so that every class has the same shares: stratified, and equal for equal seeds.
    /// Each subset gets at least one image of a class that has three, but for a validation share of 0, which is none.
    ///
    /// ```
    /// use trainer::data::{Fractions, Split};
    ///
    /// let split = Split::stratified(&[0, 0, 0, 0, 1, 1, 1, 1], Fractions { validation: 0.25, test: 0.25 }, 7);
    /// assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (4, 2, 2));
    /// ```
    #[must_use]
    pub fn stratified(classes: &[usize], fractions: Fractions, seed: u64) -> Self {
        let images: Vec<_> = classes.iter().map(|&class| (class, None)).collect();
        Self::new(&images, Partition::Fractions(fractions), seed)
    }

    /// Leaves each image in the subset that its data set puts it in. A subset without any image is taken from those that
    /// train, or that no subset is given for, class by class as [`Split::stratified`] does.
    #[must_use]
    pub fn new(images: &[(usize, Option<Subset>)], partition: Partition, seed: u64) -> Self {
        let given = |subset| images.iter().any(|image| image.1 == Some(subset));
        let wanted = WantedSubsets { test: !given(Subset::Test), validation: !given(Subset::Validation) };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let pinned = |subset| (0..images.len()).filter(|&image| images[image].1 == Some(subset)).collect();
        let mut split = Split { train: vec![], validation: pinned(Subset::Validation), test: pinned(Subset::Test) };
        for class in 0..images.iter().map(|image| image.0 + 1).max().unwrap_or(0) {
            let trains = |image: &usize| matches!(images[*image], (of, None | Some(Subset::Train)) if of == class);
            let mut own: Vec<usize> = (0..images.len()).filter(trains).collect();
            own.shuffle(&mut rng);
            let Counts { test, validation } = partition.sizes(own.len(), wanted);
            split.test.extend(&own[..test]);
            split.validation.extend(&own[test..test + validation]);
            split.train.extend(&own[test + validation..]);
        }
        split
    }
}

impl Split {
    /// As [`Split::new`] for images that may have several classes each, which are given by the numbers of their sets: every
    /// class has about the same shares.
    #[must_use]
    pub fn of_sets(images: &[(usize, Option<Subset>)], sets: &LabelSets, partition: Partition, seed: u64) -> Self {
        let pinned =
            |subset| (0..images.len()).filter(|&image| images[image].1 == Some(subset)).collect::<Vec<usize>>();
        let mut split = Split { train: vec![], validation: pinned(Subset::Validation), test: pinned(Subset::Test) };
        let trains = |image: &usize| matches!(images[*image].1, None | Some(Subset::Train));
        let own: Vec<usize> = (0..images.len()).filter(trains).collect();
        let Fractions { validation, test } = partition.shares(own.len(), sets.classes());
        let validation = if split.validation.is_empty() { validation } else { 0.0 };
        let test = if split.test.is_empty() { test } else { 0.0 };
        let shares = [1.0 - validation - test, validation, test];
        let numbers: Vec<usize> = own.iter().map(|&image| images[image].0).collect();
        let subsets = stratified(&numbers, sets, &shares, &mut ChaCha8Rng::seed_from_u64(seed));
        for (image, subset) in own.into_iter().zip(subsets) {
            [&mut split.train, &mut split.validation, &mut split.test][subset].push(image);
        }
        split
    }
}

/// Divides images by their classes, or by the sets of them, into so many parts; each class is spread over all. Gives the part of
/// each image.
pub(crate) fn folds(images: &[usize], sets: Option<&LabelSets>, count: usize, seed: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    if let Some(sets) = sets {
        return stratified(images, sets, &vec![1.0 / count as f64; count], &mut rng);
    }
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.shuffle(&mut rng);
    order.sort_by_key(|&image| images[image]);
    let mut parts = vec![0; images.len()];
    order.into_iter().enumerate().for_each(|(position, image)| parts[image] = position % count);
    parts
}

/// The subsets that the data set does not give.
#[derive(Debug, Clone, Copy)]
struct WantedSubsets {
    test: bool,
    validation: bool,
}

impl Partition {
    /// Whether any image is to choose the best epoch.
    fn validates(self) -> bool {
        match self {
            Partition::Fractions(fractions) => fractions.validation > 0.0,
            Partition::Counts(counts) => counts.validation > 0,
        }
    }

    /// The shares of so many images of so many classes.
    fn shares(self, images: usize, classes: usize) -> Fractions {
        let share = |count: usize| ((count * classes) as f64 / images.max(1) as f64).min(0.45);
        match self {
            Partition::Fractions(fractions) => fractions,
            Partition::Counts(Counts { validation, test }) => {
                Fractions { validation: share(validation), test: share(test) }
            }
        }
    }

    /// How many of so many images of a class go into each subset that is wanted.
    fn sizes(self, images: usize, wanted: WantedSubsets) -> Counts {
        let WantedSubsets { test, validation } = wanted;
        let share = |fraction: f64| ((images as f64 * fraction).round() as usize).max(1);
        let validation = validation && self.validates();
        let (for_test, for_validation) = match self {
            Partition::Fractions(fractions) => (share(fractions.test), share(fractions.validation)),
            Partition::Counts(counts) => (counts.test, counts.validation),
        };
        let kept = match self {
            Partition::Fractions(_) => 1 + usize::from(validation),
            Partition::Counts(_) => 1,
        };
        let test = if test { for_test.min(images.saturating_sub(kept)) } else { 0 };
        let validation = if validation { for_validation.min(images.saturating_sub(test + 1)) } else { 0 };
        Counts { validation, test }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRACTIONS: Fractions = Fractions { validation: 0.1, test: 0.25 };

    #[test]
    fn every_class_gives_its_share_and_every_image_is_in_one_subset() {
        let classes: Vec<usize> = (0..1360).map(|image| image / 80).collect();
        let split = Split::stratified(&classes, FRACTIONS, 3);
        let count = |subset: &[usize], class| subset.iter().filter(|&&image| classes[image] == class).count();
        for class in 0..17 {
            assert_eq!([52, 8, 20], [&split.train, &split.validation, &split.test].map(|subset| count(subset, class)));
        }
        let mut all = [split.train, split.validation, split.test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1360).collect::<Vec<_>>());
    }

    #[test]
    fn the_seed_decides() {
        let classes: Vec<usize> = (0..100).map(|image| image % 4).collect();
        assert_eq!(Split::stratified(&classes, FRACTIONS, 1), Split::stratified(&classes, FRACTIONS, 1));
        assert_ne!(Split::stratified(&classes, FRACTIONS, 1), Split::stratified(&classes, FRACTIONS, 2));
    }

    #[test]
    fn three_images_are_enough_for_a_class() {
        let split = Split::stratified(&[0, 0, 0, 1, 1, 1], Fractions { validation: 0.9, test: 0.9 }, 0);
        assert_eq!([2, 2, 2], [split.train.len(), split.validation.len(), split.test.len()]);
    }

    #[test]
    fn no_share_for_validation_is_no_image() {
        let classes: Vec<usize> = (0..1360).map(|image| image / 80).collect();
        let split = Split::stratified(&classes, Fractions { validation: 0.0, test: 0.25 }, 3);
        assert_eq!([60 * 17, 0, 20 * 17], [split.train.len(), split.validation.len(), split.test.len()]);
    }

    #[test]
    fn sixty_of_a_class_train_and_twenty_measure() {
        let images: Vec<_> = (0..1360).map(|image| (image / 80, None)).collect();
        let split = Split::new(&images, Partition::Counts(Counts { validation: 0, test: 20 }), 3);
        for class in 0..17 {
            let count = |subset: &[usize]| subset.iter().filter(|&&image| image / 80 == class).count();
            assert_eq!([60, 0, 20], [&split.train, &split.validation, &split.test].map(|subset| count(subset)));
        }
    }

    #[test]
    fn folds_have_every_image_once_and_spread_each_class() {
        let classes: Vec<usize> = (0..103).map(|image| image % 4).collect();
        let parts = folds(&classes, None, 5, 1);
        for class in 0..4 {
            let counts = [0, 1, 2, 3, 4]
                .map(|part| (0..103).filter(|&image| classes[image] == class && parts[image] == part).count());
            assert!(counts.iter().all(|&count| count == 5 || count == 6), "{counts:?}");
        }
        assert_ne!(parts, folds(&classes, None, 5, 2));
    }

    #[test]
    fn given_parts_stay_and_a_missing_one_is_taken_from_those_that_train() {
        let subsets = [Subset::Train, Subset::Train, Subset::Train, Subset::Train, Subset::Test];
        let images: Vec<_> = (0..20).map(|image| (image % 2, Some(subsets[image / 2 % 5]))).collect();
        let split = Split::new(&images, Partition::Fractions(Fractions { validation: 0.25, test: 0.5 }), 0);
        assert_eq!(split.test, [8, 9, 18, 19]);
        assert_eq!([12, 4], [split.train.len(), split.validation.len()]);
        assert!(
            [&split.train, &split.validation]
                .iter()
                .all(|subset| subset.iter().all(|image| !split.test.contains(image)))
        );
    }
}
