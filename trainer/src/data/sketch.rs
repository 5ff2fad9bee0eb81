//! What an image looks like from afar, so that copies of another size or quality are found.

use models::preprocess::{Filter, Region, RgbImage, resample};

/// Columns of the difference hash; it has a bit for each neighbouring pair of them and for each row.
const COLUMNS: u32 = 9;
const ROWS: u32 = 8;
/// The side of the picture that candidates are compared by.
const SIDE: u32 = 16;
/// Bits of the hash that copies may differ in.
const BITS: u32 = 8;
/// The mean difference of levels, 0 to 255, that copies may have: JPEG at quality 50 and half the size make about two.
const LEVELS: f64 = 6.0;

/// A hash and a tiny picture of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSketch {
    /// Whether each pixel of a 9x8 picture is brighter than its right neighbour (difference hash).
    hash: u64,
    /// 16x16 pixels, RGB.
    pixels: Vec<u8>,
}

impl ImageSketch {
    /// `None` where the image cannot be made smaller.
    pub(super) fn of(image: &RgbImage) -> Option<Self> {
        let small = |size: (u32, u32)| {
            let region = Region { left: 0.0, top: 0.0, width: image.width().into(), height: image.height().into() };
            resample(image, region, size, Filter::Bilinear).ok()
        };
        let gray: Vec<u32> = small((ROWS, COLUMNS))?
            .data()
            .chunks(3)
            .map(|pixel| 299 * u32::from(pixel[0]) + 587 * u32::from(pixel[1]) + 114 * u32::from(pixel[2]))
            .collect();
        let pairs = gray.chunks(COLUMNS as usize).flat_map(|row| row.windows(2));
        let hash = pairs.fold(0_u64, |hash, pair| hash << 1 | u64::from(pair[0] > pair[1]));
        Some(Self { hash, pixels: small((SIDE, SIDE))?.into_data() })
    }

    /// Whether one is likely a copy of the other, in another size or quality.
    pub(super) fn resembles(&self, other: &Self) -> bool {
        (self.hash ^ other.hash).count_ones() <= BITS && self.difference(other) <= LEVELS
    }

    fn difference(&self, other: &Self) -> f64 {
        let differences = self.pixels.iter().zip(&other.pixels).map(|(a, b)| u32::from(a.abs_diff(*b)));
        f64::from(differences.sum::<u32>()) / self.pixels.len().max(1) as f64
    }
}
