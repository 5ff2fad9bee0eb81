//! One gradient from several micro-batches.

use super::elementwise::along_one;
use super::{OptimError, fits};

/// The mean gradient over images that do not fit into memory together.
///
/// Each micro-batch counts by its images, so the mean is the whole batch's even when the last part is smaller. Batch
/// normalisation still takes its statistics from each micro-batch alone.
#[derive(Debug, Clone)]
pub struct Accumulation {
    sums: Vec<Vec<f32>>,
    images: usize,
}

impl Accumulation {
    /// Nothing yet, for parameters of these lengths.
    #[must_use]
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        Self { sums: lengths.into_iter().map(|length| vec![0.0; length]).collect(), images: 0 }
    }

    /// Adds the gradients of a mean loss over so many images, one slice a parameter.
    ///
    /// # Errors
    /// [`OptimError::Length`], [`OptimError::Tensors`]; nothing has changed then.
    pub fn add(&mut self, gradients: &[&[f32]], images: usize) -> Result<(), OptimError> {
        fits(&self.sums, gradients, "gradient")?;
        for (sums, gradient) in self.sums.iter_mut().zip(gradients) {
            along_one(sums, gradient, |sum, g| *sum += g * images as f32);
        }
        self.images += images;
        Ok(())
    }

    /// The sums, and what to multiply them by for the mean:
    /// [`Step::gradient_scale`](super::Step::gradient_scale). One for no images at all.
    pub fn sums(&self) -> (impl ExactSizeIterator<Item = &[f32]>, f32) {
        (self.sums.iter().map(Vec::as_slice), 1.0 / self.images.max(1) as f32)
    }

    /// How many images were added.
    #[must_use]
    pub fn images(&self) -> usize {
        self.images
    }

    /// Forgets everything, and keeps the memory.
    pub fn clear(&mut self) {
        self.images = 0;
        self.sums.iter_mut().for_each(|sums| sums.fill(0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unequal_parts_make_the_mean_of_the_whole() {
        // Images with the gradients 1, 2, 3 | 8: means 2 and 8, the whole's 14/4.
        let mut accumulation = Accumulation::new([1]);
        accumulation.add(&[&[2.0]], 3).unwrap();
        accumulation.add(&[&[8.0]], 1).unwrap();
        let (mut sums, factor) = accumulation.sums();
        assert_eq!((sums.next(), sums.next(), factor), (Some([14.0].as_slice()), None, 0.25));
    }

    #[test]
    fn clearing_forgets_numbers_and_images() {
        let mut accumulation = Accumulation::new([2]);
        accumulation.add(&[&[2.0, 1.0]], 3).unwrap();
        accumulation.clear();
        accumulation.add(&[&[5.0, 6.0]], 1).unwrap();
        assert_eq!(accumulation.images(), 1);
        assert_eq!(accumulation.sums().0.next(), Some([5.0, 6.0].as_slice()));
    }

    #[test]
    fn another_networks_gradients_are_refused() {
        let mut accumulation = Accumulation::new([2, 1]);
        let tensors = OptimError::Tensors { expected: 2, found: 1 };
        assert_eq!(accumulation.add(&[&[1.0, 2.0]], 1), Err(tensors));
        let name = "parameter 1".to_owned();
        let length = OptimError::Length { name, what: "gradient", expected: 1, found: 2 };
        assert_eq!(accumulation.add(&[&[1.0, 2.0], &[1.0, 2.0]], 1), Err(length));
        assert_eq!((accumulation.images(), accumulation.sums().0.next()), (0, Some([0.0, 0.0].as_slice())));
    }
}
