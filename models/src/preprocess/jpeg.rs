//! JPEG through libjpeg-turbo, the decoder that PIL has, so that decoded pixels equal PIL's to the bit.
//!
//! Networks are trained on PIL's pixels. Another decoder rounds its inverse DCT and interpolates chroma differently,
//! which is up to six grey levels a pixel. The library also decides as PIL does what is truncated: a file is complete
//! when every row was decoded before the bytes ran out, whether or not an end marker follows.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use mozjpeg::decompress::DecompressStarted;
use mozjpeg::{ColorSpace, Decompress, Marker};

use super::lines::{LineSink, Size};
use super::pixels::WholeImage;
use super::source::{Exhausted, Source};
use super::{ColorMode, Decoding, ImageError, ImageFormat, ImageInfo, ImageTraits, Limits, orientation};
use crate::failure::panic_message;

/// Scans of a progressive file. Encoders write about ten; each further one costs the whole picture's time again, so a
/// file of a megabyte could occupy a core for minutes.
const MAX_SCANS: usize = 500;

/// A JPEG whose header has been read and is within the limits.
pub(super) struct Jpeg<'a> {
    info: ImageInfo,
    orientation: Orientation,
    decoder: Decompress<Source<'a>>,
    exhausted: Exhausted,
}

/// Reads the header.
///
/// # Errors
/// [`ImageError`] as [`decode`](super::decode()) has it.
pub(super) fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Jpeg<'a>, ImageError> {
    // Before the library sees it: its own limit is 65,500 pixels a side, and it does not say how many there are.
    if let Some((width, height)) = frame_size(bytes) {
        limits.check(width, height)?;
    }
    let (source, exhausted) = Source::new(bytes);
    let metadata = &[Marker::APP(1)];
    let decoder = guarded(&exhausted, || Decompress::builder().with_markers(metadata).from_reader(source))?;
    let [width, height] = [decoder.width(), decoder.height()].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    if scans(bytes) > MAX_SCANS {
        let reason = format!("it has more than {MAX_SCANS} scans");
        return Err(ImageError::UnsupportedEncoding { format: ImageFormat::Jpeg, reason });
    }
    let orientation = orientation::of_segments(decoder.markers().map(|marker| marker.data));
    Ok(Jpeg { info: ImageInfo { format: ImageFormat::Jpeg, width, height }, orientation, decoder, exhausted })
}

impl<'a> Jpeg<'a> {
    pub(super) fn info(&self) -> ImageInfo {
        self.info
    }

    /// How it stores its pixels. What has other than one, three or four channels is refused when it is decoded.
    pub(super) fn traits(&self) -> ImageTraits {
        let mode = match self.decoder.components().len() {
            1 => ColorMode::Gray,
            4 => ColorMode::Cmyk,
            _ => ColorMode::Rgb,
        };
        ImageTraits::of_8_bits(mode, self.orientation)
    }

    /// Begins to decode.
    pub(super) fn start(self, decoding: Decoding) -> Result<OpenedJpeg<'a>, ImageError> {
        let Self { info: ImageInfo { width, height, .. }, orientation, mut decoder, exhausted } = self;
        let whole = WholeImage { width, height, divisor: decoding.divisor(width, height) };
        // In eighths.
        decoder.scale(8 / whole.divisor);
        let colors = match decoder.components().len() {
            1 | 3 => ColorSpace::JCS_RGB,
            4 => ColorSpace::JCS_CMYK,
            // PIL refuses these too: nothing says what the channels are.
            count => return Err(unsupported(format!("it has {count} color channels"))),
        };
        let decoder = guarded(&exhausted, || decoder.to_colorspace(colors))?;
        Ok(OpenedJpeg { whole, orientation, decoder, exhausted })
    }
}

/// A JPEG that is being decoded.
pub(super) struct OpenedJpeg<'a> {
    whole: WholeImage,
    orientation: Orientation,
    decoder: DecompressStarted<Source<'a>>,
    exhausted: Exhausted,
}

impl OpenedJpeg<'_> {
    /// Of the pixels that come.
    pub(super) fn size(&self) -> Size {
        let [width, height] = [self.decoder.width(), self.decoder.height()];
        let [width, height] = [width, height].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        Size { width, height }
    }

    pub(super) fn whole(&self) -> WholeImage {
        self.whole
    }

    pub(super) fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// RGB as stored.
    pub(super) fn read(self, sink: &mut impl LineSink) -> Result<(), ImageError> {
        let Self { mut decoder, exhausted, .. } = self;
        let (width, height) = (decoder.width(), decoder.height());
        guarded(&exhausted, || {
            if decoder.color_space() == ColorSpace::JCS_CMYK {
                let mut inks = vec![0; 4 * width];
                for _ in 0..height {
                    decoder.read_scanlines_into(&mut inks)?;
                    rgb_of_inverted_cmyk(&inks, sink.line());
                }
            } else {
                for _ in 0..height {
                    decoder.read_scanlines_into(sink.line())?;
                }
            }
            Ok(())
        })?;
        if exhausted.get() { Err(ImageError::Truncated { format: ImageFormat::Jpeg }) } else { Ok(()) }
    }
}

/// Runs the library, which reports its errors by unwinding. The panic hook does not run for them.
fn guarded<T>(exhausted: &Exhausted, run: impl FnOnce() -> io::Result<T>) -> Result<T, ImageError> {
    let message = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic_message(&*panic).to_owned(),
    };
    Err(if exhausted.get() { ImageError::Truncated { format: ImageFormat::Jpeg } } else { refusal(&message) })
}

