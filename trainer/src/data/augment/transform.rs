//! One random change of an image.

use models::Preprocess;
use models::preprocess::{RgbImage, resample};
use serde::{Deserialize, Serialize};

use super::affine::{self, Drawing, Interpolation};
use super::crop::{self, Shape};
use super::geometry::{self, Window};
use super::rand_augment::{self, RandAugment};
use super::random::Random;
use super::{AugmentError, color};

/// One random change of an image, as a recipe names it. Probabilities are 0..=1, colours red, green, blue, 0..=255.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Transform {
    /// Left becomes right (torchvision's `RandomHorizontalFlip`).
    HorizontalFlip {
        /// How often it happens, 0..=1.
        #[serde(default = "half")]
        probability: f64,
    },
    /// Top becomes bottom (`RandomVerticalFlip`).
    VerticalFlip {
        /// How often it happens, 0..=1.
        #[serde(default = "half")]
        probability: f64,
    },
    /// A part of the image, resampled to the network's size instead of what the preprocessing does (`RandomResizedCrop`).
    RandomResizedCrop {
        /// The part's share of the area, from and to.
        #[serde(default = "crop_scale")]
        scale: [f64; 2],
        /// Its width to its height, from and to.
        #[serde(default = "crop_ratio")]
        ratio: [f64; 2],
    },
    /// The shorter side to a random length, then a crop of the network's size anywhere, instead of what the preprocessing
    /// does: the scale jittering of the VGG paper (section 3.1), and the scale augmentation of He et al. 2015 (section 3.4).
    ScaledCrop {
        /// The length, from and to, in pixels; never less than the network's larger side.
        shorter_side: [u32; 2],
    },
    /// A border all around, then a crop of the old size anywhere (`RandomCrop` with `padding`).
    PadAndCrop {
        /// Width of the border, in pixels.
        #[serde(default = "four")]
        padding: u32,
        /// The fill colour.
        #[serde(default)]
        fill: [u8; 3],
    },
    /// Brightness, contrast, saturation and hue in a random order (`ColorJitter`).
    #[serde(rename = "colour-jitter")]
    ColorJitter {
        /// The factor is 1 plus or minus this, but not below 0.
        #[serde(default)]
        brightness: f64,
        /// The same for this factor.
        #[serde(default)]
        contrast: f64,
        /// The same for this factor.
        #[serde(default)]
        saturation: f64,
        /// The share of the circle, 0..=0.5, that hues turn by at most, either way.
        #[serde(default)]
        hue: f64,
    },
    /// About the centre (`RandomRotation`).
    Rotation {
        /// By so many degrees at most, 0..=180, either way.
        degrees: f64,
        /// How pixels between pixels are found.
        #[serde(default)]
        interpolation: Interpolation,
        /// The colour of the corners that the image leaves empty.
        #[serde(default)]
        fill: [u8; 3],
    },
    /// Some of fourteen operations at one magnitude (`RandAugment`).
    RandAugment {
        /// How many operations, one after the other.
        #[serde(default = "two")]
        operations: u32,
        /// The magnitude, 0..=30.
        #[serde(default = "nine")]
        magnitude: u32,
        /// How pixels between pixels are found.
        #[serde(default)]
        interpolation: Interpolation,
        /// What shows where the image was moved away.
        #[serde(default)]
        fill: [u8; 3],
    },
    /// A rectangle of one colour (`RandomErasing`, before normalisation).
    RandomErasing {
        /// How often it happens, 0..=1.
        #[serde(default = "half")]
        probability: f64,
        /// The rectangle's share of the area, from and to.
        #[serde(default = "erase_scale")]
        scale: [f64; 2],
        /// Its height to its width, from and to.
        #[serde(default = "erase_ratio")]
        ratio: [f64; 2],
        /// The fill colour.
        #[serde(default)]
        fill: [u8; 3],
    },
}

fn half() -> f64 {
    0.5
}

fn two() -> u32 {
    2
}

fn four() -> u32 {
    4
}

fn nine() -> u32 {
    9
}

pub(super) fn crop_scale() -> [f64; 2] {
    [0.08, 1.0]
}

pub(super) fn crop_ratio() -> [f64; 2] {
    [3.0 / 4.0, 4.0 / 3.0]
}

fn erase_scale() -> [f64; 2] {
    [0.02, 0.33]
}

fn erase_ratio() -> [f64; 2] {
    [0.3, 3.3]
}

impl Transform {
    /// Whether the result has the network's size whatever comes in.
    pub(super) fn fits(&self) -> bool {
        matches!(self, Transform::RandomResizedCrop { .. } | Transform::ScaledCrop { .. })
    }

