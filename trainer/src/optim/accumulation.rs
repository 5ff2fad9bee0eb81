//! One gradient from several micro-batches.

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

    /// Adds the gradients of a mean loss over so many images, one slice a parameter. Numbers beyond either's length are
    /// left out.
    pub fn add<'a>(&mut self, gradients: impl IntoIterator<Item = &'a [f32]>, images: usize) {
        self.images += images;
        for (sums, gradient) in self.sums.iter_mut().zip(gradients) {
            for (sum, &g) in sums.iter_mut().zip(gradient) {
                *sum += g * images as f32;
            }
        }
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
        accumulation.add([[2.0_f32].as_slice()], 3);
        accumulation.add([[8.0_f32].as_slice()], 1);
        let (mut sums, factor) = accumulation.sums();
        assert_eq!((sums.next(), sums.next(), factor), (Some([14.0].as_slice()), None, 0.25));
    }

    #[test]
    fn clearing_forgets_numbers_and_images() {
        let mut accumulation = Accumulation::new([2]);
        accumulation.add([[2.0, 1.0_f32].as_slice()], 3);
        accumulation.clear();
        accumulation.add([[5.0, 6.0_f32].as_slice()], 1);
        assert_eq!(accumulation.images(), 1);
        assert_eq!(accumulation.sums().0.next(), Some([5.0, 6.0].as_slice()));
    }
}
