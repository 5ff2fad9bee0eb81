//! How far a share that was measured on few images can be trusted.

use serde::{Deserialize, Serialize};

/// The quantile of the normal distribution that has 2.5 % above it.
const Z: f64 = 1.959_963_984_540_054;

/// The 95 % confidence interval of a share, by Wilson's score (Wilson 1927): it stays within 0 and 1 and holds for few images,
/// also where all of them are right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConfidenceInterval {
    /// Its lower end.
    #[cfg_attr(feature = "openapi", schema(example = 0.926))]
    pub low: f64,
    /// Its upper end.
    #[cfg_attr(feature = "openapi", schema(example = 0.971))]
    pub high: f64,
}

impl ConfidenceInterval {
    /// Of `part` in `whole`; `None` of nothing.
    #[must_use]
    pub fn wilson(part: usize, whole: usize) -> Option<Self> {
        if whole == 0 {
            return None;
        }
        let n = whole as f64;
        let share = part as f64 / n;
        let scale = 1.0 + Z * Z / n;
        let center = (share + Z * Z / (2.0 * n)) / scale;
        let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        // The ends of nothing and of everything are exact, which rounding hides.
        let low = if part == 0 { 0.0 } else { center - half };
        let high = if part == whole { 1.0 } else { center + half };
        Some(Self { low, high })
    }
}
