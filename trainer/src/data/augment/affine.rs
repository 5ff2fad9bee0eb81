//! Rotation, shear and translation: PIL's affine transform of an image onto one of the same size.

use models::preprocess::{PreprocessError, RgbImage};
use serde::{Deserialize, Serialize};

use super::pixels::{at, build};

/// How a pixel between pixels is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// The pixel that it lies in.
    #[default]
    Nearest,
    /// The four around it, by their distance.
    Bilinear,
}

/// What pixels come from, and what stands where nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Drawing {
    pub(super) interpolation: Interpolation,
    pub(super) fill: [u8; 3],
}

/// From a place in the result to one in the source: `x = a x' + b y' + c`, `y = d x' + e y' + f`.
type Matrix = [f64; 6];

/// `Image.rotate` about the centre, by degrees against the clock.
pub(super) fn rotate(image: &RgbImage, degrees: f64, drawing: Drawing) -> Result<RgbImage, PreprocessError> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let degrees = degrees.rem_euclid(360.0);
    // PIL turns by right angles without rounding anything.
    if degrees == 0.0 {
        return Ok(image.clone());
    }
    if degrees == 180.0 {
        return build((image.width(), image.height()), |x, y| at(image, width - 1 - x, height - 1 - y));
    }
    if width == height && degrees == 90.0 {
        return build((image.width(), image.height()), |x, y| at(image, width - 1 - y, x));
    }
    if width == height && degrees == 270.0 {
        return build((image.width(), image.height()), |x, y| at(image, y, height - 1 - x));
    }
    let angle = -degrees.to_radians();
    let [cos, sin] = [angle.cos(), angle.sin()].map(fifteen_places);
    let (cx, cy) = (width as f64 / 2.0, height as f64 / 2.0);
    let c = cos * -cx + sin * -cy + cx;
    let f = -sin * -cx + cos * -cy + cy;
    transform(image, [cos, sin, c, -sin, cos, f], drawing)
}

/// Shears about the top left corner so that a line moves by `slope` pixels for each pixel from it: `RandAugment`'s
/// `ShearX` if columns move along, `ShearY` if rows do.
pub(super) fn shear_x(image: &RgbImage, slope: f64, drawing: Drawing) -> Result<RgbImage, PreprocessError> {
    transform(image, [1.0, slope.atan().to_degrees().to_radians().tan(), 0.0, 0.0, 1.0, 0.0], drawing)
}

/// As [`shear_x`], down instead of along.
pub(super) fn shear_y(image: &RgbImage, slope: f64, drawing: Drawing) -> Result<RgbImage, PreprocessError> {
    let shear = slope.atan().to_degrees().to_radians();
    // torchvision's `_get_inverse_affine_matrix` with an angle of zero.
    let (c, a) = ((-shear).sin() / shear.cos(), (-shear).cos() / shear.cos());
    transform(image, [1.0, 0.0, 0.0, -c, a, 0.0], drawing)
}

/// Moves the image by whole pixels, right and down.
pub(super) fn translate(image: &RgbImage, (x, y): (i32, i32), drawing: Drawing) -> Result<RgbImage, PreprocessError> {
    transform(image, [1.0, 0.0, f64::from(-x), 0.0, 1.0, f64::from(-y)], drawing)
}

/// Python's `round(x, 15)`.
fn fifteen_places(x: f64) -> f64 {
    format!("{x:.15}").parse().unwrap_or(x)
}

fn transform(image: &RgbImage, matrix: Matrix, drawing: Drawing) -> Result<RgbImage, PreprocessError> {
    let Drawing { interpolation, fill } = drawing;
    let size = (image.width(), image.height());
    match interpolation {
        Interpolation::Nearest => {
            let places = Fixed::new(matrix);
            build(size, |x, y| places.source(x, y, size).map_or(fill, |(x, y)| at(image, x, y)))
        }
        Interpolation::Bilinear => build(size, |x, y| {
            let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
            let [a, b, c, d, e, f] = matrix;
            bilinear(image, a * x + b * y + c, d * x + e * y + f).unwrap_or(fill)
        }),
    }
}

/// PIL's `affine_fixed`: a matrix in 16.16 fixed point, from the centres of pixels.
struct Fixed([i64; 6]);

impl Fixed {
    fn new([a, b, c, d, e, f]: Matrix) -> Self {
        let fix = |number: f64| (number * 65_536.0 + 0.5).floor() as i64;
        Self([fix(a), fix(b), fix(c + a * 0.5 + b * 0.5), fix(d), fix(e), fix(f + d * 0.5 + e * 0.5)])
    }

    /// The pixel of the source that a pixel of the result shows, if it lies within.
    fn source(&self, x: usize, y: usize, (width, height): (u32, u32)) -> Option<(usize, usize)> {
        let [a, b, c, d, e, f] = self.0;
        let (x, y) = (x as i64, y as i64);
        let inside = |place: i64, end: u32| (0..i64::from(end)).contains(&place).then_some(place as usize);
        Some((inside((c + a * x + b * y) >> 16, width)?, inside((f + d * x + e * y) >> 16, height)?))
    }
}

/// PIL's `bilinear_filter32RGB`: neighbours beyond the edge are the edge's, and the result is cut off, not rounded.
fn bilinear(image: &RgbImage, x: f64, y: f64) -> Option<[u8; 3]> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    if !(x >= 0.0 && x < width as f64 && y >= 0.0 && y < height as f64) {
        return None;
    }
    let (x, y) = (x - 0.5, y - 0.5);
    let (left, top) = (x.floor(), y.floor());
    let (dx, dy) = (x - left, y - top);
    let clip = |place: f64, end: usize| (place.max(0.0) as usize).min(end - 1);
    let [x0, x1] = [left, left + 1.0].map(|place| clip(place, width));
    let [y0, y1] = [top, top + 1.0].map(|place| clip(place, height));
    let corners = [at(image, x0, y0), at(image, x1, y0), at(image, x0, y1), at(image, x1, y1)];
    Some(std::array::from_fn(|channel| {
        let [a, b, c, d] = corners.map(|pixel| f64::from(pixel[channel]));
        let (above, below) = (a + (b - a) * dx, c + (d - c) * dx);
        (above + (below - above) * dy) as u8
    }))
}
