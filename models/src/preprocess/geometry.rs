use std::cell::RefCell;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::{Filter, ImageError, Limits, Preprocess, PreprocessError, Resize, RgbImage};

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

impl Preprocess {
    /// Resizes and crops as torchvision does to a PIL image, within one grey level.
    ///
    /// Only the crop's window is ever resized. An image smaller than the crop is padded with black on all sides, as
    /// torchvision does.
    ///
    /// # Errors
    /// [`ImageError::Parameters`] if they are not valid; [`ImageError::TooElongated`] if nothing is cropped off and the
    /// result would exceed the limits.
    pub fn fit(&self, image: &RgbImage, limits: &Limits) -> Result<RgbImage, ImageError> {
        self.validate()?;
        let (width, height) = (image.width(), image.height());
        let (resized_width, resized_height) = self.resized((width, height))?;
        if self.crop.is_none() && resized_width.saturating_mul(resized_height) > limits.max_pixels {
            return Err(ImageError::TooElongated { width, height, resized_width, resized_height, limits: *limits });
        }
        let x = Axis::new(width, resized_width, self.crop.map(|crop| crop.width));
        let y = Axis::new(height, resized_height, self.crop.map(|crop| crop.height));
        let region = Region { left: x.start, top: y.start, width: x.length, height: y.length };
        let window = resample(image, region, (y.visible, x.visible), self.filter)?;
        if (x.visible, y.visible) == (x.output, y.output) {
            return Ok(window);
        }
        Ok(window.padded((x.padding, y.padding), (x.output, y.output)))
    }

    /// Size after resizing, `(width, height)`, by torchvision's `_compute_resized_output_size`.
    fn resized(&self, (width, height): (u32, u32)) -> Result<(u64, u64), ImageError> {
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

/// One axis of resize and centre crop: which stretch of the source becomes which pixels of the result.
struct Axis {
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

impl Axis {
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

thread_local! {
    /// It owns the buffer between the two passes, which is worth keeping from image to image.
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// Resamples a region of an image to `(height, width)` pixels, antialiased. A region of exactly that many whole pixels
/// is copied.
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
    let (filter, radius) = match filter {
        // Its weights are all positive, so the order of the passes is a matter of rounding only.
        Filter::Bilinear => return convolve(image, region, (height, width), FilterType::Bilinear),
        Filter::Bicubic => (FilterType::CatmullRom, 2.0),
        Filter::Lanczos => (FilterType::Lanczos3, 3.0),
    };
    // These overshoot at edges, and what overshoots is clipped between the passes. Left to itself the resizer starts
    // with the columns; PIL starts with the rows, and the two ways differ by up to twenty levels beside hard edges.
    let region = within(region, image)?;
    let reach = radius * (region.height / f64::from(height)).max(1.0) + 1.0;
    let first = (region.top - reach).floor().max(0.0);
    let last = (region.top + region.height + reach).ceil().min(image.height().into());
    let rows = Region { top: first, height: last - first, ..region };
    let across = convolve(image, rows, ((last - first) as u32, width), filter)?;
    let columns = Region { left: 0.0, top: region.top - first, width: width.into(), height: region.height };
    convolve(&across, columns, (height, width), filter)
}

/// What a region within the image becomes, in one go.
fn convolve(
    image: &RgbImage,
    region: Region,
    (height, width): (u32, u32),
    filter: FilterType,
) -> Result<RgbImage, PreprocessError> {
    let refused = |reason: String| PreprocessError::Region { reason };
    let region = within(region, image)?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(filter))
        .crop(region.left, region.top, region.width, region.height)
        .use_alpha(false);
    let source = ImageRef::new(image.width(), image.height(), image.data(), PixelType::U8x3)
        .map_err(|error| refused(error.to_string()))?;
    let mut result = Image::new(width, height, PixelType::U8x3);
    RESIZER
        .with_borrow_mut(|resizer| resizer.resize(&source, &mut result, &options))
        .map_err(|error| refused(error.to_string()))?;
    RgbImage::new(width, height, result.into_vec())
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
