//! A small picture of an image file, for people who look through many.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mozjpeg::{ColorSpace, Compress};

use super::{Filter, ImageError, ImageFormat, Limits, Region, RgbImage, decode, resample};

/// Good enough to tell what an image shows, at some ten kilobytes for 256 pixels a side.
const QUALITY: f32 = 80.0;

/// An upright JPEG file of the image in its own proportions, no side longer than `side`. A smaller image stays as large as
/// it is.
///
/// # Errors
/// As [`decode()`].
pub fn thumbnail(bytes: &[u8], side: u32, limits: &Limits) -> Result<Vec<u8>, ImageError> {
    let image = decode(bytes, limits)?;
    let (width, height) = (image.width(), image.height());
    let longer = width.max(height);
    if longer <= side {
        return encode(&image);
    }
    let shrunk = |length: u32| (f64::from(length) * f64::from(side) / f64::from(longer)).round().max(1.0) as u32;
    let whole = Region { left: 0.0, top: 0.0, width: width.into(), height: height.into() };
    encode(&resample(&image, whole, (shrunk(height), shrunk(width)), Filter::Bilinear)?)
}

fn encode(image: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let compress = || {
        let mut encoder = Compress::new(ColorSpace::JCS_RGB);
        // libjpeg-turbo's settings: the others save bytes of files that are sent often, and take their time.
        encoder.set_fastest_defaults();
        encoder.set_size(image.width() as usize, image.height() as usize);
        encoder.set_quality(QUALITY);
        let mut encoder = encoder.start_compress(Vec::new())?;
        encoder.write_scanlines(image.data())?;
        encoder.finish()
    };
    // The library reports its errors by unwinding.
    let file = catch_unwind(AssertUnwindSafe(compress)).ok().and_then(Result::ok);
    let reason = || "a smaller picture of it cannot be written".to_owned();
    file.ok_or_else(|| ImageError::Corrupt { format: ImageFormat::Jpeg, reason: reason() })
}

#[cfg(test)]
mod tests {
    use super::super::{probe, test_card};
    use super::*;

    #[test]
    fn a_thumbnail_keeps_the_proportions_and_the_colors() {
        let limits = Limits::default();
        let card = test_card(1, 200, 100);
        let original = decode(&card, &limits).unwrap();
        let small = thumbnail(&card, 50, &limits).unwrap();
        let info = probe(&small, &limits).unwrap();
        assert_eq!((info.format, info.width, info.height), (ImageFormat::Jpeg, 50, 25));
        // Averaging changes no mean, and JPEG at this quality hardly.
        let mean = |image: &RgbImage| {
            image.data().iter().map(|&byte| f64::from(byte)).sum::<f64>() / image.data().len() as f64
        };
        let difference = (mean(&decode(&small, &limits).unwrap()) - mean(&original)).abs();
        assert!(difference < 3.0, "{difference}");
        let same = thumbnail(&card, 500, &limits).unwrap();
        assert_eq!(probe(&same, &limits).map(|info| (info.width, info.height)), Ok((200, 100)));
    }

    #[test]
    fn an_image_of_one_row_has_a_thumbnail_of_one_row() {
        let limits = Limits::default();
        let small = thumbnail(&test_card(1, 1000, 1), 100, &limits).unwrap();
        assert_eq!(probe(&small, &limits).map(|info| (info.width, info.height)), Ok((100, 1)));
    }
}
