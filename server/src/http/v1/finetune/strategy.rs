//! How much of a base is trained, as requests say it.

use serde::{Deserialize, Serialize};
use trainer::data::augment::Policy;
use trainer::finetune::{Strategy, Tuning};
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
        Tuning::default().into()
    }
}

impl From<FinetuneStrategy> for Strategy {
    fn from(strategy: FinetuneStrategy) -> Self {
        match strategy {
            FinetuneStrategy::Head => Strategy::Head,
            FinetuneStrategy::LastStage => Strategy::LastStage,
            FinetuneStrategy::Staged => Strategy::Staged,
            FinetuneStrategy::Full => Strategy::Full,
            FinetuneStrategy::Auto => Strategy::Auto,
        }
    }
}

impl From<Strategy> for FinetuneStrategy {
    fn from(strategy: Strategy) -> Self {
        match strategy {
            Strategy::Head => FinetuneStrategy::Head,
            Strategy::LastStage => FinetuneStrategy::LastStage,
            Strategy::Staged => FinetuneStrategy::Staged,
            Strategy::Full => FinetuneStrategy::Full,
            Strategy::Auto => FinetuneStrategy::Auto,
        }
    }
}

impl From<AugmentationPolicy> for Policy {
    fn from(policy: AugmentationPolicy) -> Self {
        match policy {
            AugmentationPolicy::None => Policy::None,
            AugmentationPolicy::Flip => Policy::Flip,
            AugmentationPolicy::Standard => Policy::Standard,
            AugmentationPolicy::Cifar => Policy::Cifar,
            AugmentationPolicy::Strong => Policy::Strong,
        }
    }
}

impl From<Policy> for AugmentationPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::None => AugmentationPolicy::None,
            Policy::Flip => AugmentationPolicy::Flip,
            Policy::Standard => AugmentationPolicy::Standard,
            Policy::Cifar => AugmentationPolicy::Cifar,
            Policy::Strong => AugmentationPolicy::Strong,
        }
    }
}

impl From<TuningOptions> for Tuning {
    fn from(options: TuningOptions) -> Self {
        let TuningOptions { epochs, batch_size, learning_rate, weight_decay, layer_decay, stages, augmentation } =
            options;
        let augmentation = augmentation.into();
        Self { epochs, batch_size, learning_rate, weight_decay, layer_decay, stages, augmentation }
    }
}

impl From<Tuning> for TuningOptions {
    fn from(tuning: Tuning) -> Self {
        let Tuning { epochs, batch_size, learning_rate, weight_decay, layer_decay, stages, augmentation } = tuning;
        let augmentation = augmentation.into();
        Self { epochs, batch_size, learning_rate, weight_decay, layer_decay, stages, augmentation }
    }
}
