//! Colored areas, painted one over another.

use models::preprocess::RgbImage;

/// A point: x from the left and y from the top, both 0..1 of the image's side.
pub(super) type Point = [f32; 2];

/// Red, green and blue, 0..255.
pub(super) type Color = [f32; 3];

/// An area of one color.
#[derive(Debug, Clone)]
pub(super) struct Area {
    pub(super) outline: Outline,
    pub(super) color: Color,
}

/// Where an area ends.
#[derive(Debug, Clone)]
pub(super) enum Outline {
    Disc { center: Point, radius: f32 },
    Polygon(Vec<Point>),
}

/// Points of a pixel along one side that are looked at, so that edges are smooth.
const SAMPLES: usize = 3;

impl Outline {
    /// The outline turned about the middle of the image by an angle in radians, shrunk, and moved.
    pub(super) fn placed(&self, placement: Placement) -> Self {
        match self {
            Self::Disc { center, radius } => {
                Self::Disc { center: placement.of(*center), radius: radius * placement.scale }
            }
            Self::Polygon(corners) => Self::Polygon(corners.iter().map(|corner| placement.of(*corner)).collect()),
        }
    }

    /// Whether a point is inside; of a polygon, by how often a ray to the right crosses its sides.
    fn contains(&self, [x, y]: Point) -> bool {
        match self {
            Self::Disc { center: [cx, cy], radius } => (x - cx).powi(2) + (y - cy).powi(2) <= radius.powi(2),
            Self::Polygon(corners) => {
                let next = corners.iter().cycle().skip(1);
                let crosses = |&([ax, ay], [bx, by]): &(Point, Point)| {
                    (ay > y) != (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax
                };
                corners.iter().copied().zip(next.copied()).filter(crosses).count() % 2 == 1
            }
        }
    }
}

/// Where a drawing goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placement {
    /// The new size in units of the old.
    pub(super) scale: f32,
    /// In radians, clockwise.
    pub(super) angle: f32,
    /// Added to x and y.
    pub(super) shift: Point,
    /// Whether left and right are exchanged.
    pub(super) mirrored: bool,
}

impl Placement {
    fn of(self, [x, y]: Point) -> Point {
        let (x, y) = (if self.mirrored { 0.5 - x } else { x - 0.5 }, y - 0.5);
        let (sin, cos) = self.angle.sin_cos();
        [0.5 + self.shift[0] + self.scale * (x * cos - y * sin), 0.5 + self.shift[1] + self.scale * (x * sin + y * cos)]
    }
}

/// Paints areas over a background, which is given for each point; `noise` is added to every byte before it is rounded.
pub(super) fn paint(
    side: u32,
    background: impl Fn(Point) -> Color,
    areas: &[Area],
    mut noise: impl FnMut() -> f32,
) -> Option<RgbImage> {
    let step = 1.0 / (side as f32 * SAMPLES as f32);
    let mut data = Vec::with_capacity(3 * (side * side) as usize);
    for row in 0..side as usize {
        for column in 0..side as usize {
            let mut sum = [0.0; 3];
            for sample in 0..SAMPLES * SAMPLES {
                let at = |pixel: usize, offset: usize| ((pixel * SAMPLES + offset) as f32 + 0.5) * step;
                let point = [at(column, sample % SAMPLES), at(row, sample / SAMPLES)];
                let area = areas.iter().rev().find(|area| area.outline.contains(point));
                let color = area.map_or_else(|| background(point), |area| area.color);
                sum.iter_mut().zip(color).for_each(|(sum, color)| *sum += color);
            }
            let mean = sum.map(|sum| sum / (SAMPLES * SAMPLES) as f32);
            data.extend(mean.map(|value| (value + noise()).round().clamp(0.0, 255.0) as u8));
        }
    }
    RgbImage::new(side, side, data).ok()
}
