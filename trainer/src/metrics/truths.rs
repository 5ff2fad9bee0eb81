//! What images show.

use crate::data::{LabelSets, classes_of};

/// The true classes of images.
#[derive(Debug, Clone, Copy)]
pub struct Truths<'a> {
    /// Of each image its class, or the number of its set.
    pub numbers: &'a [usize],
    /// How many classes there are.
    pub classes: usize,
    /// The sets, where an image may have several classes.
    pub sets: Option<&'a LabelSets>,
}

impl<'a> Truths<'a> {
    /// Of images with one class each.
    #[must_use]
    pub fn exclusive(numbers: &'a [usize], classes: usize) -> Self {
        Self { numbers, classes, sets: None }
    }

    /// The classes of an image, ascending.
    #[must_use]
    pub fn of(&self, image: usize) -> &'a [usize] {
        self.numbers.get(image).map_or(&[], |number| classes_of(self.sets, number))
    }
}
