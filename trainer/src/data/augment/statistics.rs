//! Mean and deviation over a training set.

use models::Preprocess;
use models::preprocess::{Limits, RgbImage};
use rayon::prelude::*;

use crate::data::{BadFilePolicy, DatasetError, Sample};

/// Images decoded at a time.
const CHUNK: usize = 256;

/// Sums over pixels, exact in whole numbers: they do not depend on the order of the images or the number of threads. A
/// channel holds 2^48 pixels at 255 squared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PixelSums {
    pixels: u64,
    sums: [u64; 3],
    squares: [u64; 3],
}

/// What is subtracted from pixels and what they are divided by, over values scaled to 0..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// Mean of each channel: red, green, blue.
    pub mean: [f64; 3],
    /// Deviation of each channel, over all pixels of all images (not the sample's: divided by n).
    pub std: [f64; 3],
    /// Mean over all channels: tflearn's `add_featurewise_zero_center`.
    pub overall_mean: f64,
    /// Deviation over all channels: tflearn's `add_featurewise_stdnorm`.
    pub overall_std: f64,
}

impl PixelSums {
    /// Adds the pixels of an image.
    pub fn add(&mut self, image: &RgbImage) {
        let pixels = image.data().as_chunks::<3>().0;
        self.pixels += pixels.len() as u64;
        for pixel in pixels {
            for (channel, &level) in pixel.iter().enumerate() {
                self.sums[channel] += u64::from(level);
                self.squares[channel] += u64::from(level) * u64::from(level);
            }
        }
    }

    /// The sums over both sets of images.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let add = |a: [u64; 3], b: [u64; 3]| std::array::from_fn(|channel| a[channel] + b[channel]);
        Self {
            pixels: self.pixels + other.pixels,
            sums: add(self.sums, other.sums),
            squares: add(self.squares, other.squares),
        }
    }

    /// The statistics; `None` of no pixels.
    #[must_use]
    pub fn statistics(&self) -> Option<Statistics> {
        let describe = |pixels: u64, sum: u64, squares: u64| {
            let n = pixels as f64;
            let mean = sum as f64 / n;
            // n * squares - sum^2 in whole numbers, where nothing cancels.
            let spread = u128::from(pixels) * u128::from(squares) - u128::from(sum) * u128::from(sum);
            (mean / 255.0, (spread as f64).sqrt() / n / 255.0)
        };
        let each: [_; 3] = std::array::from_fn(|c| describe(self.pixels, self.sums[c], self.squares[c]));
        let all = describe(3 * self.pixels, self.sums.iter().sum(), self.squares.iter().sum());
        (self.pixels > 0).then_some(Statistics {
            mean: each.map(|(mean, _)| mean),
            std: each.map(|(_, std)| std),
            overall_mean: all.0,
            overall_std: all.1,
        })
    }
}

impl Statistics {
    /// Over images as the preprocessing fits them, decoded on all threads, a few hundred in memory at a time. `None` if
    /// there is no image.
    ///
    /// # Errors
    /// [`DatasetError`] for the first bad file, unless they are skipped.
    pub fn of<'a>(
        samples: impl IntoIterator<Item = &'a Sample>,
        preprocess: &Preprocess,
        bad_files: BadFilePolicy,
        limits: &Limits,
    ) -> Result<Option<Self>, DatasetError> {
        let samples: Vec<&Sample> = samples.into_iter().collect();
        let look = |sample: &&Sample| {
            let image = sample.decode_for(preprocess, limits)?;
            let fitted = preprocess.fit(&image, limits);
            let fitted = fitted.map_err(|source| DatasetError::image(&sample.path, source))?;
            let mut moments = PixelSums::default();
            moments.add(&fitted);
            Ok(moments)
        };
        let mut total = PixelSums::default();
        for chunk in samples.chunks(CHUNK) {
            for moments in chunk.par_iter().map(look).collect::<Vec<Result<PixelSums, DatasetError>>>() {
                match moments {
                    Ok(moments) => total = total.merged(moments),
                    Err(_) if bad_files == BadFilePolicy::Skip => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(total.statistics())
    }
}
