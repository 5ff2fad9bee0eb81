//! Flags that say how much of a base is trained.

use clap::{Args, ValueEnum};
use trainer::data::augment::AugmentationPolicy;
use trainer::finetune::{self, TuningOptions};

/// How layers of the base are trained, where the strategy trains any.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training layers of the base")]
pub(super) struct TuningArgs {
    /// Passes over the training images
    #[arg(long, env = "GRAFT_TUNING_EPOCHS", default_value_t = TuningOptions::default().epochs)]
    tuning_epochs: u64,

    /// Images a step
    #[arg(long, env = "GRAFT_TUNING_BATCH_SIZE", default_value_t = TuningOptions::default().batch_size)]
    tuning_batch_size: usize,

    /// The highest learning rate; it rises at first and falls to zero along a cosine
    #[arg(long, env = "GRAFT_TUNING_LEARNING_RATE", default_value_t = TuningOptions::default().learning_rate)]
    tuning_learning_rate: f64,

    /// L2 penalty on weights
    #[arg(long, env = "GRAFT_TUNING_WEIGHT_DECAY", default_value_t = TuningOptions::default().weight_decay)]
    tuning_weight_decay: f64,

    /// What the learning rate of a layer is multiplied by for each layer behind it
    #[arg(long, env = "GRAFT_LAYER_DECAY", default_value_t = TuningOptions::default().layer_decay)]
    layer_decay: f64,

    /// How many of the last stages are trained
    #[arg(long, env = "GRAFT_STAGES", default_value_t = TuningOptions::default().stages)]
    stages: usize,

    /// What is done to images at random
    #[arg(long, env = "GRAFT_AUGMENTATION", value_enum, default_value_t = Augmentation::Standard)]
    augmentation: Augmentation,
}

/// How much of the base is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Strategy {
    /// The new head, on features that are computed once.
    Head,
    /// The last stages and the head, on feature maps that are computed once.
    LastStage,
    /// The head, then the last stages with it, on images that are changed at random.
    Staged,
    /// Everything.
    Full,
    /// `head` or `staged`, by the number of images and the speed of this machine.
    Auto,
}

/// What is done to images at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Augmentation {
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

impl TuningArgs {
    pub(super) fn tuning(&self) -> TuningOptions {
        TuningOptions {
            epochs: self.tuning_epochs,
            batch_size: self.tuning_batch_size,
            learning_rate: self.tuning_learning_rate,
            weight_decay: self.tuning_weight_decay,
            layer_decay: self.layer_decay,
            stages: self.stages,
            augmentation: match self.augmentation {
                Augmentation::None => AugmentationPolicy::None,
                Augmentation::Flip => AugmentationPolicy::Flip,
                Augmentation::Standard => AugmentationPolicy::Standard,
                Augmentation::Cifar => AugmentationPolicy::Cifar,
                Augmentation::Strong => AugmentationPolicy::Strong,
            },
        }
    }
}

impl From<Strategy> for finetune::FinetuneStrategy {
    fn from(strategy: Strategy) -> Self {
        match strategy {
            Strategy::Head => finetune::FinetuneStrategy::Head,
            Strategy::LastStage => finetune::FinetuneStrategy::LastStage,
            Strategy::Staged => finetune::FinetuneStrategy::Staged,
            Strategy::Full => finetune::FinetuneStrategy::Full,
            Strategy::Auto => finetune::FinetuneStrategy::Auto,
        }
    }
}
