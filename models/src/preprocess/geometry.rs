use super::lines::Size;
use super::opened::Opened;
use super::pixels::{Canvas, WholeImage};
use super::resample::{LineResampler, Region, resample};
use super::{ImageError, Limits, Preprocess, Resize, RgbImage};

impl Preprocess {
    /// Resizes and crops as torchvision does to a PIL image.
    ///
    /// Only the crop's window is ever resized. An image smaller than the crop is padded with black on all sides, as
    /// torchvision does.
    ///
    /// # Errors
    /// [`ImageError::Parameters`] if they are not valid; [`ImageError::TooElongated`] if nothing is cropped off and the
    /// result would exceed the limits.
    pub fn fit(&self, image: &RgbImage, limits: &Limits) -> Result<RgbImage, ImageError> {
        self.validate()?;
        let window = self.window(image.whole(), limits)?;
        let resized = resample(image, window.region, (window.visible.height, window.visible.width), self.filter)?;
        Ok(window.place(resized))
    }

    /// The same for an image whose lines come one after another.
    ///
    /// # Errors
    /// As [`Preprocess::fit`], and those of the decoder.
    pub(super) fn fit_lines(&self, image: Opened<'_>, limits: &Limits) -> Result<RgbImage, ImageError> {
        let window = self.window(image.whole(), limits)?;
        let mut resampler = LineResampler::new(image.size(), window.region, window.visible, self.filter)?;
        image.read(&mut resampler)?;
        Ok(window.place(resampler.finish()?))
    }

    /// What of a picture is resized, to what.
    fn window(&self, whole: WholeImage, limits: &Limits) -> Result<Window, ImageError> {
        // An image that was decoded at a fraction of the size becomes what the whole one would: a pixel more or less of the resized
        // picture would shift the crop.
        let WholeImage { width, height, divisor } = whole;
        let (resized_width, resized_height) = self.resized(width, height)?;
        if self.crop.is_none() && resized_width.saturating_mul(resized_height) > limits.max_pixels {
            return Err(ImageError::TooElongated { width, height, resized_width, resized_height, limits: *limits });
        }
        let x = ResizeAxis::new(width, resized_width, self.crop.map(|crop| crop.width));
        let y = ResizeAxis::new(height, resized_height, self.crop.map(|crop| crop.height));
        let [left, top, width, height] = [x.start, y.start, x.length, y.length].map(|side| side / f64::from(divisor));
        let region = Region { left, top, width, height };
        let visible = Size { width: x.visible, height: y.visible };
        let canvas = Canvas { left: x.padding, top: y.padding, width: x.output, height: y.output };
        Ok(Window { region, visible, canvas })
    }

    /// Size after resizing, `(width, height)`, by torchvision's `_compute_resized_output_size`.
    fn resized(&self, width: u32, height: u32) -> Result<(u64, u64), ImageError> {
        let (shorter, longer) = (width.min(height), width.max(height));
        match self.resize {
            // There is nothing to divide by, and nothing to resize.
            _ if shorter == 0 => Err(ImageError::ZeroSized { width, height }),
            Resize::None => Ok((width.into(), height.into())),
            Resize::Exact { width, height } => Ok((width.into(), height.into())),
            Resize::ShorterSide { size } => {
                let size = u64::from(size);
                // Truncated as by Python's `int`, not rounded.
                let long = size * u64::from(longer) / u64::from(shorter);
                Ok(if width <= height { (size, long) } else { (long, size) })
            }
        }
    }
}

/// What of a picture is resized, to what.
struct Window {
    region: Region,
    /// What it is resized to.
    visible: Size,
    /// Where that lies in the result.
    canvas: Canvas,
}

impl Window {
    fn place(&self, resized: RgbImage) -> RgbImage {
        let Self { visible, canvas, .. } = self;
        let fits = (visible.width, visible.height) == (canvas.width, canvas.height);
        if fits { resized } else { resized.padded(*canvas) }
    }
}

/// One axis of resize and centre crop: which stretch of the source becomes which pixels of the result.
struct ResizeAxis {
    /// Where the stretch begins, in source pixels.
    start: f64,
    /// How long it is, in source pixels.
    length: f64,
    /// How many pixels it becomes.
    visible: u32,
    /// How many black pixels come before them.
    padding: u32,
    /// How many pixels the result has.
    output: u32,
}

impl ResizeAxis {
    /// torchvision's `center_crop` after a resize from `source` to `resized` pixels.
    fn new(source: u32, resized: u64, crop: Option<u32>) -> Self {
        // Above 2^32 only if there is a crop, which is then far smaller.
        let crop = crop.unwrap_or(u32::try_from(resized).unwrap_or(u32::MAX));
        let scale = f64::from(source) / resized as f64;
        if let Ok(resized) = u32::try_from(resized)
            && resized < crop
        {
            let padding = (crop - resized) / 2;
            return Self { start: 0.0, length: source.into(), visible: resized, padding, output: crop };
        }
        // Python's `round` takes halves to the even neighbour; rounding them up would shift the crop by a pixel.
        let offset = ((resized - u64::from(crop)) as f64 / 2.0).round_ties_even();
        Self { start: offset * scale, length: f64::from(crop) * scale, visible: crop, padding: 0, output: crop }
    }
}
