//! What the user may choose.

use serde::{Deserialize, Serialize};

use super::{ClassWeights, FitError, LossOptions};
use crate::data::mixing::Mixing;
use crate::data::sampling::{LastBatch, balanced, shuffled, weighted};
use crate::fit::stopping::StoppingOptions;
use crate::optim::schedule::{PlateauOptions, Schedule};
use crate::optim::{EmaOptions, Groups, OptimizerKind};
use crate::options;

/// How a network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitOptions {
    /// Passes over the training images.
    pub epochs: u64,
    /// Steps after which the run ends, within an epoch too, which then counts as one.
    pub steps: Option<u64>,
    /// Images that go through the network together.
    pub batch_size: usize,
    /// Batches whose gradients make one step.
    pub accumulate: usize,
    /// The rule by which gradients change weights.
    #[serde(rename = "optimiser")]
    pub optimizer: OptimizerKind,
    /// Which parameters decay, and which learn more slowly.
    pub groups: Groups,
    /// The learning rate by step.
    pub schedule: Schedule,
    /// A learning rate that falls when the validation loss does not, instead of the schedule.
    pub plateau: Option<PlateauOptions>,
    /// The largest norm of all gradients together.
    pub clip_norm: Option<f64>,
    /// What is made small.
    pub loss: LossOptions,
    /// The α of mixup (Zhang et al. 2018).
    pub mixup: Option<f64>,
    /// The α of CutMix (Yun et al. 2019). With mixup, each batch has one of them, with the same chance, as in timm.
    pub cutmix: Option<f64>,
    /// A moving average of the weights, which is what is evaluated and kept.
    pub ema: Option<EmaOptions>,
    /// The order of the examples.
    pub sampling: Sampling,
    /// What becomes of examples that fill no batch.
    pub last_batch: LastBatch,
    /// When to stop before the last epoch.
    pub early_stopping: Option<StoppingOptions>,
    /// Decides everything that is random.
    pub seed: u64,
    /// Which of two epochs is the better one when they classify equally many validation examples correctly.
    #[serde(skip_serializing_if = "TieBreak::is_default")]
    pub ties: TieBreak,
    /// What is kept on disk.
    pub checkpoints: CheckpointOptions,
    /// What is written of it besides a row for each epoch.
    pub logging: LogOptions,
}

/// What is written of a run besides a row for each epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogOptions {
    /// The loss and the learning rate of each so many-th step; of none at 0.
    pub every_steps: u64,
    /// The distribution of every parameter's numbers, after each epoch.
    pub histograms: bool,
}

/// What is kept on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointOptions {
    /// A checkpoint after so many steps.
    pub every_steps: Option<u64>,
    /// Whether there is one after each epoch; there is always one after the last.
    pub every_epoch: bool,
    /// How many of the last are kept; the best is kept besides.
    pub keep: usize,
}

/// The order of the examples in an epoch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Each once, at random.
    #[default]
    Shuffled,
    /// As many as there are, drawn so that all classes come equally often.
    Balanced,
    /// As many as there are, each drawn in proportion to the weight of its class: a number above 0 for each class, in
    /// their order, of which 1 for all draws as many of a class as it has.
    Weighted(Vec<f64>),
    /// Each once, as they are listed, in every epoch.
    Listed,
}

/// Which of two epochs is the better one when they classify equally many validation examples correctly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TieBreak {
    /// The one with the lower loss.
    #[default]
    LowerLoss,
    /// The later one.
    Later,
}

impl TieBreak {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for CheckpointOptions {
    fn default() -> Self {
        Self { every_steps: None, every_epoch: true, keep: 1 }
    }
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { every_steps: 50, histograms: false }
    }
}

impl Default for FitOptions {
    /// Ten epochs of SGD with momentum at 0.01, in batches of 32.
    fn default() -> Self {
        Self {
            epochs: 10,
            steps: None,
            batch_size: 32,
            accumulate: 1,
            optimizer: OptimizerKind::Sgd { momentum: 0.9, nesterov: false },
            groups: Groups::default(),
            schedule: Schedule::Constant { rate: 0.01 },
            plateau: None,
            clip_norm: None,
            loss: LossOptions::default(),
            mixup: None,
            cutmix: None,
            ema: None,
            sampling: Sampling::Shuffled,
            last_batch: LastBatch::Keep,
            early_stopping: None,
            seed: 0,
            ties: TieBreak::default(),
            checkpoints: CheckpointOptions::default(),
            logging: LogOptions::default(),
        }
    }
}

impl FitOptions {
    /// Whether every number makes sense.
    ///
    /// # Errors
    /// [`FitError`] naming the first that does not.
    pub fn validate(&self) -> Result<(), FitError> {
        let positive = |number: f64| number.is_finite() && number > 0.0;
        let positives = |numbers: &[f64]| numbers.iter().all(|&number| positive(number));
        let class_weights: Vec<f64> = match &self.loss.class_weights {
            Some(ClassWeights::Listed(weights)) => weights.iter().map(|&weight| f64::from(weight)).collect(),
            _ => vec![],
        };
        let sampling = if let Sampling::Weighted(weights) = &self.sampling { weights.as_slice() } else { &[] };
        let table = [
            (self.epochs > 0, "epochs", "at least 1"),
            (self.steps != Some(0), "steps", "at least 1"),
            (self.batch_size > 0, "batch_size", "at least 1"),
            (self.accumulate > 0, "accumulate", "at least 1"),
            (self.clip_norm.is_none_or(positive), "clip_norm", "a positive number"),
            ((0.0..1.0).contains(&self.loss.label_smoothing), "label_smoothing", "0 or more and below 1"),
            (positives(&class_weights), "class_weights", "`balanced`, or a positive number for each class"),
            (self.mixup.is_none_or(positive), "mixup", "a positive number, usually 0.1 to 1"),
            (self.cutmix.is_none_or(positive), "cutmix", "a positive number, usually 1"),
            (positives(sampling), "sampling.weighted", "a positive number for each class"),
            (self.checkpoints.every_steps != Some(0), "every_steps", "at least 1"),
            (self.checkpoints.keep > 0, "keep", "at least 1"),
        ];
        options::check(&table)?;
        self.groups.validate()?;
        Ok(self.schedule.validate()?)
    }

    /// How many steps an epoch over so many examples has, 1 at least.
    #[must_use]
    pub fn steps_per_epoch(&self, examples: usize) -> u64 {
        let batches = self.last_batch.count(examples, self.batch_size);
        batches.div_ceil(self.accumulate.max(1)).max(1) as u64
    }

    /// What is done to the images of a batch together.
    pub(super) fn mixing(&self) -> Mixing {
        Mixing { mixup: self.mixup, cutmix: self.cutmix }
    }

    /// The examples of an epoch, those that fill no batch left out if they are to be.
    pub(super) fn order(&self, classes: &[usize], epoch: u64) -> Vec<usize> {
        let mut order = match &self.sampling {
            Sampling::Shuffled => shuffled(self.seed, epoch, classes.len()),
            Sampling::Balanced => balanced(self.seed, epoch, classes),
            Sampling::Weighted(weights) => {
                let each: Vec<f64> = classes.iter().map(|&class| weights.get(class).copied().unwrap_or(0.0)).collect();
                weighted(self.seed, epoch, &each).unwrap_or_default()
            }
            Sampling::Listed => (0..classes.len()).collect(),
        };
        if self.last_batch == LastBatch::Drop {
            order.truncate(order.len() / self.batch_size * self.batch_size);
        }
        order
    }
}
