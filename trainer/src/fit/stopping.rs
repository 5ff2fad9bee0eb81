//! When nothing gets better any more.

use serde::{Deserialize, Serialize};

use crate::metrics::Better;

/// When to stop early.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoppingOptions {
    /// Whether the value should fall or rise.
    pub better: Better,
    /// How many epochs in a row may bring nothing better before the run ends; 0 ends it as 1 does.
    pub patience: u32,
    /// By how much a value must be better to count, 0 or more, in the metric's unit.
    #[serde(default)]
    pub min_delta: f64,
}

/// Follows a metric, as Keras's `EarlyStopping`. Serialisable, so that a resumed run goes on being patient where it
/// was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    options: StoppingOptions,
    best: Option<f64>,
    waited: u32,
}

/// What a value means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The best so far: worth keeping the weights.
    Improved,
    /// Not better, and not yet too often.
    Waiting,
    /// Not better for too long: the run should end.
    Stop,
}

impl EarlyStopping {
    /// Before the first value.
    #[must_use]
    pub fn new(options: StoppingOptions) -> Self {
        Self { options, best: None, waited: 0 }
    }

    /// Takes the metric after an epoch. NaN is never an improvement.
    pub fn observe(&mut self, value: f64) -> Verdict {
        let improved = match self.best {
            None => !value.is_nan(),
            Some(best) => self.options.better.beats(value, best, self.options.min_delta),
        };
        if improved {
            self.best = Some(value);
            self.waited = 0;
            return Verdict::Improved;
        }
        self.waited = self.waited.saturating_add(1);
        if self.waited >= self.options.patience { Verdict::Stop } else { Verdict::Waiting }
    }

    /// The best value so far.
    #[must_use]
    pub fn best(&self) -> Option<f64> {
        self.best
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Improved, Stop, Waiting};
    use super::*;

    fn verdicts(options: StoppingOptions, values: &[f64]) -> Vec<Verdict> {
        let mut stopping = EarlyStopping::new(options);
        values.iter().map(|&value| stopping.observe(value)).collect()
    }

    const ACCURACY: StoppingOptions = StoppingOptions { better: Better::Higher, patience: 2, min_delta: 0.0 };

    #[test]
    fn patience_counts_epochs_since_the_best() {
        let values = [0.5, 0.4, 0.6, 0.6, 0.5, 0.7];
        assert_eq!(verdicts(ACCURACY, &values), [Improved, Waiting, Improved, Waiting, Stop, Improved]);
    }

    #[test]
    fn of_a_loss_the_lower_is_better() {
        let loss = StoppingOptions { better: Better::Lower, ..ACCURACY };
        assert_eq!(verdicts(loss, &[2.0, 1.0, 1.5, 3.0]), [Improved, Improved, Waiting, Stop]);
    }

    #[test]
    fn a_gain_no_larger_than_the_delta_is_none() {
        let options = StoppingOptions { min_delta: 0.25, patience: 3, ..ACCURACY };
        assert_eq!(verdicts(options, &[0.5, 0.75, 0.7501, 0.9]), [Improved, Waiting, Improved, Waiting]);
    }

    #[test]
    fn a_run_of_nothing_but_nan_stops() {
        assert_eq!(verdicts(ACCURACY, &[f64::NAN, f64::NAN]), [Waiting, Stop]);
        assert_eq!(verdicts(ACCURACY, &[f64::NAN, 0.1, f64::NAN]), [Waiting, Improved, Waiting]);
    }

    #[test]
    fn a_stored_state_goes_on() {
        let mut stopping = EarlyStopping::new(ACCURACY);
        stopping.observe(0.5);
        stopping.observe(0.4);
        let mut resumed: EarlyStopping = serde_json::from_str(&serde_json::to_string(&stopping).unwrap()).unwrap();
        assert_eq!(resumed, stopping);
        assert_eq!((resumed.best(), resumed.observe(0.3)), (Some(0.5), Stop));
    }
}
