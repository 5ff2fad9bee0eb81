//! Drawings of four things, no two alike: enough to see a fine-tune work where there are no photographs at hand.

use models::preprocess::RgbImage;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::drawing::{Area, Color, Outline, Placement, Point, paint};

/// A thing that is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A hull with a mast and a sail.
    Boat,
    /// Petals around a disc, on a stem.
    Flower,
    /// A wall with a roof, a door and a window.
    House,
    /// A trunk with a round crown or two triangles.
    Tree,
}

/// All things that are drawn, in the order of their names.
pub const THINGS: [Thing; 4] = [Thing::Boat, Thing::Flower, Thing::House, Thing::Tree];

/// Width and height of a drawing, in pixels.
const SIDE: u32 = 160;
/// Standard noise on every byte: half of its range, in levels.
const NOISE: f32 = 10.0;

impl Thing {
    /// The name of its class.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boat => "boat",
            Self::Flower => "flower",
            Self::House => "house",
            Self::Tree => "tree",
        }
    }

    /// A drawing of it, equal for equal seeds: other colors, another place, size and turn for each seed. `None` if there is
    /// no memory for it.
    #[must_use]
    pub fn draw(self, seed: u64) -> Option<RgbImage> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(THINGS.len() as u64).wrapping_add(self as u64));
        let placement = Placement {
            scale: rng.random_range(0.65..1.05),
            angle: rng.random_range(-0.2..0.2),
            shift: [rng.random_range(-0.12..0.12), rng.random_range(-0.1..0.1)],
            mirrored: rng.random_bool(0.5),
        };
        let areas: Vec<Area> = self.areas(&mut rng);
        let areas: Vec<Area> =
            areas.into_iter().map(|area| Area { outline: area.outline.placed(placement), ..area }).collect();
        let (above, below) =
            (shade(&mut rng, [150.0, 185.0, 225.0], 45.0), shade(&mut rng, [120.0, 150.0, 110.0], 60.0));
        let horizon = rng.random_range(0.55..0.9);
        let background = |[_, y]: Point| if y < horizon { above.map(|value| value + 25.0 * y) } else { below };
        paint(SIDE, background, &areas, || rng.random_range(-NOISE..NOISE))
    }

    /// What it is made of, the farthest first, in an upright image.
    fn areas(self, rng: &mut ChaCha8Rng) -> Vec<Area> {
        match self {
            Self::Boat => boat(rng),
            Self::Flower => flower(rng),
            Self::House => house(rng),
            Self::Tree => tree(rng),
        }
    }
}

fn boat(rng: &mut ChaCha8Rng) -> Vec<Area> {
    let (bow, top) = (rng.random_range(0.85..0.95), rng.random_range(0.1..0.25));
    vec![
        polygon(&[[0.48, top], [0.51, top], [0.51, 0.65], [0.48, 0.65]], shade(rng, [90.0, 60.0, 40.0], 25.0)),
        polygon(&[[0.53, top + 0.03], [0.86, 0.58], [0.53, 0.6]], shade(rng, [225.0, 220.0, 205.0], 30.0)),
        polygon(&[[0.46, top + 0.12], [0.2, 0.58], [0.46, 0.6]], vivid(rng)),
        polygon(&[[0.08, 0.64], [bow, 0.64], [0.75, 0.84], [0.22, 0.84]], vivid(rng)),
    ]
}

fn flower(rng: &mut ChaCha8Rng) -> Vec<Area> {
    let (petals, length) = (rng.random_range(5..10_usize), rng.random_range(0.17..0.22_f32));
    let (color, radius) = (vivid(rng), rng.random_range(0.09..0.13));
    let green = shade(rng, [60.0, 130.0, 55.0], 35.0);
    let petal = |number: usize| {
        let angle = std::f32::consts::TAU * number as f32 / petals as f32;
        disc([0.5 + length * angle.cos(), 0.36 + length * angle.sin()], 0.085 + 0.35 / petals as f32, color)
    };
    let mut areas = vec![
        polygon(&[[0.485, 0.4], [0.515, 0.4], [0.53, 0.98], [0.49, 0.98]], green),
        polygon(&[[0.51, 0.8], [0.62, 0.66], [0.75, 0.67], [0.63, 0.78]], green),
    ];
    areas.extend((0..petals).map(petal));
    areas.push(disc([0.5, 0.36], radius, shade(rng, [235.0, 190.0, 60.0], 40.0)));
    areas
}

