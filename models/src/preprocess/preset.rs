use std::fmt;

use super::{Crop, Filter, Preprocess, Resize};
use crate::channels::ChannelOrder;

/// The ways of preparing images that foreign networks were usually trained with. A file seldom says which; a wrong one
/// costs most of a network's accuracy and raises no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// torchvision and timm: RGB, ImageNet's mean and deviation; shorter side to 8/7 of the input, centre crop.
    Torchvision,
    /// Networks for small images, CIFAR's among them: as torchvision, but squashed to the input's size, nothing cut off.
    Squashed,
    /// Caffe, and Keras' VGG and ResNet: BGR in `0..=255` less ImageNet's mean, not divided; geometry as torchvision's.
    CaffeBgr,
    /// Keras' MobileNet, Inception and ResNet v2: RGB scaled to `-1..=1`; squashed to the input's size.
    KerasTf,
    /// Ultralytics, and many small programs: RGB scaled to `0..=1`; shorter side to the input's, centre crop.
    ZeroOne,
    /// Networks that scale by themselves, such as Keras' EfficientNet: RGB in `0..=255`; squashed to the input's size.
    Bytes,
}

impl Preset {
    /// All of them, the most common first.
    pub const ALL: [Self; 6] =
        [Self::Torchvision, Self::Squashed, Self::CaffeBgr, Self::KerasTf, Self::ZeroOne, Self::Bytes];

    /// The parameters for an input of this height and width.
    #[must_use]
    pub fn preprocess(self, height: u32, width: u32) -> Preprocess {
        let torchvision = Preprocess::torchvision(height, width);
        let squashed = Preprocess { resize: Resize::Exact { width, height }, crop: None, ..torchvision.clone() };
        match self {
            Self::Torchvision => torchvision,
            Self::Squashed => squashed,
            Self::CaffeBgr => Preprocess {
                mean: [123.68, 116.779, 103.939].map(|mean| mean / 255.0),
                std: [1.0 / 255.0; 3],
                ..torchvision
            },
            Self::KerasTf => Preprocess { mean: [0.5; 3], std: [0.5; 3], ..squashed },
            Self::ZeroOne => Preprocess {
                resize: Resize::ShorterSide { size: height.min(width) },
                filter: Filter::Bilinear,
                crop: Some(Crop { height, width }),
                mean: [0.0; 3],
                std: [1.0; 3],
                ..torchvision
            },
            Self::Bytes => Preprocess { mean: [0.0; 3], std: [1.0 / 255.0; 3], ..squashed },
        }
    }

    /// The order in which the network wants the colours.
    #[must_use]
    pub fn channel_order(self) -> ChannelOrder {
        if self == Self::CaffeBgr { ChannelOrder::Bgr } else { ChannelOrder::Rgb }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Torchvision => "torchvision",
            Self::Squashed => "squashed",
            Self::CaffeBgr => "caffe-bgr",
            Self::KerasTf => "keras-tf",
            Self::ZeroOne => "zero-one",
            Self::Bytes => "bytes",
        })
    }
}
