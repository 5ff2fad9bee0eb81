//! PIL's resampling, to the bit.
//!
//! Pretrained networks were trained and measured on images that PIL resized, and a network's logits feel single grey
//! levels: with a resizer that rounds differently in a fifth of the pixels they move by half a percent. So this is
//! Pillow's `Resample.c` over again: weights in 22-bit fixed point, rows first, what overshoots clipped between the passes.

use pulp::{Simd, WithSimd};

use super::lines::{LineSink, Size};
use super::{Filter, PreprocessError, RgbImage};
use crate::simd::arch;

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
    let source = Size { width: image.width(), height: image.height() };
    let passes = passes(source, region, Size { width, height }, filter)?;
    let (first, last) = passes.down.reach();
    let line = 3 * image.width() as usize;
    let source = &image.data()[first * line..last * line];
    let mut rows = Rows::new(&passes);
    arch().dispatch(Across { source, line, taps: &passes.across, rows: &mut rows });
    passes.down(&rows.result)
}

fn passes(source: Size, region: Region, size: Size, filter: Filter) -> Result<Passes, PreprocessError> {
    let Size { width, height } = size;
    if height == 0 || width == 0 {
        return Err(PreprocessError::Region { reason: format!("the result is {width}x{height} pixels") });
    }
    let region = within(region, source)?;
    let across = Taps::new(filter, Stretch { start: region.left, length: region.width, side: source.width }, width);
    let down = Taps::new(filter, Stretch { start: region.top, length: region.height, side: source.height }, height);
    Ok(Passes { across, down, size: Size { width, height } })
}

/// The two passes of a resize.
struct Passes {
    across: Taps,
    down: Taps,
    /// Of the result.
    size: Size,
}

impl Passes {
    /// From what the first pass has made of the lines within reach.
    fn down(&self, rows: &[u8]) -> Result<RgbImage, PreprocessError> {
        let columns = Columns { rows, above: self.down.reach().0, taps: &self.down };
        RgbImage::new(self.size.width, self.size.height, arch().dispatch(columns))
    }
}

/// A resize of an image whose lines come one after another, as a decoder has them. The image itself is held nowhere: for twelve
/// megapixels that is 36 MB, whose pages the kernel takes longer to clear than resizing takes.
pub(super) struct LineResampler {
    passes: Passes,
    /// Lines that wait until there are as many as are resampled together.
    lines: Vec<u8>,
    /// Bytes of a line.
    line: usize,
    /// How many lines have been handed out.
    count: usize,
    rows: Rows,
}

impl LineResampler {
    /// # Errors
    /// As [`resample()`].
    pub(super) fn new(source: Size, region: Region, size: Size, filter: Filter) -> Result<Self, PreprocessError> {
        let passes = passes(source, region, size, filter)?;
        let line = 3 * source.width as usize;
        Ok(Self { rows: Rows::new(&passes), passes, lines: vec![0; LINES * line], line, count: 0 })
    }

    /// The result, when all lines are there.
    pub(super) fn finish(mut self) -> Result<RgbImage, PreprocessError> {
        self.resample();
        self.passes.down(&self.rows.result)
    }

    /// Resamples the lines that wait.
    fn resample(&mut self) {
        let (first, end) = self.passes.down.reach();
        let waiting = (self.count.min(end) - first.min(self.count)) * self.rows.width() - self.rows.result.len();
        let source = &self.lines[..waiting / self.rows.width() * self.line];
        arch().dispatch(Across { source, line: self.line, taps: &self.passes.across, rows: &mut self.rows });
    }
}

impl LineSink for LineResampler {
    fn line(&mut self) -> &mut [u8] {
        let (first, end) = self.passes.down.reach();
        let place = self.count.clamp(first, end) - first;
        if place.is_multiple_of(LINES) {
            self.resample();
        }
        self.count += 1;
        &mut self.lines[place % LINES * self.line..][..self.line]
    }
}

/// Levels that are added up together: they fill some vector registers.
const LEVELS: usize = 32;
/// Lines whose pixels are resampled together, each pixel filled up to four levels.
const LINES: usize = LEVELS / 4;

/// What the first pass makes.
struct Rows {
    result: Vec<u8>,
    /// Of each pixel of a line within reach that of all the lines.
    pixels: Vec<u8>,
    /// Pixels of a line of the result.
    columns: usize,
}

impl Rows {
    fn new(Passes { across, down, .. }: &Passes) -> Self {
        let ((first, end), (top, bottom)) = (across.reach(), down.reach());
        let columns = across.0.len();
        let result = Vec::with_capacity((bottom - top) * 3 * columns);
        Self { result, pixels: vec![0; (end - first) * LEVELS], columns }
    }

    /// Levels of a line of the result.
    fn width(&self) -> usize {
        3 * self.columns
    }
}

/// The first pass: every line by itself, to as many pixels as there are taps.
struct Across<'a> {
    source: &'a [u8],
    /// Levels of a line of the source.
    line: usize,
    taps: &'a Taps,
    rows: &'a mut Rows,
}

