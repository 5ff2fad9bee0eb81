//! Brightness, contrast, saturation, sharpness and hue, as `torchvision.transforms.functional` does them to PIL images.

use models::preprocess::{PreprocessError, RgbImage};

use super::pixels::{at, build, gray, map};

/// `adjust_brightness`: 0 is black, 1 the image, more is brighter.
pub(super) fn brightness(image: &RgbImage, factor: f64) -> Result<RgbImage, PreprocessError> {
    map(image, |pixel| blend([0; 3], pixel, factor))
}

/// `adjust_contrast`: 0 is the mean gray, 1 the image, more is starker.
pub(super) fn contrast(image: &RgbImage, factor: f64) -> Result<RgbImage, PreprocessError> {
    let pixels = image.data().as_chunks::<3>().0;
    let sum: u64 = pixels.iter().map(|&pixel| u64::from(gray(pixel))).sum();
    let mean = (sum as f64 / pixels.len().max(1) as f64 + 0.5) as u8;
    map(image, |pixel| blend([mean; 3], pixel, factor))
}

/// `adjust_saturation`: 0 is gray, 1 the image, more is more colourful.
pub(super) fn saturation(image: &RgbImage, factor: f64) -> Result<RgbImage, PreprocessError> {
    map(image, |pixel| blend([gray(pixel); 3], pixel, factor))
}

/// `adjust_sharpness`: 0 is smoothed, 1 the image, more is sharper. PIL's `SMOOTH` weighs a pixel five times and its
/// eight neighbours once; pixels at the edge stay as they are.
pub(super) fn sharpness(image: &RgbImage, factor: f64) -> Result<RgbImage, PreprocessError> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    build((image.width(), image.height()), |x, y| {
        let pixel = at(image, x, y);
        if x == 0 || y == 0 || x + 1 == width || y + 1 == height {
            return pixel;
        }
        let mut sums = pixel.map(|level| 4 * u32::from(level));
        for (dx, dy) in (0..9).map(|place| (place % 3, place / 3)) {
            let neighbor = at(image, x + dx - 1, y + dy - 1);
            sums.iter_mut().zip(neighbor).for_each(|(sum, level)| *sum += u32::from(level));
        }
        // Rounded thirteenths: a half never comes.
        blend(sums.map(|sum| ((2 * sum + 13) / 26) as u8), pixel, factor)
    })
}

/// `adjust_hue`: turns the hue by a share of the circle, -0.5..=0.5, through PIL's 8-bit HSV.
pub(super) fn hue(image: &RgbImage, share: f64) -> Result<RgbImage, PreprocessError> {
    let turn = ((share * 255.0) as i32) as u8;
    map(image, |pixel| {
        let [h, s, v] = hsv(pixel);
        rgb([h.wrapping_add(turn), s, v])
    })
}

/// PIL's `Image.blend`: from the first at 0 to the second at 1 and beyond, in f32, cut off rather than rounded.
fn blend(first: [u8; 3], second: [u8; 3], factor: f64) -> [u8; 3] {
    let factor = factor as f32;
    let mix = |channel: usize| {
        let (a, b) = (i32::from(first[channel]), i32::from(second[channel]));
        // Going to u8 cuts off what is below 0 or above 255.
        (a as f32 + factor * (b - a) as f32) as u8
    };
    [mix(0), mix(1), mix(2)]
}

/// PIL's `rgb2hsv`: f32 where it has floats, f64 where C's constants make it so.
fn hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (high, low) = (r.max(g).max(b), r.min(g).min(b));
    if high == low {
        return [0, 0, high];
    }
    let range = f32::from(high - low);
    let s = range / f32::from(high);
    let [rc, gc, bc] = [r, g, b].map(|level| f32::from(high - level) / range);
    let h = if r == high {
        bc - gc
    } else if g == high {
        (2.0 + f64::from(rc) - f64::from(bc)) as f32
    } else {
        (4.0 + f64::from(gc) - f64::from(rc)) as f32
    };
    let h = ((f64::from(h) / 6.0 + 1.0) % 1.0) as f32;
    [(f64::from(h) * 255.0) as u8, (f64::from(s) * 255.0) as u8, high]
}

/// PIL's `hsv2rgb`.
fn rgb([h, s, v]: [u8; 3]) -> [u8; 3] {
    if s == 0 {
        return [v; 3];
    }
    let turn = f64::from(h) * 6.0 / 255.0;
    let sector = turn.floor();
    let f = f64::from((turn - sector) as f32);
    let s = f64::from((f64::from(s) / 255.0) as f32);
    let value = f64::from(v);
    let level = |share: f64| (value * share).round() as u8;
    let (p, q, t) = (level(1.0 - s), level(1.0 - s * f), level(1.0 - s * (1.0 - f)));
    match sector as u8 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}