fn house(rng: &mut ChaCha8Rng) -> Vec<Area> {
    let (roof, door) = (rng.random_range(0.12..0.26), rng.random_range(0.3..0.55));
    let wall = shade(rng, [205.0, 190.0, 165.0], 50.0);
    let pane = shade(rng, [110.0, 150.0, 190.0], 40.0);
    vec![
        rectangle([0.66, roof], [0.74, 0.4], shade(rng, [140.0, 80.0, 70.0], 30.0)),
        rectangle([0.2, 0.42], [0.8, 0.88], wall),
        polygon(&[[0.12, 0.45], [0.5, roof], [0.88, 0.45]], shade(rng, [160.0, 65.0, 55.0], 50.0)),
        rectangle([door, 0.62], [door + 0.13, 0.88], shade(rng, [95.0, 65.0, 45.0], 40.0)),
        rectangle([0.25, 0.5], [0.25 + 0.1, 0.6], pane),
        rectangle([0.63, 0.52], [0.75, 0.64], pane),
    ]
}

fn tree(rng: &mut ChaCha8Rng) -> Vec<Area> {
    let trunk = rectangle([0.45, 0.55], [0.55, 0.95], shade(rng, [100.0, 70.0, 45.0], 25.0));
    let green = shade(rng, [55.0, 120.0, 50.0], 45.0);
    let mut areas = vec![trunk];
    if rng.random_bool(0.5) {
        areas.push(polygon(&[[0.2, 0.72], [0.5, 0.28], [0.8, 0.72]], green));
        areas.push(polygon(&[[0.26, 0.5], [0.5, 0.08], [0.74, 0.5]], green.map(|value| value + 12.0)));
    } else {
        let mut crown = |x: f32, y: f32| disc([x, y], rng.random_range(0.15..0.21), green);
        areas.extend([crown(0.36, 0.45), crown(0.64, 0.45), crown(0.42, 0.27), crown(0.6, 0.28), crown(0.5, 0.4)]);
    }
    areas
}

fn disc(center: Point, radius: f32, color: Color) -> Area {
    Area { outline: Outline::Disc { center, radius }, color }
}

fn polygon(corners: &[Point], color: Color) -> Area {
    Area { outline: Outline::Polygon(corners.to_vec()), color }
}

fn rectangle([left, top]: Point, [right, bottom]: Point, color: Color) -> Area {
    polygon(&[[left, top], [right, top], [right, bottom], [left, bottom]], color)
}

/// A color near this one, by up to so many levels a channel.
fn shade(rng: &mut ChaCha8Rng, color: Color, spread: f32) -> Color {
    color.map(|value| (value + rng.random_range(-spread..spread)).clamp(0.0, 255.0))
}

/// Any color that is not gray: one channel high, one low, one between.
fn vivid(rng: &mut ChaCha8Rng) -> Color {
    let first = rng.random_range(0..3_usize);
    let (high, between, low) =
        (rng.random_range(190.0..250.0), rng.random_range(40.0..220.0), rng.random_range(20.0..70.0));
    let mut color = [between; 3];
    color[first] = high;
    color[(first + 1 + rng.random_range(0..2_usize)) % 3] = low;
    color
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_equal_pictures_and_others_do_not() {
        for thing in THINGS {
            let drawn = thing.draw(7);
            assert!(drawn.is_some());
            assert_eq!(drawn, thing.draw(7));
            assert_ne!(drawn, thing.draw(8));
        }
        assert_ne!(Thing::Boat.draw(7), Thing::Tree.draw(7));
    }
}
