//! Images that show several classes, or none.

use std::collections::BTreeMap;
use std::slice;

use serde::{Deserialize, Serialize};

/// The sets of classes that the images of a data set have, each once.
///
/// A [`Sample`](super::Sample) has one number. Where classes exclude each other it is the class; where an image may have
/// several (multi-label), it is the number of a set here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LabelSets {
    classes: usize,
    /// Of each set its classes, ascending.
    sets: Vec<Vec<usize>>,
}

impl LabelSets {
    /// Numbers the sets of so many classes. Gives the number of each image's set too.
    ///
    /// ```
    /// use trainer::data::LabelSets;
    ///
    /// let (sets, numbers) = LabelSets::number(3, [vec![2, 0], vec![], vec![0, 2]]);
    /// assert_eq!(sets.get(numbers[0]), [0, 2]);
    /// assert_eq!(numbers[0], numbers[2]);
    /// assert_eq!(sets.targets(&numbers[..2]), [1.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    /// ```
    #[must_use]
    pub fn number(classes: usize, images: impl IntoIterator<Item = Vec<usize>>) -> (Self, Vec<usize>) {
        let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        let numbers = images.into_iter().map(|mut set| {
            set.sort_unstable();
            set.dedup();
            let next = known.len();
            *known.entry(set).or_insert(next)
        });
        let numbers: Vec<usize> = numbers.collect();
        let mut sets = vec![vec![]; known.len()];
        known.into_iter().for_each(|(set, number)| sets[number] = set);
        (Self { classes, sets }, numbers)
    }

    /// Each class alone: what images have that show one class each, for a network whose classes stand beside each other.
    #[must_use]
    pub fn singletons(classes: usize) -> Self {
        Self { classes, sets: (0..classes).map(|class| vec![class]).collect() }
    }

    /// How many classes there are.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The classes of a set, ascending.
    #[must_use]
    pub fn get(&self, set: usize) -> &[usize] {
        self.sets.get(set).map_or(&[], Vec::as_slice)
    }

    /// Whether a class is in a set.
    #[must_use]
    pub fn has(&self, set: usize, class: usize) -> bool {
        self.get(set).binary_search(&class).is_ok()
    }

    /// `[n, classes]`, row-major: 1 for the classes of each image's set and 0 for the others.
    #[must_use]
    pub fn targets(&self, images: &[usize]) -> Vec<f32> {
        let mut targets = vec![0.0; images.len() * self.classes];
        for (row, &set) in targets.chunks_mut(self.classes.max(1)).zip(images) {
            self.get(set).iter().for_each(|&class| row[class] = 1.0);
        }
        targets
    }

    /// How many of these images have each class.
    #[must_use]
    pub fn counts(&self, images: &[usize]) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        images.iter().flat_map(|&set| self.get(set)).for_each(|&class| counts[class] += 1);
        counts
    }

    /// The same sets with other numbers for their classes, out of so many; classes that have none are left out of all sets.
    #[must_use]
    pub fn renumbered(&self, numbers: &[Option<usize>], classes: usize) -> Self {
        let set = |set: &Vec<usize>| {
            let mut set: Vec<usize> = set.iter().filter_map(|&class| numbers[class]).collect();
            set.sort_unstable();
            set
        };
        Self { classes, sets: self.sets.iter().map(set).collect() }
    }
}

/// The classes of an image whose number this is.
pub(crate) fn classes_of<'a>(sets: Option<&'a LabelSets>, number: &'a usize) -> &'a [usize] {
    match sets {
        Some(sets) => sets.get(*number),
        None => slice::from_ref(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_have_one_number_whatever_the_order_of_their_classes() {
        let (sets, numbers) = LabelSets::number(4, [vec![3, 1], vec![1, 3, 3], vec![], vec![0]]);
        assert_eq!(numbers, [0, 0, 1, 2]);
        assert_eq!((sets.get(0), sets.get(1), sets.get(2)), (&[1, 3][..], &[][..], &[0][..]));
        assert!(sets.has(0, 3) && !sets.has(0, 0) && !sets.has(1, 0));
        assert_eq!(sets.counts(&numbers), [1, 2, 0, 2]);
    }

    #[test]
    fn classes_that_another_list_does_not_have_are_left_out() {
        let (sets, numbers) = LabelSets::number(3, [vec![0, 1, 2], vec![1]]);
        let renumbered = sets.renumbered(&[Some(4), None, Some(0)], 5);
        assert_eq!(numbers.iter().map(|&number| renumbered.get(number)).collect::<Vec<_>>(), [&[0, 4][..], &[]]);
    }

    #[test]
    fn without_sets_the_number_is_the_class() {
        assert_eq!(classes_of(None, &7), [7]);
        assert_eq!(classes_of(Some(&LabelSets::singletons(3)), &2), [2]);
    }
}
