//! PNG, row by row, so that a file whose pixels are all there is read whatever became of its end, as in PIL.

use std::io::{Cursor, ErrorKind};

use image::metadata::Orientation;
use png::{BitDepth, ColorType, DecodeOptions, DecodingError, InterlaceInfo, Reader, Transformations};

use super::limits::METADATA_BYTES;
use super::lines::{LineSink, Size};
use super::{ColorMode, ImageError, ImageFormat, ImageInfo, ImageTraits, Limits, orientation};

/// The keyword of the text chunk that holds XMP.
const XMP: &str = "XML:com.adobe.xmp";

/// Width and height, which stand in the same place in every file.
///
/// # Errors
/// [`ImageError::Truncated`] for a file that ends before, [`ImageError::Corrupt`] where something else stands there.
pub(super) fn probe(bytes: &[u8], limits: &Limits) -> Result<ImageInfo, ImageError> {
    let format = ImageFormat::Png;
    let header = bytes.get(12..24).ok_or(ImageError::Truncated { format })?;
    let &[b'I', b'H', b'D', b'R', w0, w1, w2, w3, h0, h1, h2, h3] = header else {
        return Err(ImageError::Corrupt { format, reason: "its header is not at its start".to_owned() });
    };
    let (width, height) = (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
    limits.check(width, height)?;
    Ok(ImageInfo { format, width, height })
}

/// A PNG whose header and metadata have been read.
pub(super) struct OpenedPng<'a> {
    reader: Source<'a>,
    orientation: Orientation,
}

/// Begins to decode.
pub(super) fn start<'a>(bytes: &'a [u8], limits: &Limits) -> Result<OpenedPng<'a>, ImageError> {
    let ImageInfo { width, .. } = probe(bytes, limits)?;
    let mut decoder = open(bytes, width);
    decoder.set_transformations(Transformations::EXPAND);
    let reader = decoder.read_info().map_err(refusal)?;
    Ok(OpenedPng { orientation: turned(&reader), reader })
}

