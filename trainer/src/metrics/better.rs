//! Whether a metric is to rise or to fall.

use serde::{Deserialize, Serialize};

/// Which of two values of a metric is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// The higher, as of an accuracy.
    Higher,
    /// The lower, as of a loss.
    Lower,
}

impl Better {
    /// Whether a value beats the best so far by more than `delta`. NaN beats nothing.
    #[must_use]
    pub fn beats(self, value: f64, best: f64, delta: f64) -> bool {
        match self {
            Better::Higher => value > best + delta,
            Better::Lower => value < best - delta,
        }
    }
}
