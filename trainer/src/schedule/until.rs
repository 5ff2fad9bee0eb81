//! A warm-up that ends when the network has begun to learn.

use serde::{Deserialize, Serialize};

use super::{Schedule, ScheduleError};

/// A rate that is held until the training error is low enough, and a schedule after it whose counts are from the
/// beginning of the run.
///
/// He et al. 2015, section 4.2, for the network of 110 layers: 0.01 until the error is below 80 %, then 0.1. Where the
/// steps that this takes are known ("about 400"), [`Schedule::WarmUp`] is the same without a state. Serialisable, for
/// checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUpUntil {
    /// The rate of the warm-up.
    pub rate: f64,
    /// The share of training images misclassified, 0..1, below which it ends.
    pub error: f64,
    /// What comes after it.
    pub then: Schedule,
    /// Whether it is over; it does not come back.
    #[serde(default)]
    pub over: bool,
}

impl WarmUpUntil {
    /// Whether every number makes sense.
    ///
    /// # Errors
    /// [`ScheduleError`] naming the first that does not.
    pub fn validate(&self) -> Result<(), ScheduleError> {
        super::validate::rate("rate", self.rate)?;
        super::validate::check((0.0..=1.0).contains(&self.error), "error", "a share from 0 to 1")?;
        self.then.validate()
    }

    /// Takes the share of training images misclassified, of a batch or of several. NaN does not end the warm-up.
    pub fn observe(&mut self, error: f64) {
        self.over |= error < self.error;
    }

    /// The learning rate of a step, counted from 0.
    #[must_use]
    pub fn at(&self, step: u64) -> f64 {
        if self.over { self.then.at(step) } else { self.rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_held_until_the_error_is_low_and_never_again() {
        let then = Schedule::Step { rate: 0.1, milestones: vec![32_000], gamma: 0.1 };
        let mut schedule = WarmUpUntil { rate: 0.01, error: 0.8, then, over: false };
        schedule.validate().unwrap();
        let mut rates = Vec::new();
        for error in [0.9, 0.8, f64::NAN, 0.79, 0.95] {
            schedule.observe(error);
            schedule = serde_json::from_str(&serde_json::to_string(&schedule).unwrap()).unwrap();
            rates.push(schedule.at(0));
        }
        assert_eq!(rates, [0.01, 0.01, 0.01, 0.1, 0.1]);
        // The milestone counts from the beginning of the run.
        assert_eq!(schedule.at(31_999), 0.1);
        assert!((schedule.at(32_000) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let schedule = |rate, error| WarmUpUntil { rate, error, then: Schedule::Constant { rate: 0.1 }, over: false };
        assert_eq!(schedule(-0.1, 0.8).validate().unwrap_err().option, "rate");
        assert_eq!(schedule(0.1, 80.0).validate().unwrap_err().option, "error");
    }
}
