//! Which images train, which choose the best epoch, which measure the result.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// The shares of each class, 0..1, that do not train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fractions {
    /// Chooses the best epoch.
    pub validation: f64,
    /// Measures the result.
    pub test: f64,
}

/// Positions of images in three parts without overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// To train on.
    pub train: Vec<usize>,
    /// To choose the best epoch by.
    pub validation: Vec<usize>,
    /// To measure the result by.
    pub test: Vec<usize>,
}

impl Split {
    /// Divides images by their classes so that every class has the same shares: stratified, and equal for equal seeds.
    /// Each part gets at least one image of a class that has three.
    #[must_use]
    pub fn stratified(classes: &[usize], fractions: Fractions, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut split = Split::default();
        for class in 0..classes.iter().max().map_or(0, |&last| last + 1) {
            let mut images: Vec<usize> = (0..classes.len()).filter(|&image| classes[image] == class).collect();
            images.shuffle(&mut rng);
            let share = |fraction: f64| ((images.len() as f64 * fraction).round() as usize).max(1);
            let test = share(fractions.test).min(images.len().saturating_sub(2));
            let validation = share(fractions.validation).min(images.len().saturating_sub(test + 1));
            split.test.extend(&images[..test]);
            split.validation.extend(&images[test..test + validation]);
            split.train.extend(&images[test + validation..]);
        }
        split
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRACTIONS: Fractions = Fractions { validation: 0.1, test: 0.25 };

    #[test]
    fn every_class_gives_its_share_and_every_image_is_in_one_part() {
        let classes: Vec<usize> = (0..1360).map(|image| image / 80).collect();
        let split = Split::stratified(&classes, FRACTIONS, 3);
        let count = |part: &[usize], class| part.iter().filter(|&&image| classes[image] == class).count();
        for class in 0..17 {
            assert_eq!([52, 8, 20], [&split.train, &split.validation, &split.test].map(|part| count(part, class)));
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
}
