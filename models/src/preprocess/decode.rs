use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader};

use super::{ImageError, ImageFormat, Limits, RgbImage, jpeg, orientation, truncation};

/// What the header of an image file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// The file format.
    pub format: ImageFormat,
    /// Width as stored, in pixels: an EXIF orientation may yet turn it into the height.
    pub width: u32,
    /// Height as stored, in pixels.
    pub height: u32,
}

/// Reads the header only, and holds it against the limits.
///
/// # Errors
/// As [`decode()`], except for what shows only in the pixels.
pub fn probe(bytes: &[u8], limits: &Limits) -> Result<ImageInfo, ImageError> {
    match ImageFormat::of(bytes)? {
        ImageFormat::Jpeg => jpeg::open(bytes, limits).map(|jpeg| jpeg.info()),
        format => open(format, bytes, limits).map(|(info, _)| info),
    }
}

/// Decodes an image file to upright 8-bit RGB.
///
/// What is not RGB already becomes so as in PIL's `convert("RGB")`: grey is repeated, palettes are looked up, CMYK is
/// multiplied out, an alpha channel is dropped and not composited. Of 16-bit channels the high byte is kept. Colour
/// profiles are ignored. The EXIF orientation is applied; of an animation the first frame is taken.
///
/// # Errors
/// [`ImageError`] says which: not an image, not supported, over the limits (nothing has been decoded then),
/// truncated, corrupt.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage, ImageError> {
    let (image, orientation) = match ImageFormat::of(bytes)? {
        ImageFormat::Jpeg => jpeg::open(bytes, limits)?.decode()?,
        format => decode_other(format, bytes, limits)?,
    };
    upright(image, orientation)
}

/// The stored pixels, and which way up they are.
fn decode_other(
    format: ImageFormat,
    bytes: &[u8],
    limits: &Limits,
) -> Result<(RgbImage, Orientation), ImageError> {
    let (info, mut decoder) = open(format, bytes, limits)?;
    if !truncation::is_complete(info.format, bytes) {
        return Err(ImageError::Truncated { format: info.format });
    }
    let failed = |error| ImageError::from_decoder(info.format, error);
    let pixels = u64::from(info.width) * u64::from(info.height);
    decoder.set_limits(decoder_limits(pixels)).map_err(failed)?;
    // Metadata that cannot be read is no reason to refuse a picture that can.
    let exif = decoder.exif_metadata().ok().flatten();
    let xmp = decoder.xmp_metadata().ok().flatten();
    let orientation = exif.and_then(|exif| orientation::of_exif(&exif));
    let orientation = orientation.or_else(|| orientation::of_xmp(&xmp?)).unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    Ok((RgbImage::new(image.width(), image.height(), to_rgb8(image))?, orientation))
}

/// The picture as its metadata want it seen.
fn upright(image: RgbImage, orientation: Orientation) -> Result<RgbImage, ImageError> {
    if orientation == Orientation::NoTransforms {
        return Ok(image);
    }
    let (width, height) = (image.width(), image.height());
    let stored = image::RgbImage::from_raw(width, height, image.into_data());
    let mut image = DynamicImage::ImageRgb8(stored.unwrap_or_default());
    image.apply_orientation(orientation);
    let image = image.into_rgb8();
    Ok(RgbImage::new(image.width(), image.height(), image.into_raw())?)
}

/// The header and a decoder that has read no further.
fn open<'a>(
    format: ImageFormat,
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<(ImageInfo, impl ImageDecoder + 'a), ImageError> {
    // The PNG decoder reads on to the first pixels before it answers, but its header is always in the same place.
    if format == ImageFormat::Png
        && let Some(&[w0, w1, w2, w3, h0, h1, h2, h3]) = bytes.get(16..24)
    {
        limits.check(u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]))?;
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format.of_image_crate());
    reader.limits(decoder_limits(0));
    let decoder = reader.into_decoder().map_err(|error| match ImageError::from_decoder(format, error) {
        // The decoder's words for a header that breaks off vary; the missing end is the plainer fact.
        ImageError::Corrupt { .. } if !truncation::is_complete(format, bytes) => ImageError::Truncated { format },
        error => error,
    })?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    Ok((ImageInfo { format, width, height }, decoder))
}

/// What a decoder may allocate beside the result: a second canvas of 16-bit RGBA, and room for metadata, which is
/// compressed and so can be a bomb of its own.
fn decoder_limits(pixels: u64) -> image::Limits {
    const METADATA_BYTES: u64 = 64 << 20;
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(pixels.saturating_mul(8).saturating_add(METADATA_BYTES));
    limits
}

/// 8-bit RGB by PIL's rules. Written out because `image` rounds 16 bits to 8 where PIL and libpng take the high byte.
fn to_rgb8(image: DynamicImage) -> Vec<u8> {
    let high = |value: u16| value.to_be_bytes()[0];
    match image {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageLuma8(image) => image.as_raw().iter().flat_map(|&grey| [grey; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => image.as_raw().chunks_exact(2).flat_map(|p| [p[0]; 3]).collect(),
        DynamicImage::ImageRgba8(image) => image.as_raw().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
        DynamicImage::ImageLuma16(image) => image.as_raw().iter().flat_map(|&grey| [high(grey); 3]).collect(),
        DynamicImage::ImageLumaA16(image) => image.as_raw().chunks_exact(2).flat_map(|p| [high(p[0]); 3]).collect(),
        DynamicImage::ImageRgb16(image) => image.as_raw().iter().map(|&value| high(value)).collect(),
        DynamicImage::ImageRgba16(image) => {
            image.as_raw().chunks_exact(4).flat_map(|p| [high(p[0]), high(p[1]), high(p[2])]).collect()
        }
        other => other.into_rgb8().into_raw(),
    }
}