    /// Checks the range of every number.
    ///
    /// # Errors
    /// [`AugmentError::Parameter`] naming the first that does not.
    pub(super) fn validate(&self) -> Result<(), AugmentError> {
        let probability = |p: f64| (0.0..=1.0).contains(&p);
        let scale = |[low, high]: [f64; 2]| low > 0.0 && low <= high && high <= 1.0;
        let ratio = |[low, high]: [f64; 2]| low > 0.0 && low <= high && high.is_finite();
        let strength = |s: f64| s.is_finite() && s >= 0.0;
        let checks: Vec<(bool, &str, &str)> = match *self {
            Transform::HorizontalFlip { probability: p } | Transform::VerticalFlip { probability: p } => {
                vec![(probability(p), "probability", "from 0 to 1")]
            }
            Transform::RandomResizedCrop { scale: s, ratio: r } => vec![
                (scale(s), "scale", "two shares, above 0, at most 1, the smaller first"),
                (ratio(r), "ratio", "two positive numbers, the smaller first"),
            ],
            Transform::ScaledCrop { shorter_side: [low, high] } => {
                let right = 0 < low && low <= high && high <= Preprocess::MAX_SIDE;
                vec![(right, "shorter_side", "two lengths from 1 to 8192, the smaller first")]
            }
            Transform::PadAndCrop { padding, .. } => vec![(padding <= 256, "padding", "at most 256 pixels")],
            Transform::ColorJitter { brightness, contrast, saturation, hue } => vec![
                (strength(brightness), "brightness", "zero or more"),
                (strength(contrast), "contrast", "zero or more"),
                (strength(saturation), "saturation", "zero or more"),
                ((0.0..=0.5).contains(&hue), "hue", "from 0 to 0.5"),
            ],
            Transform::Rotation { degrees, .. } => vec![((0.0..=180.0).contains(&degrees), "degrees", "from 0 to 180")],
            Transform::RandAugment { operations, magnitude, .. } => vec![
                (operations <= 16, "operations", "at most 16"),
                (magnitude < rand_augment::BINS, "magnitude", "from 0 to 30"),
            ],
            Transform::RandomErasing { probability: p, scale: s, ratio: r, .. } => vec![
                (probability(p), "probability", "from 0 to 1"),
                (scale(s), "scale", "two shares, above 0, at most 1, the smaller first"),
                (ratio(r), "ratio", "two positive numbers, the smaller first"),
            ],
        };
        match checks.into_iter().find(|(right, ..)| !right) {
            Some((_, parameter, wanted)) => {
                Err(AugmentError::Parameter { parameter: parameter.to_owned(), wanted: wanted.to_owned() })
            }
            None => Ok(()),
        }
    }

    /// The image changed. Chances are drawn in a fixed order, whatever they decide.
    pub(super) fn apply(
        &self,
        image: RgbImage,
        preprocess: &Preprocess,
        random: &mut Random,
    ) -> Result<RgbImage, AugmentError> {
        let size = (image.width(), image.height());
        Ok(match *self {
            Transform::HorizontalFlip { probability } if random.chance(probability) => geometry::mirrored(&image)?,
            Transform::VerticalFlip { probability } if random.chance(probability) => geometry::upside_down(&image)?,
            Transform::HorizontalFlip { .. } | Transform::VerticalFlip { .. } => image,
            Transform::RandomResizedCrop { scale, ratio } => {
                let output = preprocess.output_size().ok_or(AugmentError::Size)?;
                let window = crop::resized(random, size, Shape { scale, ratio });
                geometry::resized_crop(&image, window, output, preprocess.filter)?
            }
            Transform::ScaledCrop { shorter_side } => {
                let output = preprocess.output_size().ok_or(AugmentError::Size)?;
                let region = crop::scaled(random, size, shorter_side, output);
                resample(&image, region, output, preprocess.filter)?
            }
            Transform::PadAndCrop { padding, fill } => {
                let [top, left] = [0; 2].map(|_: u32| random.below(2 * padding + 1));
                let window = Window { left, top, width: size.0, height: size.1 };
                geometry::padded_crop(&image, padding, window, fill)?
            }
            Transform::ColorJitter { brightness, contrast, saturation, hue } => {
                jitter(image, [brightness, contrast, saturation], hue, random)?
            }
            Transform::Rotation { degrees, interpolation, fill } => {
                let angle = random.uniform([-degrees, degrees]);
                affine::rotate(&image, angle, Drawing { interpolation, fill })?
            }
            Transform::RandAugment { operations, magnitude, interpolation, fill } => {
                let drawing = Drawing { interpolation, fill };
                RandAugment { operations, bin: magnitude, drawing }.apply(&image, random)?
            }
            Transform::RandomErasing { probability, scale, ratio, fill } => {
                let erase = random.chance(probability);
                match crop::erased(random, size, Shape { scale, ratio }).filter(|_| erase) {
                    Some(window) => geometry::erased(&image, window, fill)?,
                    None => image,
                }
            }
        })
    }
}

/// torchvision's `ColorJitter`: the order first, then the factors, then each operation whose strength is not zero.
fn jitter(mut image: RgbImage, strengths: [f64; 3], hue: f64, random: &mut Random) -> Result<RgbImage, AugmentError> {
    let order = random.order();
    let factors = strengths.map(|strength| random.uniform([(1.0 - strength).max(0.0), 1.0 + strength]));
    let turn = random.uniform([-hue, hue]);
    for operation in order {
        image = match operation {
            3 if hue > 0.0 => color::hue(&image, turn)?,
            0 if strengths[0] > 0.0 => color::brightness(&image, factors[0])?,
            1 if strengths[1] > 0.0 => color::contrast(&image, factors[1])?,
            2 if strengths[2] > 0.0 => color::saturation(&image, factors[2])?,
            _ => image,
        };
    }
    Ok(image)
}
