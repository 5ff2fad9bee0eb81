//! Fixed looks at an image, for features that are computed once.

use models::Preprocess;
use models::preprocess::{Limits, RgbImage};
use serde::Serialize;

use super::crop::{self, Shape};
use super::random::{Random, SampleKey};
use super::{AugmentError, geometry};

/// Parts of at least half the image: a smaller one may miss what it is of, and is never drawn anew.
const SHAPE: Shape = Shape { scale: [0.5, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] };

/// One of the fixed looks at every image. It depends on its number and the image's size alone, so features of it can be
/// kept under the image's checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// As the preprocessing gives it.
    Plain,
    /// The same, mirrored.
    Mirrored,
    /// A part of it, the odd ones mirrored.
    Crop(u64),
}

/// The first so many: plain, mirrored, then crops.
#[must_use]
pub fn views(count: usize) -> Vec<View> {
    [View::Plain, View::Mirrored].into_iter().chain((0..).map(View::Crop)).take(count).collect()
}

impl View {
    /// The image as it looks from here, of the preprocessing's size.
    ///
    /// # Errors
    /// [`AugmentError`] if the preprocessing does not fit the image or has no fixed size.
    pub fn of(self, image: &RgbImage, preprocess: &Preprocess, limits: &Limits) -> Result<RgbImage, AugmentError> {
        let number = match self {
            View::Plain => return Ok(preprocess.fit(image, limits)?),
            View::Mirrored => return Ok(geometry::mirrored(&preprocess.fit(image, limits)?)?),
            View::Crop(number) => number,
        };
        let size = preprocess.output_size().ok_or(AugmentError::Size)?;
        let mut random = Random::of(SampleKey { seed: u64::from_le_bytes(*b"an image"), epoch: number, sample: 0 });
        let window = crop::resized(&mut random, (image.width(), image.height()), SHAPE);
        let part = geometry::resized_crop(image, window, size, preprocess.filter)?;
        Ok(if number % 2 == 1 { geometry::mirrored(&part)? } else { part })
    }
}