// All that a kernel calls is inlined: what is not would be compiled for processors without vector instructions. A closure would not be.
impl WithSimd for Across<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { source, line, taps, rows: Rows { result, pixels, .. } } = self;
        let width = 3 * taps.0.len();
        let (first, end) = taps.reach();
        let done = result.len();
        result.resize(done + source.len() / line * width, 0);
        for (sources, results) in source.chunks(LINES * line).zip(result[done..].chunks_mut(LINES * width)) {
            for (row, source) in sources.chunks_exact(line).enumerate() {
                let source = &source[3 * first..3 * end];
                for (at, pixels) in pixels.chunks_exact_mut(LEVELS).enumerate() {
                    copy_pixel(&source[3 * at..], &mut pixels[4 * row..]);
                }
            }
            for (at, (start, weights)) in taps.0.iter().enumerate() {
                let mut levels = [0; LEVELS];
                add_up(&pixels[(start - first) * LEVELS..], LEVELS, weights, &mut levels);
                for (result, pixel) in results.chunks_exact_mut(width).zip(levels.chunks_exact(4)) {
                    copy_pixel(pixel, &mut result[3 * at..]);
                }
            }
        }
    }
}

/// Copies three levels, and a fourth where there is room for it, which is that of another pixel or none: a number of four bytes is
/// moved at once, and were the fourth sum never looked at, the compiler would leave it out and add up the others one by one.
#[inline(always)]
fn copy_pixel(from: &[u8], to: &mut [u8]) {
    match (from.first_chunk::<4>(), to.first_chunk_mut::<4>()) {
        (Some(from), Some(to)) => *to = *from,
        _ => to[..3].copy_from_slice(&from[..3]),
    }
}

/// The second pass: whole lines added up.
struct Columns<'a> {
    rows: &'a [u8],
    /// How many lines of the image come before the first one here.
    above: usize,
    taps: &'a Taps,
}

impl WithSimd for Columns<'_> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<u8> {
        let Self { rows, above, taps } = self;
        let width = rows.len() / (taps.reach().1 - above).max(1);
        let mut result = vec![0; width * taps.0.len()];
        for (result, (first, weights)) in result.chunks_exact_mut(width).zip(&taps.0) {
            let rows = &rows[(first - above) * width..][..weights.len() * width];
            let (parts, rest) = result.as_chunks_mut();
            for (part, result) in parts.iter_mut().enumerate() {
                add_up::<LEVELS>(&rows[part * LEVELS..], width, weights, result);
            }
            let start = width / LEVELS * LEVELS;
            for (column, result) in rest.as_chunks_mut().0.iter_mut().enumerate() {
                add_up::<1>(&rows[start + column..], width, weights, result);
            }
        }
        result
    }
}

/// The first levels of some rows of this width, weighted.
#[inline(always)]
fn add_up<const N: usize>(rows: &[u8], width: usize, weights: &[i32], result: &mut [u8; N]) {
    let mut sums = [HALF; N];
    for (row, &weight) in rows.chunks(width).zip(weights) {
        for (sum, &level) in sums.iter_mut().zip(&row[..N]) {
            // Below 2^31 in any case; with a check of it, as in debug builds, this would take no vector instructions.
            *sum = sum.wrapping_add(i32::from(level).wrapping_mul(weight));
        }
    }
    // Not `map`, a function that is not inlined here, and so has no vector instructions.
    for (result, sum) in result.iter_mut().zip(sums) {
        *result = level(sum);
    }
}

/// Added before the places behind the point are cut off, which rounds.
const HALF: i32 = 1 << (PRECISION - 1);

/// A sum of weighted grey levels as a grey level.
#[inline(always)]
fn level(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// The region clipped to the image. Products of scale and size overshoot by a rounding error; more is refused.
fn within(region: Region, image: Size) -> Result<Region, PreprocessError> {
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
    let width = clip(region.left, region.width, image.width)?;
    let height = clip(region.top, region.height, image.height)?;
    Ok(Region { width, height, ..region })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests in `models/tests` hold `resample` against PIL.
    #[test]
    fn lines_one_after_another_become_what_the_whole_image_does() {
        let all = |width: f64, height: f64| Region { left: 0.0, top: 0.0, width, height };
        let cases = [
            (1, 1, all(1.0, 1.0), (3, 2)),
            (5, 40, all(5.0, 40.0), (7, 9)),
            (31, 8, all(31.0, 8.0), (4, 4)),
            (31, 16, Region { left: 3.5, top: 4.25, width: 20.0, height: 7.5 }, (5, 6)),
            (40, 61, Region { left: 0.0, top: 30.0, width: 40.0, height: 20.0 }, (20, 33)),
            (40, 61, Region { left: 39.0, top: 60.0, width: 1.0, height: 1.0 }, (2, 2)),
        ];
        for (width, height, region, size) in cases {
            let levels = (0..3 * width * height).map(|at| (at * 7919 % 256) as u8).collect();
            let image = RgbImage::new(width, height, levels).unwrap();
            for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
                let whole = resample(&image, region, size, filter).unwrap();
                let [source, size] = [(height, width), size].map(|(height, width)| Size { width, height });
                let mut lines = LineResampler::new(source, region, size, filter).unwrap();
                for line in image.data().chunks_exact(3 * width as usize) {
                    lines.line().copy_from_slice(line);
                }
                assert_eq!(lines.finish().unwrap(), whole, "{width}x{height} {region:?} {filter:?}");
            }
        }
    }
}
