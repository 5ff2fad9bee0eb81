//! A learning rate that falls when nothing gets better.

use serde::{Deserialize, Serialize};

use crate::metrics::Better;

/// When and how far the rate falls; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlateauOptions {
    /// The first rate.
    pub rate: f64,
    /// Whether the value should fall or rise.
    pub better: Better,
    /// What the rate is multiplied by, 0..1.
    #[serde(default = "factor")]
    pub factor: f64,
    /// How many epochs in a row may bring nothing better; the next one makes the rate fall.
    #[serde(default = "patience")]
    pub patience: u32,
    /// By which share of the best value a value must be better to count.
    #[serde(default = "threshold")]
    pub threshold: f64,
    /// Epochs after a fall that are not counted.
    #[serde(default)]
    pub cooldown: u32,
    /// The rate does not fall below this.
    #[serde(default)]
    pub min_rate: f64,
}

/// `torch.optim.lr_scheduler.ReduceLROnPlateau` with `threshold_mode="rel"`. Serialisable, for checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    options: PlateauOptions,
    rate: f64,
    best: Option<f64>,
    waited: u32,
    cooldown: u32,
}

/// A fall smaller than this is none.
const SMALLEST_FALL: f64 = 1e-8;

impl Plateau {
    /// Before the first value.
    #[must_use]
    pub fn new(options: PlateauOptions) -> Self {
        Self { options, rate: options.rate, best: None, waited: 0, cooldown: 0 }
    }

    /// The learning rate of the coming epoch.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Takes the metric after an epoch and gives the rate of the next. NaN is never an improvement.
    pub fn observe(&mut self, value: f64) -> f64 {
        if self.improves(value) {
            self.best = Some(value);
            self.waited = 0;
        } else {
            self.waited = self.waited.saturating_add(1);
        }
        if self.cooldown > 0 {
            self.cooldown -= 1;
            self.waited = 0;
        }
        if self.waited > self.options.patience {
            let lower = (self.rate * self.options.factor).max(self.options.min_rate);
            if self.rate - lower > SMALLEST_FALL {
                self.rate = lower;
            }
            self.cooldown = self.options.cooldown;
            self.waited = 0;
        }
        self.rate
    }

    /// PyTorch compares with `best·(1 ± threshold)`, so a negative best value is beaten by a slightly worse one.
    fn improves(&self, value: f64) -> bool {
        match self.best {
            None => value.is_finite(),
            Some(best) => self.options.better.beats(value, best, best * self.options.threshold),
        }
    }
}

fn factor() -> f64 {
    0.1
}

fn patience() -> u32 {
    10
}

fn threshold() -> f64 {
    1e-4
}
