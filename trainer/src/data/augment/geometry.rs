//! Flips, crops and borders.

use models::preprocess::{Filter, PreprocessError, Region, RgbImage, resample};

use super::pixels::{at, build};

/// A rectangle of whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// The image mirrored left to right.
pub(super) fn mirrored(image: &RgbImage) -> Result<RgbImage, PreprocessError> {
    let last = image.width() as usize - 1;
    build((image.width(), image.height()), |x, y| at(image, last - x, y))
}

/// The image mirrored top to bottom.
pub(super) fn upside_down(image: &RgbImage) -> Result<RgbImage, PreprocessError> {
    let last = image.height() as usize - 1;
    build((image.width(), image.height()), |x, y| at(image, x, last - y))
}

/// `torchvision.transforms.functional.resized_crop`: the window is cut out first, so that nothing outside of it shows in
/// the result, then resampled to `(height, width)`.
pub(super) fn resized_crop(
    image: &RgbImage,
    window: Window,
    size: (u32, u32),
    filter: Filter,
) -> Result<RgbImage, PreprocessError> {
    let cut = shifted(image, window, [0; 3])?;
    if (window.height, window.width) == size {
        return Ok(cut);
    }
    let whole = Region { left: 0.0, top: 0.0, width: window.width.into(), height: window.height.into() };
    resample(&cut, whole, size, filter)
}

/// A window of an image.
fn shifted(image: &RgbImage, window: Window, fill: [u8; 3]) -> Result<RgbImage, PreprocessError> {
    padded_crop(image, 0, window, fill)
}

/// A window of an image with a border of `pad` pixels; the window counts from the border's corner.
pub(super) fn padded_crop(
    image: &RgbImage,
    pad: u32,
    window: Window,
    fill: [u8; 3],
) -> Result<RgbImage, PreprocessError> {
    let place = |start: u32, offset: usize, end: u32| {
        let place = (start as usize + offset).checked_sub(pad as usize)?;
        (place < end as usize).then_some(place)
    };
    build((window.width, window.height), |x, y| {
        let x = place(window.left, x, image.width());
        let y = place(window.top, y, image.height());
        x.zip(y).map_or(fill, |(x, y)| at(image, x, y))
    })
}

/// The window filled with a colour.
pub(super) fn erased(image: &RgbImage, window: Window, fill: [u8; 3]) -> Result<RgbImage, PreprocessError> {
    let within = |place: usize, start: u32, length: u32| (start..start + length).contains(&(place as u32));
    build((image.width(), image.height()), |x, y| {
        let inside = within(x, window.left, window.width) && within(y, window.top, window.height);
        if inside { fill } else { at(image, x, y) }
    })
}
