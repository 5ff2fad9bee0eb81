use image::DynamicImage;
use image::metadata::Orientation;

use super::lines::WholeLines;
use super::opened::Opened;
use super::pixels::WholeImage;
use super::{
    ColorMode, Decoding, ImageError, ImageFormat, ImageInfo, ImageTraits, Limits, RgbImage, gif, jpeg, png, simple,
};

/// Reads the header only, and holds it against the limits.
///
/// # Errors
/// As [`decode()`], except for what shows only in the pixels.
pub fn probe(bytes: &[u8], limits: &Limits) -> Result<ImageInfo, ImageError> {
    match ImageFormat::of(bytes)? {
        ImageFormat::Gif => gif::probe(bytes, limits),
        ImageFormat::Jpeg => jpeg::open(bytes, limits).map(|jpeg| jpeg.info()),
        ImageFormat::Png => png::probe(bytes, limits),
        format @ (ImageFormat::Bmp | ImageFormat::WebP) => simple::probe(format, bytes, limits),
    }
}

/// Decodes an image file to upright 8-bit RGB, to the values that PIL's `convert("RGB")` has: gray is repeated,
/// palettes are looked up, CMYK is multiplied out, an alpha channel is dropped and not composited. Of 16-bit channels
/// the high byte is kept. Color profiles are ignored. The EXIF orientation is applied, or XMP's where EXIF has none; of
/// an animation the first frame is taken.
///
/// A file is complete when all its pixels are there: an end marker may be missing, as PIL allows.
///
/// # Errors
/// [`ImageError`] says which: not an image, not supported, over the limits (nothing has been decoded then),
/// truncated, corrupt.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage, ImageError> {
    decode_as(bytes, limits, Decoding::Exact)
}

/// The same, of JPEG at a fraction of the size if that is asked for.
pub(super) fn decode_as(bytes: &[u8], limits: &Limits, decoding: Decoding) -> Result<RgbImage, ImageError> {
    if let Some(image) = Opened::new(bytes, limits, decoding)? {
        let (size, whole, orientation) = (image.size(), image.whole(), image.orientation());
        let mut lines = WholeLines::new(size);
        image.read(&mut lines)?;
        return upright((RgbImage::new(size.width, size.height, lines.into_pixels())?.of(whole), orientation));
    }
    match ImageFormat::of(bytes)? {
        ImageFormat::Gif => gif::decode(bytes, limits),
        format => simple::decode(format, bytes, limits).and_then(upright),
    }
}

/// Reads how a file stores its pixels, without decoding them.
///
/// # Errors
/// As [`decode()`], except for what shows only in the pixels.
pub fn traits(bytes: &[u8], limits: &Limits) -> Result<ImageTraits, ImageError> {
    match ImageFormat::of(bytes)? {
        ImageFormat::Gif => {
            gif::probe(bytes, limits)?;
            Ok(ImageTraits::of_8_bits(ColorMode::Palette, Orientation::NoTransforms))
        }
        ImageFormat::Jpeg => Ok(jpeg::open(bytes, limits)?.traits()),
        ImageFormat::Png => png::traits(bytes, limits),
        format @ (ImageFormat::Bmp | ImageFormat::WebP) => simple::traits(format, bytes, limits),
    }
}

/// Turns an image as its file says.
fn upright((image, orientation): (RgbImage, Orientation)) -> Result<RgbImage, ImageError> {
    if orientation == Orientation::NoTransforms {
        return Ok(image);
    }
    let (width, height, whole) = (image.width(), image.height(), image.whole());
    let stored = image::RgbImage::from_raw(width, height, image.into_data());
    let mut image = DynamicImage::ImageRgb8(stored.expect("an RgbImage has three bytes for every pixel"));
    image.apply_orientation(orientation);
    let image = image.into_rgb8();
    let whole = match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            WholeImage { width: whole.height, height: whole.width, ..whole }
        }
        _ => whole,
    };
    Ok(RgbImage::new(image.width(), image.height(), image.into_raw())?.of(whole))
}
