//! GIF: the first frame on its screen, as PIL shows it.

use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, Decoder, MemoryLimit};

use super::source::{Exhausted, Source};
use super::{ImageError, ImageFormat, ImageInfo, Limits, RgbImage};

/// A GIF whose first frame's header has been read.
struct Opened<'a> {
    decoder: Decoder<Source<'a>>,
    exhausted: Exhausted,
    frame: Frame,
    width: u32,
    height: u32,
}

/// Where the first frame lies on the screen.
struct Frame {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    transparent: Option<u8>,
}

pub(super) fn probe(bytes: &[u8], limits: &Limits) -> Result<ImageInfo, ImageError> {
    open(bytes, limits).map(|gif| ImageInfo { format: ImageFormat::Gif, width: gif.width, height: gif.height })
}

/// The screen, filled with the transparent color or else the first of the palette, and the first frame upon it. The
/// screen grows to hold a frame that reaches beyond it.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage, ImageError> {
    let Opened { mut decoder, exhausted, frame, width, height } = open(bytes, limits)?;
    let mut indices = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut indices).map_err(|_| refusal(&exhausted))?;
    // Without any palette the indices are levels of gray.
    let palette =
        decoder.palette().map(<[u8]>::to_vec).unwrap_or_else(|_| (0..=255).flat_map(|level| [level; 3]).collect());
    let color = |index: u8| match palette.get(3 * usize::from(index)..3 * usize::from(index) + 3) {
        Some(color) => [color[0], color[1], color[2]],
        None => [0; 3],
    };
    let background = color(frame.transparent.unwrap_or(0));
    let mut pixels = background.repeat(width as usize * height as usize);
    for (y, row) in indices.chunks_exact(frame.width).take(frame.height).enumerate() {
        let start = 3 * ((frame.top + y) * width as usize + frame.left);
        let place = pixels[start..start + 3 * frame.width].chunks_exact_mut(3);
        place.zip(row).for_each(|(pixel, &index)| pixel.copy_from_slice(&color(index)));
    }
    Ok(RgbImage::new(width, height, pixels)?)
}

fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Opened<'a>, ImageError> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(NonZeroU64::new(limits.max_pixels).unwrap_or(NonZeroU64::MIN)));
    let (source, exhausted) = Source::new(bytes);
    let mut decoder = options.read_info(source).map_err(|_| refusal(&exhausted))?;
    let screen = [decoder.width(), decoder.height()].map(u32::from);
    limits.check(screen[0], screen[1])?;
    let Some(first) = decoder.next_frame_info().map_err(|_| refusal(&exhausted))? else {
        if exhausted.get() {
            return Err(refusal(&exhausted));
        }
        return Err(ImageError::Corrupt { format: ImageFormat::Gif, reason: "it has no picture".to_owned() });
    };
    let frame = Frame {
        left: first.left.into(),
        top: first.top.into(),
        width: first.width.into(),
        height: first.height.into(),
        transparent: first.transparent,
    };
    let width = screen[0].max(u32::from(first.left) + u32::from(first.width));
    let height = screen[1].max(u32::from(first.top) + u32::from(first.height));
    limits.check(width, height)?;
    Ok(Opened { decoder, exhausted, frame, width, height })
}

fn refusal(exhausted: &Exhausted) -> ImageError {
    let format = ImageFormat::Gif;
    if exhausted.get() {
        return ImageError::Truncated { format };
    }
    ImageError::Corrupt { format, reason: "its blocks contradict each other".to_owned() }
}