impl OpenedPng<'_> {
    pub(super) fn size(&self) -> Size {
        let (width, height) = self.reader.info().size();
        Size { width, height }
    }

    /// Which way up it is.
    pub(super) fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// The pixels as RGB. Palettes are looked up, alpha is dropped, of 16 bits the high byte stays; of an animation it is
    /// the default image.
    pub(super) fn read(mut self, sink: &mut impl LineSink) -> Result<(), ImageError> {
        let reader = &mut self.reader;
        if reader.info().interlaced {
            interlaced(reader, sink)?
        } else {
            rows(reader, sink)?
        }
        // Behind the pixels are their checksums. They count if they are there.
        match reader.next_row().map_err(refusal) {
            Ok(_) | Err(ImageError::Truncated { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// How the file stores its pixels.
pub(super) fn traits(bytes: &[u8], limits: &Limits) -> Result<ImageTraits, ImageError> {
    let reader = open(bytes, probe(bytes, limits)?.width).read_info().map_err(refusal)?;
    let mode = match reader.info().color_type {
        ColorType::Grayscale => ColorMode::Gray,
        ColorType::GrayscaleAlpha => ColorMode::GrayAlpha,
        ColorType::Indexed => ColorMode::Palette,
        ColorType::Rgb => ColorMode::Rgb,
        ColorType::Rgba => ColorMode::Rgba,
    };
    let deep = reader.info().bit_depth == BitDepth::Sixteen;
    Ok(ImageTraits { deep, ..ImageTraits::of_8_bits(mode, turned(&reader)) })
}

fn open(bytes: &[u8], width: u32) -> png::Decoder<Cursor<&[u8]>> {
    // A row of 16-bit RGBA, and what metadata unpack to, is all that the decoder holds.
    let bytes_allowed = width as usize * 8 + METADATA_BYTES;
    let mut options = DecodeOptions::default();
    // PIL's zlib checks it, and it is the only witness of changed pixels whose chunk was signed again.
    options.set_ignore_adler32(false);
    let mut decoder = png::Decoder::new_with_options(Cursor::new(bytes), options);
    decoder.set_limits(png::Limits { bytes: bytes_allowed });
    decoder
}

fn rows(reader: &mut Source<'_>, sink: &mut impl LineSink) -> Result<(), ImageError> {
    let (width, height) = reader.info().size();
    let layout = Layout::of(reader);
    if layout.is_rgb() {
        for _ in 0..height {
            reader.read_row(sink.line()).map_err(refusal)?;
        }
        return Ok(());
    }
    let mut row = vec![0; width as usize * layout.bytes()];
    for _ in 0..height {
        reader.read_row(&mut row).map_err(refusal)?;
        layout.write_rgb(&row, sink.line());
    }
    Ok(())
}

/// Seven passes over the picture, each finer than the one before (PNG specification, 8.1).
fn interlaced(reader: &mut Source<'_>, sink: &mut impl LineSink) -> Result<(), ImageError> {
    let (width, height) = reader.info().size();
    let layout = Layout::of(reader);
    let stride = width as usize * layout.bytes();
    let (mut image, mut row) = (vec![0; stride * height as usize], vec![0; stride]);
    for _ in 0..passed_rows(width, height) {
        let Some(InterlaceInfo::Adam7(place)) = reader.read_row(&mut row).map_err(refusal)? else { break };
        png::expand_interlaced_row(&mut image, stride, &row, &place, layout.bytes() as u8 * 8);
    }
    image.chunks_exact(stride).for_each(|row| layout.write_rgb(row, sink.line()));
    Ok(())
}

/// Rows of all passes together. A pass without columns has no rows.
fn passed_rows(width: u32, height: u32) -> u32 {
    /// First column and row of a pass, and the distances to the next.
    const PASSES: [[u32; 4]; 7] =
        [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];
    let rows = PASSES.iter().filter(|[column, ..]| *column < width);
    rows.map(|[_, row, _, distance]| height.saturating_sub(*row).div_ceil(*distance)).sum()
}

type Source<'a> = Reader<Cursor<&'a [u8]>>;

/// What a pixel of a row consists of.
#[derive(Clone, Copy)]
struct Layout {
    channels: usize,
    /// Bytes a channel, the high one first.
    depth: usize,
}

impl Layout {
    fn of(reader: &Source<'_>) -> Self {
        let (color, depth) = reader.output_color_type();
        let channels = match color {
            ColorType::Grayscale | ColorType::Indexed => 1,
            ColorType::GrayscaleAlpha => 2,
            ColorType::Rgb => 3,
            ColorType::Rgba => 4,
        };
        Self { channels, depth: if depth == BitDepth::Sixteen { 2 } else { 1 } }
    }

    fn bytes(self) -> usize {
        self.channels * self.depth
    }

    /// Whether rows are as they are wanted.
    fn is_rgb(self) -> bool {
        (self.channels, self.depth) == (3, 1)
    }

    fn write_rgb(self, row: &[u8], rgb: &mut [u8]) {
        let samples = row.chunks_exact(self.bytes()).zip(rgb.chunks_exact_mut(3));
        match (self.channels, self.depth) {
            (1 | 2, _) => samples.for_each(|(pixel, rgb)| rgb.fill(pixel[0])),
            (_, depth) => {
                samples.for_each(|(pixel, rgb)| rgb.copy_from_slice(&[pixel[0], pixel[depth], pixel[2 * depth]]));
            }
        }
    }
}

/// What EXIF says, or else XMP, as far as they stand before the pixels. Metadata that cannot be read are no reason to
/// refuse a picture that can.
fn turned(reader: &Source<'_>) -> Orientation {
    let info = reader.info();
    let exif = || orientation::of_exif(info.exif_metadata.as_deref()?);
    let xmp = || {
        let text = info.utf8_text.iter().find(|text| text.keyword == XMP)?.get_text().ok()?;
        orientation::of_xmp(text.as_bytes())
    };
    exif().or_else(xmp).unwrap_or(Orientation::NoTransforms)
}

/// What the decoder's errors mean to whoever sent the file.
fn refusal(error: DecodingError) -> ImageError {
    let format = ImageFormat::Png;
    let reason = match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            return ImageError::Truncated { format };
        }
        DecodingError::LimitsExceeded => "decoding it takes more memory than its size explains",
        error => match error.to_string() {
            words if words.contains("CRC") => "a checksum does not match, so some of its bytes were changed",
            words if words.contains("deflate") => "its compressed pixels are damaged",
            _ => "its parts contradict each other",
        },
    };
    ImageError::Corrupt { format, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PNG specification, 8.1: an image of 8x8 has 1, 1, 1, 2, 2, 4 and 4 rows.
    #[test]
    fn the_rows_of_all_passes_are_those_of_the_specification() {
        assert_eq!(passed_rows(8, 8), 15);
        assert_eq!(passed_rows(1, 1), 1);
        assert_eq!(passed_rows(1, 8), 1 + 1 + 2 + 4, "passes 1, 3, 5 and 7 alone have column 0");
    }
}
