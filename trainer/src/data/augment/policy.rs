//! Augmentations that have a name.

use serde::{Deserialize, Serialize};

use super::transform::{crop_ratio, crop_scale};
use super::{Augmentation, Interpolation, Transform};

/// An augmentation by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AugmentationPolicy {
    /// Every image as the preprocessing gives it.
    #[default]
    None,
    /// Half of the images mirrored.
    Flip,
    /// torchvision's ImageNet training: a random part of the image, half of them mirrored.
    Standard,
    /// He et al. 2015 on CIFAR-10: a border of four black pixels, a crop of the old size, half of them mirrored.
    Cifar,
    /// Standard, then two operations of `RandAugment` at magnitude 9, then a rectangle erased from a quarter.
    Strong,
}

impl AugmentationPolicy {
    /// What it stands for.
    #[must_use]
    pub fn augmentation(self) -> Augmentation {
        let flip = Transform::HorizontalFlip { probability: 0.5 };
        let crop = Transform::RandomResizedCrop { scale: crop_scale(), ratio: crop_ratio() };
        let black = [0; 3];
        Augmentation(match self {
            AugmentationPolicy::None => vec![],
            AugmentationPolicy::Flip => vec![flip],
            AugmentationPolicy::Standard => vec![crop, flip],
            AugmentationPolicy::Cifar => vec![Transform::PadAndCrop { padding: 4, fill: black }, flip],
            AugmentationPolicy::Strong => vec![
                crop,
                flip,
                Transform::RandAugment {
                    operations: 2,
                    magnitude: 9,
                    interpolation: Interpolation::Nearest,
                    fill: black,
                },
                Transform::RandomErasing { probability: 0.25, scale: [0.02, 0.33], ratio: [0.3, 3.3], fill: black },
            ],
        })
    }
}
