//! Augmentations that have a name.

use serde::{Deserialize, Serialize};

use super::transform::{crop_ratio, crop_scale};
use super::{Augmentation, Interpolation, Transform};

/// The random changes to training images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum AugmentationPolicy {
    /// Training images are taken as they are.
    #[default]
    None,
    /// Mirrors half of the images.
    Flip,
    /// Random resized crop, then mirrors half of the images: torchvision's ImageNet training.
    Standard,
    /// Pads by four pixels, crops to the old size, and mirrors half of the images (He et al. 2015 on CIFAR-10).
    Cifar,
    /// `standard`, two operations of `RandAugment` at magnitude 9, and random erasing in a quarter of the images.
    Strong,
}

impl AugmentationPolicy {
    /// The transforms, in order.
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
