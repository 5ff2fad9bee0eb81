//! How much of a base is trained, as requests say it.

use serde::{Deserialize, Serialize};
use trainer::data::augment;
use trainer::finetune as training;
use utoipa::ToSchema;

/// How much of the base is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinetuneStrategy {
    /// The new head, on features that are computed once.
    #[default]
    Head,
    /// The last stages and the head, on feature maps that are computed once.
    LastStage,
    /// The head, then the last stages with it, on images that are changed at random.
    Staged,
    /// Everything.
    Full,
    /// `head` or `staged`, by the number of images and the speed of the machine; an event says why.
    Auto,
}

/// What is done to training images at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AugmentationPolicy {
    /// Nothing.
    None,
    /// Half of them are mirrored.
    Flip,
    /// A part of each is taken, and half of them are mirrored.
    Standard,
    /// They are moved by up to four pixels, and half of them are mirrored.
    Cifar,
    /// Parts, mirroring, two operations of `RandAugment`, and erased rectangles.
    Strong,
}

/// How layers of the base are trained, where the strategy trains any.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TuningOptions {
    /// Passes over the training images.
    #[schema(minimum = 1)]
    pub epochs: u64,
    /// Images in a step.
    #[schema(minimum = 1)]
    pub batch_size: usize,
    /// The highest learning rate; it rises at first and falls to zero along a cosine.
    #[schema(exclusive_minimum = 0.0)]
    pub learning_rate: f64,
    /// The penalty on large weights.
    #[schema(minimum = 0.0)]
    pub weight_decay: f64,
    /// What the learning rate of a layer is multiplied by for each layer behind it.
    #[schema(exclusive_minimum = 0.0, maximum = 1.0)]
    pub layer_decay: f64,
    /// How many of the last stages are trained.
    #[schema(minimum = 1)]
    pub stages: usize,
    /// What is done to images at random.
    pub augmentation: AugmentationPolicy,
}

impl Default for TuningOptions {
    fn default() -> Self {
        training::TuningOptions::default().into()
    }
}

impl From<FinetuneStrategy> for training::FinetuneStrategy {
    fn from(strategy: FinetuneStrategy) -> Self {
        match strategy {
            FinetuneStrategy::Head => training::FinetuneStrategy::Head,
            FinetuneStrategy::LastStage => training::FinetuneStrategy::LastStage,
            FinetuneStrategy::Staged => training::FinetuneStrategy::Staged,
            FinetuneStrategy::Full => training::FinetuneStrategy::Full,
            FinetuneStrategy::Auto => training::FinetuneStrategy::Auto,
        }
    }
}

impl From<training::FinetuneStrategy> for FinetuneStrategy {
    fn from(strategy: training::FinetuneStrategy) -> Self {
        match strategy {
            training::FinetuneStrategy::Head => FinetuneStrategy::Head,
            training::FinetuneStrategy::LastStage => FinetuneStrategy::LastStage,
            training::FinetuneStrategy::Staged => FinetuneStrategy::Staged,
            training::FinetuneStrategy::Full => FinetuneStrategy::Full,
            training::FinetuneStrategy::Auto => FinetuneStrategy::Auto,
        }
    }
}

impl From<AugmentationPolicy> for augment::AugmentationPolicy {
    fn from(policy: AugmentationPolicy) -> Self {
        match policy {
            AugmentationPolicy::None => augment::AugmentationPolicy::None,
            AugmentationPolicy::Flip => augment::AugmentationPolicy::Flip,
            AugmentationPolicy::Standard => augment::AugmentationPolicy::Standard,
            AugmentationPolicy::Cifar => augment::AugmentationPolicy::Cifar,
            AugmentationPolicy::Strong => augment::AugmentationPolicy::Strong,
        }
    }
}

impl From<augment::AugmentationPolicy> for AugmentationPolicy {
    fn from(policy: augment::AugmentationPolicy) -> Self {
        match policy {
            augment::AugmentationPolicy::None => AugmentationPolicy::None,
            augment::AugmentationPolicy::Flip => AugmentationPolicy::Flip,
            augment::AugmentationPolicy::Standard => AugmentationPolicy::Standard,
            augment::AugmentationPolicy::Cifar => AugmentationPolicy::Cifar,
            augment::AugmentationPolicy::Strong => AugmentationPolicy::Strong,
        }
    }
}

impl From<TuningOptions> for training::TuningOptions {
    fn from(options: TuningOptions) -> Self {
        let TuningOptions { epochs, batch_size, learning_rate, weight_decay, layer_decay, stages, augmentation } =
            options;
        let augmentation = augmentation.into();
        Self { epochs, batch_size, learning_rate, weight_decay, layer_decay, stages, augmentation }
    }
}

impl From<training::TuningOptions> for TuningOptions {
    fn from(tuning: training::TuningOptions) -> Self {
        let training::TuningOptions {
            epochs,
            batch_size,
            learning_rate,
            weight_decay,
            layer_decay,
            stages,
            augmentation,
        } = tuning;
        let augmentation = augmentation.into();
        Self { epochs, batch_size, learning_rate, weight_decay, layer_decay, stages, augmentation }
    }
}
