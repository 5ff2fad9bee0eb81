//! What the user may choose.

use serde::{Deserialize, Serialize};

use super::{FinetuneError, FinetuneStrategy, TuningOptions};
use crate::data::BadFilePolicy;
use crate::finetune::head::HeadOptions;
use crate::options;

/// What the user may choose.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FinetuneOptions {
    /// What is trained.
    pub strategy: FinetuneStrategy,
    /// Fixed looks at each training image whose features are computed: plain, mirrored, then crops.
    pub views: usize,
    /// How layers of the base are trained, where the strategy trains any.
    pub tuning: TuningOptions,
    /// Passes of the head over the features.
    pub epochs: usize,
    /// Images a step of the head.
    pub batch_size: usize,
    /// The head's first learning rate; it falls to zero along a cosine.
    pub learning_rate: f64,
    /// L2 penalty on the head's weights while it is trained alone.
    pub weight_decay: f64,
    /// The share of each target that is spread over all classes, 0..1.
    pub label_smoothing: f64,
    /// Decides the split and the order of the images.
    pub seed: u64,
    /// The share of each class that chooses the best epoch, 0..1; with 0 the last epoch is kept.
    pub validation: f64,
    /// The share of each class that measures the result, 0..1.
    pub test: f64,
    /// What to do with images that cannot be read.
    pub bad_files: BadFilePolicy,
}

impl Default for FinetuneOptions {
    fn default() -> Self {
        Self {
            strategy: FinetuneStrategy::Head,
            views: 1,
            tuning: TuningOptions::default(),
            epochs: 60,
            batch_size: 64,
            learning_rate: 0.01,
            weight_decay: 0.03,
            label_smoothing: 0.1,
            seed: 0,
            validation: 0.05,
            test: 0.25,
            bad_files: BadFilePolicy::Refuse,
        }
    }
}

impl FinetuneOptions {
    /// Whether every number makes sense.
    ///
    /// # Errors
    /// [`FinetuneError::Option`] naming the first that does not.
    pub fn validate(&self) -> Result<(), FinetuneError> {
        let share = |share: f64| (0.0..0.9).contains(&share);
        let positive = |number: f64| number.is_finite() && number > 0.0;
        self.tuning.validate()?;
        let table = [
            ((1..=64).contains(&self.views), "views", "from 1 to 64"),
            (self.epochs > 0, "epochs", "at least 1"),
            (self.batch_size > 0, "batch_size", "at least 1"),
            (positive(self.learning_rate), "learning_rate", "a positive number"),
            (self.weight_decay.is_finite() && self.weight_decay >= 0.0, "weight_decay", "zero or more"),
            ((0.0..1.0).contains(&self.label_smoothing), "label_smoothing", "a share from 0 to 1"),
            (share(self.validation), "validation", "a share from 0 to 0.9"),
            (share(self.test), "test", "a share from 0 to 0.9"),
            (share(self.validation + self.test), "validation", "together with `test` less than 0.9"),
        ];
        Ok(options::check(&table)?)
    }

    pub(crate) fn head(&self) -> HeadOptions {
        HeadOptions {
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            label_smoothing: self.label_smoothing,
            seed: self.seed,
        }
    }
}
