use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{PreprocessError, RgbImage};

/// One prepared image: `[3, height, width]`, red, green, blue, each value in `0.0..=255.0`.
///
/// [`Preprocess::apply`](super::Preprocess::apply) makes one from a file, and [`Preprocess::accept`](super::Preprocess::accept)
/// from pixels that a client has prepared, once it has checked their shape and range. Nothing else does, so whatever an
/// engine is given has the size that the model's parameters say and values that pixels have.
#[derive(Clone, Debug, PartialEq)]
pub struct PreparedImage {
    shape: [usize; 3],
    data: Vec<f32>,
}

impl PreparedImage {
    pub(super) fn new(image: &RgbImage) -> Self {
        Self { shape: [3, image.height() as usize, image.width() as usize], data: image.to_planar() }
    }

    /// From pixels that have been checked.
    pub(super) fn from_parts(shape: [usize; 3], data: Vec<f32>) -> Self {
        Self { shape, data }
    }

    /// The image in a mirror: left and right exchanged.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        let mut data = self.data.clone();
        data.chunks_mut(self.shape[2].max(1)).for_each(<[f32]>::reverse);
        Self { shape: self.shape, data }
    }

    /// `[3, height, width]`.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The values, row-major in the order of [`shape`](Self::shape); `0.0..=255.0`.
    pub fn data(&self) -> &[f32] {
        &self.data
    }
}

/// Images of one shape, stacked: `[n, 3, height, width]`, values in `0.0..=255.0`. What an engine runs on.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageBatch {
    shape: [usize; 4],
    data: Vec<f32>,
}

/// An image that is alone is a batch as it lies in memory.
impl From<PreparedImage> for ImageBatch {
    fn from(image: PreparedImage) -> Self {
        let [channels, height, width] = image.shape;
        Self { shape: [1, channels, height, width], data: image.data }
    }
}

impl ImageBatch {
    /// Stacks prepared images, in order.
    ///
    /// # Errors
    /// [`PreprocessError::EmptyBatch`] for none, [`PreprocessError::Shape`] for images of different shapes.
    pub fn stack(inputs: &[PreparedImage]) -> Result<Self, PreprocessError> {
        let expected = inputs.first().ok_or(PreprocessError::EmptyBatch)?.shape;
        if let Some((index, input)) = inputs.iter().enumerate().find(|(_, input)| input.shape != expected) {
            return Err(PreprocessError::Shape { index, expected, found: input.shape });
        }
        let [channels, height, width] = expected;
        let mut data = Vec::with_capacity(inputs.len() * channels * height * width);
        for input in inputs {
            data.extend_from_slice(&input.data);
        }
        Ok(Self { shape: [inputs.len(), channels, height, width], data })
    }

    /// `n` images of uniform noise in `0.0..=255.0`, the same for the same seed on every machine: for warming engines up
    /// and comparing them. `shape` is `[channels, height, width]`.
    pub fn noise(n: usize, shape: [usize; 3], seed: u64) -> Self {
        // Multiples of 255 / (2^24 - 1): as fine as an f32 can be, and both ends are reached.
        const LARGEST: u32 = (1 << 24) - 1;
        let [channels, height, width] = shape;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut value = || (random.next_u32() >> 8) as f32 / LARGEST as f32 * 255.0;
        let data = (0..n * channels * height * width).map(|_| value()).collect();
        Self { shape: [n, channels, height, width], data }
    }

    /// A batch of whatever numbers, for tests that hold reference tensors.
    ///
    /// # Panics
    /// If the length of `data` is not the product of `shape`.
    #[cfg(any(test, feature = "raw-batches"))]
    pub fn from_raw(shape: [usize; 4], data: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), data.len(), "data for a batch of shape {shape:?}");
        Self { shape, data }
    }

    /// `[n, channels, height, width]`.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// The values, row-major in the order of [`shape`](Self::shape).
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// How many images.
    pub fn len(&self) -> usize {
        self.shape[0]
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Image `i` as a batch of one.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len), as indexing does.
    #[must_use]
    pub fn single(&self, i: usize) -> Self {
        let [_, channels, height, width] = self.shape;
        Self { shape: [1, channels, height, width], data: self.item(i).to_vec() }
    }

    /// Image `i`: the values of `[channels, height, width]`.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len), as indexing does.
    pub fn item(&self, i: usize) -> &[f32] {
        let item = self.shape[1..].iter().product::<usize>();
        &self.data[i * item..][..item]
    }
}

#[cfg(test)]
mod tests {
    use super::ImageBatch;

    #[test]
    fn an_item_is_one_images_values() {
        let batch = ImageBatch::from_raw([2, 1, 1, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(batch.item(0), [0.0, 1.0, 2.0]);
        assert_eq!(batch.item(1), [3.0, 4.0, 5.0]);
    }
}
