//! `RandAugment` (Cubuk et al. 2019, arXiv 1909.13719) with torchvision's operations and magnitudes.

use models::preprocess::{PreprocessError, RgbImage};

use super::affine::{self, Drawing};
use super::random::Random;
use super::{color, levels};

/// How many magnitudes there are, from nothing to the strongest.
pub(super) const BINS: u32 = 31;

/// The operations in torchvision's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Saturation,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

use Operation as O;

pub(super) const OPERATIONS: [Operation; 14] = [
    O::Identity,
    O::ShearX,
    O::ShearY,
    O::TranslateX,
    O::TranslateY,
    O::Rotate,
    O::Brightness,
    O::Saturation,
    O::Contrast,
    O::Sharpness,
    O::Posterize,
    O::Solarize,
    O::AutoContrast,
    O::Equalize,
];

impl Operation {
    /// torchvision's `RandAugment._augmentation_space` for an image of `(width, height)`: slopes, pixels, degrees, factors
    /// about one, bits, a threshold.
    pub(super) fn magnitude(self, bin: u32, (width, height): (u32, u32)) -> f64 {
        let share = f64::from(bin) / f64::from(BINS - 1);
        match self {
            O::Identity | O::AutoContrast | O::Equalize => 0.0,
            O::ShearX | O::ShearY => 0.3 * share,
            O::TranslateX => 150.0 / 331.0 * f64::from(width) * share,
            O::TranslateY => 150.0 / 331.0 * f64::from(height) * share,
            O::Rotate => 30.0 * share,
            O::Brightness | O::Saturation | O::Contrast | O::Sharpness => 0.9 * share,
            O::Posterize => 8.0 - (4.0 * share).round_ties_even(),
            O::Solarize => 255.0 * (1.0 - share),
        }
    }

    /// Whether it also goes the other way.
    fn signed(self) -> bool {
        !matches!(self, O::Identity | O::Posterize | O::Solarize | O::AutoContrast | O::Equalize)
    }

    /// torchvision's `_apply_op`.
    pub(super) fn apply(self, image: &RgbImage, magnitude: f64, drawing: Drawing) -> Result<RgbImage, PreprocessError> {
        match self {
            O::Identity => Ok(image.clone()),
            O::ShearX => affine::shear_x(image, magnitude, drawing),
            O::ShearY => affine::shear_y(image, magnitude, drawing),
            O::TranslateX => affine::translate(image, (magnitude as i32, 0), drawing),
            O::TranslateY => affine::translate(image, (0, magnitude as i32), drawing),
            O::Rotate => affine::rotate(image, magnitude, drawing),
            O::Brightness => color::brightness(image, 1.0 + magnitude),
            O::Saturation => color::saturation(image, 1.0 + magnitude),
            O::Contrast => color::contrast(image, 1.0 + magnitude),
            O::Sharpness => color::sharpness(image, 1.0 + magnitude),
            O::Posterize => levels::posterize(image, magnitude as u32),
            O::Solarize => levels::solarize(image, magnitude),
            O::AutoContrast => levels::autocontrast(image),
            O::Equalize => levels::equalize(image),
        }
    }
}

/// Random operations, one after the other, all of one magnitude. Operations that have two directions go either way.
#[derive(Debug, Clone, Copy)]
pub(super) struct RandAugment {
    /// How many operations there are.
    pub(super) operations: u32,
    /// The magnitude, below [`BINS`].
    pub(super) bin: u32,
    pub(super) drawing: Drawing,
}

impl RandAugment {
    pub(super) fn apply(self, image: &RgbImage, random: &mut Random) -> Result<RgbImage, PreprocessError> {
        let mut image = image.clone();
        for _ in 0..self.operations {
            let operation = OPERATIONS[random.below(OPERATIONS.len() as u32) as usize];
            let magnitude = operation.magnitude(self.bin, (image.width(), image.height()));
            let sign = if operation.signed() && random.chance(0.5) { -1.0 } else { 1.0 };
            image = operation.apply(&image, sign * magnitude, self.drawing)?;
        }
        Ok(image)
    }
}
