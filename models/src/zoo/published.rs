//! Published weights and their preprocessing. The same architecture was trained in more than one way, and weights are
//! useless with the preprocessing of others.

use crate::preprocess::{Filter, Preprocess, Resize};

/// A file of weights of torchvision, trained on ImageNet. timm publishes the same weights under its own names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PublishedWeights {
    /// The name of the network.
    pub architecture: &'static str,
    /// torchvision's name for the weights.
    pub weights: &'static str,
    /// The first eight digits of the SHA-256 of torchvision's file, which are part of that file's name.
    pub sha256: &'static str,
    /// The repository of the same weights on the Hugging Face Hub.
    pub repository: Option<&'static str>,
    /// What the shorter side is resized to, in pixels, before 224 of them are cut out.
    resize: u32,
    /// Mean and deviation.
    normalization: PixelStatistics,
}

/// Which mean and deviation a file was trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PixelStatistics {
    /// Torchvision's for ImageNet.
    ImageNet,
    /// Caffe's mean and none, of a VGG whose features alone are published.
    Amdegroot,
}

use PixelStatistics::{Amdegroot, ImageNet};

const fn v1(architecture: &'static str, sha256: &'static str, repository: &'static str) -> PublishedWeights {
    let repository = Some(repository);
    PublishedWeights {
        architecture,
        weights: "IMAGENET1K_V1",
        sha256,
        repository,
        resize: 256,
        normalization: ImageNet,
    }
}

const fn v2(architecture: &'static str, sha256: &'static str, repository: &'static str) -> PublishedWeights {
    PublishedWeights { weights: "IMAGENET1K_V2", resize: 232, ..v1(architecture, sha256, repository) }
}

/// All files, the older weights of a network first.
pub const PUBLISHED: [PublishedWeights; 17] = [
    v1("vgg11", "8a719046", "timm/vgg11.tv_in1k"),
    v1("vgg11_bn", "6002323d", "timm/vgg11_bn.tv_in1k"),
    v1("vgg13", "19584684", "timm/vgg13.tv_in1k"),
    v1("vgg13_bn", "abd245e5", "timm/vgg13_bn.tv_in1k"),
    v1("vgg16", "397923af", "timm/vgg16.tv_in1k"),
    v1("vgg16_bn", "6c64b313", "timm/vgg16_bn.tv_in1k"),
    v1("vgg19", "dcbb9e9d", "timm/vgg19.tv_in1k"),
    v1("vgg19_bn", "c79401a0", "timm/vgg19_bn.tv_in1k"),
    v1("resnet18", "f37072fd", "timm/resnet18.tv_in1k"),
    v1("resnet34", "b627a593", "timm/resnet34.tv_in1k"),
    v1("resnet50", "0676ba61", "timm/resnet50.tv_in1k"),
    v2("resnet50", "11ad3fa6", "timm/resnet50.tv2_in1k"),
    v1("resnet101", "63fe2227", "timm/resnet101.tv_in1k"),
    v2("resnet101", "cd907fc2", "timm/resnet101.tv2_in1k"),
    v1("resnet152", "394f9c45", "timm/resnet152.tv_in1k"),
    v2("resnet152", "f82ba261", "timm/resnet152.tv2_in1k"),
    PublishedWeights {
        architecture: "vgg16",
        weights: "IMAGENET1K_FEATURES",
        sha256: "88682ab5",
        repository: None,
        resize: 256,
        normalization: Amdegroot,
    },
];

impl PublishedWeights {
    /// The file with this SHA-256, in hexadecimal.
    #[must_use]
    pub fn by_checksum(sha256: &str) -> Option<&'static Self> {
        PUBLISHED.iter().find(|row| sha256.starts_with(row.sha256))
    }

    /// The preprocessing of these weights.
    #[must_use]
    pub fn preprocess(&self) -> Preprocess {
        let resize = Resize::ShorterSide { size: self.resize };
        let common = Preprocess { resize, filter: Filter::Bilinear, ..Preprocess::torchvision(224, 224) };
        match self.normalization {
            ImageNet => common,
            Amdegroot => Preprocess { mean: [0.482_35, 0.458_82, 0.407_84], std: [1.0 / 255.0; 3], ..common },
        }
    }
}
