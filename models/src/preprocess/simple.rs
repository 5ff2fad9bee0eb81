//! BMP and WebP, whose decoders in `image` agree with PIL's as they are.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader};

use super::limits::METADATA_BYTES;
use super::{ColorMode, ImageError, ImageFormat, ImageInfo, ImageTraits, Limits, RgbImage, orientation};

/// The header, held against the limits.
pub(super) fn probe(format: ImageFormat, bytes: &[u8], limits: &Limits) -> Result<ImageInfo, ImageError> {
    open(format, bytes, limits).map(|(info, _)| info)
}

/// The stored pixels, and which way up they are.
pub(super) fn decode(
    format: ImageFormat,
    bytes: &[u8],
    limits: &Limits,
) -> Result<(RgbImage, Orientation), ImageError> {
    let (info, mut decoder) = open(format, bytes, limits)?;
    if !is_complete(format, bytes) {
        return Err(ImageError::Truncated { format });
    }
    let failed = |error| ImageError::from_decoder(format, &error);
    let pixels = u64::from(info.width) * u64::from(info.height);
    decoder.set_limits(decoder_limits(pixels)).map_err(failed)?;
    let orientation = turned(&mut decoder);
    let image = DynamicImage::from_decoder(decoder).map_err(failed)?.into_rgb8();
    Ok((RgbImage::new(image.width(), image.height(), image.into_raw())?, orientation))
}

/// Which way up the picture is. Metadata that cannot be read is no reason to refuse a picture that can.
fn turned(decoder: &mut impl ImageDecoder) -> Orientation {
    let exif = decoder.exif_metadata().ok().flatten();
    let xmp = decoder.xmp_metadata().ok().flatten();
    let orientation = exif.and_then(|exif| orientation::of_exif(&exif));
    orientation.or_else(|| orientation::of_xmp(&xmp?)).unwrap_or(Orientation::NoTransforms)
}

/// How the file stores its pixels.
pub(super) fn traits(format: ImageFormat, bytes: &[u8], limits: &Limits) -> Result<ImageTraits, ImageError> {
    let (_, mut decoder) = open(format, bytes, limits)?;
    // Bits for a pixel, which the decoder does not tell apart once colors are looked up.
    let few = |bytes: &[u8]| bytes.get(28..30).is_some_and(|bits| u16::from_le_bytes([bits[0], bits[1]]) <= 8);
    let mode = match format {
        ImageFormat::Bmp if few(bytes) => ColorMode::Palette,
        _ if decoder.color_type().has_alpha() => ColorMode::Rgba,
        _ => ColorMode::Rgb,
    };
    Ok(ImageTraits::of_8_bits(mode, turned(&mut decoder)))
}

fn open<'a>(
    format: ImageFormat,
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<(ImageInfo, impl ImageDecoder + 'a), ImageError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format.of_image_crate());
    reader.limits(decoder_limits(0));
    let decoder = reader.into_decoder().map_err(|error| match ImageError::from_decoder(format, &error) {
        // The decoder's words for a header that breaks off vary; the missing end is the plainer fact.
        ImageError::Corrupt { .. } if !is_complete(format, bytes) => ImageError::Truncated { format },
        error => error,
    })?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    Ok((ImageInfo { format, width, height }, decoder))
}

/// What a decoder may allocate beside the result: a second canvas of 16-bit RGBA, and room for metadata.
fn decoder_limits(pixels: u64) -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(pixels.saturating_mul(8).saturating_add(METADATA_BYTES as u64));
    limits
}

/// Whether the file holds all that it announces. The decoder of BMP fails when the bytes run out before the pixels do;
/// that of WebP mistakes the end for corruption, or overlooks what comes after the pixels, the EXIF orientation among
/// it.
fn is_complete(format: ImageFormat, bytes: &[u8]) -> bool {
    format != ImageFormat::WebP || riff_is_complete(bytes)
}

/// A RIFF file begins with its length: little-endian, and of what follows it. libwebp, too, refuses a shorter one.
fn riff_is_complete(bytes: &[u8]) -> bool {
    let Some(&[a, b, c, d]) = bytes.get(4..8) else {
        return false;
    };
    let declared = u64::from(u32::from_le_bytes([a, b, c, d])) + 8;
    bytes.len() as u64 >= declared
}

#[cfg(test)]
mod tests {
    use super::riff_is_complete;

    #[test]
    fn a_riff_file_is_as_long_as_it_says() {
        assert!(riff_is_complete(b"RIFF\x06\0\0\0WEBPab"));
        assert!(riff_is_complete(b"RIFF\x06\0\0\0WEBPabcd"), "something after it");
        assert!(!riff_is_complete(b"RIFF\x06\0\0\0WEBPa"));
        assert!(!riff_is_complete(b"RIFF\xff\xff\xff\xffWEBP"));
        assert!(!riff_is_complete(b"RIFF\x06\0"));
    }
}