/// What the library's messages (`jerror.h`) mean to whoever sent the file. `true` where the file may be sound.
const REFUSALS: [(&str, bool, &str); 7] = [
    ("Unsupported JPEG process", true, "it is lossless or hierarchical JPEG"),
    ("Unsupported JPEG data precision", true, "it has more than 8 bits a channel"),
    ("sampling not implemented", true, "its color channels have resolutions of an unusual ratio"),
    ("Sampling factors too large", true, "its color channels have resolutions of an unusual ratio"),
    ("Unsupported color conversion", true, "its color space is unknown"),
    ("table 0x", false, "a table that its data need is missing"),
    ("Bogus", false, "its header contradicts itself"),
];

fn refusal(message: &str) -> ImageError {
    let format = ImageFormat::Jpeg;
    match REFUSALS.iter().find(|(words, ..)| message.contains(words)) {
        Some((_, true, reason)) => unsupported((*reason).to_owned()),
        Some((_, false, reason)) => ImageError::Corrupt { format, reason: (*reason).to_owned() },
        None => ImageError::Corrupt { format, reason: "its parts do not fit together".to_owned() },
    }
}

fn unsupported(reason: String) -> ImageError {
    ImageError::UnsupportedEncoding { format: ImageFormat::Jpeg, reason }
}

/// RGB of four-channel pixels as Adobe's programs store them, inverted, by PIL's arithmetic (`cmyk2rgb` of
/// `Convert.c`).
fn rgb_of_inverted_cmyk(pixels: &[u8], rgb: &mut [u8]) {
    let product = |a: u8, b: u8| {
        let product = u32::from(a) * u32::from(b) + 128;
        (((product >> 8) + product) >> 8) as u8
    };
    for (pixel, rgb) in pixels.chunks_exact(4).zip(rgb.chunks_exact_mut(3)) {
        rgb.copy_from_slice(&[0, 1, 2].map(|ink| pixel[3] - product(255 - pixel[ink], pixel[3])));
    }
}

/// The segments of a file up to its end marker, each with its marker's code (ITU-T T.81, B.1). What lies between a scan's
/// header and the next marker is passed over.
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    const END_OF_IMAGE: u8 = 0xd9;
    let mut rest = bytes;
    std::iter::from_fn(move || {
        loop {
            let (marker, after) = next_marker(rest)?;
            match marker {
                END_OF_IMAGE => return None,
                // A stuffed zero, restart markers and others without a length.
                0x00 | 0x01 | 0xd0..=0xd8 => rest = after,
                _ => {
                    let length = usize::from(u16::from_be_bytes([*after.first()?, *after.get(1)?])).max(2);
                    let segment = after.get(2..length.min(after.len()))?;
                    rest = after.get(length..).unwrap_or_default();
                    return Some((marker, segment));
                }
            }
        }
    })
}

/// Width and height in pixels, as the frame's header declares them.
fn frame_size(bytes: &[u8]) -> Option<(u32, u32)> {
    // The other three codes of the range are tables and extensions.
    let is_frame = |marker| matches!(marker, 0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc));
    let (_, header) = segments(bytes).find(|&(marker, _)| is_frame(marker))?;
    let &[_, h0, h1, w0, w1, ..] = header else { return None };
    Some((u16::from_be_bytes([w0, w1]).into(), u16::from_be_bytes([h0, h1]).into()))
}

fn scans(bytes: &[u8]) -> usize {
    const START_OF_SCAN: u8 = 0xda;
    segments(bytes).filter(|&(marker, _)| marker == START_OF_SCAN).count()
}

/// The code of the next marker, and what comes after it.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let start = bytes.iter().position(|&byte| byte == 0xff)?;
    let code = start + bytes[start..].iter().position(|&byte| byte != 0xff)?;
    Some((bytes[code], &bytes[code + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_are_counted_outside_of_segments() {
        const START: &[u8] = &[0xff, 0xd8];
        const SCAN: &[u8] = &[0xff, 0xda, 0, 3, 7, 1, 0xff, 0, 0xff, 0xd0, 2];
        const END: &[u8] = &[0xff, 0xd9];
        let thumbnail = [&[0xff, 0xe1, 0, 15], START, SCAN].concat();
        let cases = [
            ("one", [START, SCAN, END].concat(), 1),
            ("three, cut off", [START, SCAN, SCAN, SCAN].concat(), 3),
            ("a thumbnail's does not count", [START, &thumbnail, SCAN, END].concat(), 1),
            ("a second picture's does not count", [START, SCAN, END, START, SCAN].concat(), 1),
        ];
        cases.iter().for_each(|(name, bytes, count)| assert_eq!(scans(bytes), *count, "{name}"));
    }

    /// Pillow 13: `Image.frombytes("CMYK", (1, 1), bytes([255 - v for v in pixel])).convert("RGB")`.
    #[test]
    fn inverted_cmyk_becomes_pils_rgb() {
        let pixels = [200, 100, 50, 255, 200, 100, 50, 128, 7, 8, 9, 0, 255, 255, 255, 255];
        let mut rgb = [0; 12];
        rgb_of_inverted_cmyk(&pixels, &mut rgb);
        assert_eq!(rgb, [200, 100, 50, 100, 50, 25, 0, 0, 0, 255, 255, 255]);
    }
}
