//! Operations that give each level another, as PIL's `ImageOps`.

use models::preprocess::{PreprocessError, RgbImage};

use super::pixels::{histograms, map};

/// `ImageOps.posterize`: keeps so many of the highest bits, 0..=8.
pub(super) fn posterize(image: &RgbImage, bits: u32) -> Result<RgbImage, PreprocessError> {
    let mask = !(0xff_u32 >> bits.min(8)) as u8;
    map(image, |pixel| pixel.map(|level| level & mask))
}

/// `ImageOps.solarize`: inverts levels from the threshold on.
pub(super) fn solarize(image: &RgbImage, threshold: f64) -> Result<RgbImage, PreprocessError> {
    map(image, |pixel| pixel.map(|level| if f64::from(level) < threshold { level } else { 255 - level }))
}

/// `ImageOps.autocontrast`: stretches each channel so that its darkest level becomes 0 and its brightest 255.
pub(super) fn autocontrast(image: &RgbImage) -> Result<RgbImage, PreprocessError> {
    through(image, |counts| {
        let low = counts.iter().position(|&count| count > 0).unwrap_or(0);
        let high = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        if high <= low {
            return std::array::from_fn(|level| level as u8);
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        std::array::from_fn(|level| (level as f64 * scale + offset) as u8)
    })
}

/// `ImageOps.equalize`: gives each channel an even histogram.
pub(super) fn equalize(image: &RgbImage) -> Result<RgbImage, PreprocessError> {
    through(image, |counts| {
        let last = counts.iter().rev().find(|&&count| count > 0).copied().unwrap_or(0);
        let step = (counts.iter().sum::<u64>() - last) / 255;
        // One level alone, or too few pixels.
        if step == 0 {
            return std::array::from_fn(|level| level as u8);
        }
        let mut sum = step / 2;
        counts.map(|count| {
            let level = (sum / step).min(255) as u8;
            sum += count;
            level
        })
    })
}

/// Each channel through a table made of its histogram.
fn through(image: &RgbImage, table: impl Fn([u64; 256]) -> [u8; 256]) -> Result<RgbImage, PreprocessError> {
    let [red, green, blue] = histograms(image).map(table);
    map(image, |[r, g, b]| [red[usize::from(r)], green[usize::from(g)], blue[usize::from(b)]])
}
