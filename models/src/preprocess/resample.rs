//! PIL's resampling, to the bit.
//!
//! Pretrained networks were trained and measured on images that PIL resized, and a network's logits feel single grey
//! levels: with a resizer that rounds differently in a fifth of the pixels they move by half a percent. So this is
//! Pillow's `Resample.c` over again: weights in 22-bit fixed point, rows first, what overshoots clipped between the passes.

use super::{Filter, PreprocessError, RgbImage};

/// A rectangle in an image, in pixels from its top left corner. May begin and end between pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Left edge.
    pub left: f64,
    /// Top edge.
    pub top: f64,
    /// Width, above zero.
    pub width: f64,
    /// Height, above zero.
    pub height: f64,
}

/// Binary places of a weight (Pillow's `PRECISION_BITS`). A sum of 255 times weights that add up to one, with the
/// overshoot of the sharpest filter, stays below 2^31.
const PRECISION: u32 = 32 - 8 - 2;

impl Filter {
    /// How far the filter reaches, in pixels of the coarser of the two images.
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    /// The weight at a distance.
    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            _ if x >= self.support() => 0.0,
            Filter::Bilinear => 1.0 - x,
            // Keys 1981 with a = -1/2.
            Filter::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Filter::Bicubic => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Filter::Lanczos => sinc(x) * sinc(x / 3.0),
        }
    }
}

fn sinc(x: f64) -> f64 {
    let x = x * std::f64::consts::PI;
    if x == 0.0 { 1.0 } else { x.sin() / x }
}

/// A part of one axis of the source, in pixels.
#[derive(Clone, Copy)]
struct Stretch {
    start: f64,
    length: f64,
    /// The side of the whole image.
    side: u32,
}

/// One axis of a resize: for each pixel of the result, where its source pixels begin and what they weigh.
struct Taps(Vec<(usize, Vec<i32>)>);

impl Taps {
    /// Resizes a stretch to `size` pixels.
    fn new(filter: Filter, stretch: Stretch, size: u32) -> Self {
        let Stretch { start, length, side } = stretch;
        let scale = length / f64::from(size);
        // The filter covers as many source pixels as a pixel of the result does, and never less than its own reach.
        let spread = scale.max(1.0);
        let support = filter.support() * spread;
        let tap = |index: u32| {
            let center = start + (f64::from(index) + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let last = ((center + support + 0.5) as usize).min(side as usize);
            let weights = (first..last).map(|pixel| filter.weight((pixel as f64 - center + 0.5) / spread));
            let weights: Vec<f64> = weights.collect();
            let total: f64 = weights.iter().sum();
            let one = f64::from(1 << PRECISION);
            // Halves away from zero, as Pillow rounds here.
            (first, weights.iter().map(|weight| (weight / total * one).round() as i32).collect())
        };
        Self((0..size).map(tap).collect())
    }

    /// The source pixels that are looked at.
    fn reach(&self) -> (usize, usize) {
        let first = self.0.first().map_or(0, |(first, _)| *first);
        let last = self.0.last().map_or(0, |(first, weights)| first + weights.len());
        (first, last)
    }
}

/// Resamples a region of an image to `(height, width)` pixels, antialiased, as `PIL.Image.resize` with its `box`.
///
/// # Errors
/// [`PreprocessError::Region`] unless the region lies in the image and the result has at least one pixel.
pub fn resample(
    image: &RgbImage,
    region: Region,
    (height, width): (u32, u32),
    filter: Filter,
) -> Result<RgbImage, PreprocessError> {
    if height == 0 || width == 0 {
        return Err(PreprocessError::Region { reason: format!("the result is {width}x{height} pixels") });
    }
    let region = within(region, image)?;
    let across = Taps::new(filter, Stretch { start: region.left, length: region.width, side: image.width() }, width);
    let down = Taps::new(filter, Stretch { start: region.top, length: region.height, side: image.height() }, height);
    let (first, last) = down.reach();
    let line = 3 * image.width() as usize;
    let rows = rows(&image.data()[first * line..last * line], line, &across);
    RgbImage::new(width, height, columns(&rows, first, &down))
}

/// The first pass: every line by itself, to as many pixels as there are taps.
fn rows(source: &[u8], line: usize, taps: &Taps) -> Vec<u8> {
    let width = 3 * taps.0.len();
    let mut result = vec![0; source.len() / line * width];
    for (source, result) in source.chunks_exact(line).zip(result.chunks_exact_mut(width)) {
        let (source, _) = source.as_chunks::<3>();
        let (result, _) = result.as_chunks_mut::<3>();
        for (out, (first, weights)) in result.iter_mut().zip(&taps.0) {
            let mut sums = [HALF; 3];
            for (pixel, &weight) in source[*first..].iter().zip(weights) {
                sums.iter_mut().zip(pixel).for_each(|(sum, &level)| *sum += i32::from(level) * weight);
            }
            *out = sums.map(level);
        }
    }
    result
}

/// The second pass: whole lines added up. `above` is how many lines of the image come before the first one here.
fn columns(rows: &[u8], above: usize, taps: &Taps) -> Vec<u8> {
    let lines = taps.reach().1 - above;
    let width = rows.len() / lines.max(1);
    let mut result = Vec::with_capacity(width * taps.0.len());
    let mut sums = vec![0; width];
    for (first, weights) in &taps.0 {
        sums.fill(HALF);
        for (line, &weight) in rows.chunks_exact(width).skip(first - above).zip(weights) {
            sums.iter_mut().zip(line).for_each(|(sum, &level)| *sum += i32::from(level) * weight);
        }
        result.extend(sums.iter().copied().map(level));
    }
    result
}

/// Added before the places behind the point are cut off, which rounds.
const HALF: i32 = 1 << (PRECISION - 1);

/// A sum of weighted grey levels as a grey level.
fn level(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// The region clipped to the image. Products of scale and size overshoot by a rounding error; more is refused.
fn within(region: Region, image: &RgbImage) -> Result<Region, PreprocessError> {
    let clip = |start: f64, length: f64, side: u32| {
        let end = f64::from(side);
        if !(start >= 0.0 && length > 0.0 && start < end && start + length <= end * (1.0 + 1e-9)) {
            let reason = format!("{length} pixels from {start} on do not lie within {side}");
            return Err(PreprocessError::Region { reason });
        }
        let mut length = length.min(end - start);
        while start + length > end {
            length = length.next_down();
        }
        Ok(length)
    };
    let width = clip(region.left, region.width, image.width())?;
    let height = clip(region.top, region.height, image.height())?;
    Ok(Region { width, height, ..region })
}
