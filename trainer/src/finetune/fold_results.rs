//! The results of folds.

use serde::{Deserialize, Serialize};

/// How good models are that were trained on some parts of the images, on the part that they have not seen. The model itself is
/// trained on all parts, so that it is rather better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FoldResults {
    /// One for each part.
    pub folds: Vec<FoldResult>,
    /// The mean of their results.
    #[cfg_attr(feature = "openapi", schema(example = 0.962))]
    pub mean: f64,
    /// Their standard deviation.
    #[cfg_attr(feature = "openapi", schema(example = 0.011))]
    pub deviation: f64,
}

/// A model that was trained without a part of the images, on that part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FoldResult {
    /// Images of the part.
    #[cfg_attr(feature = "openapi", schema(example = 272))]
    pub images: usize,
    /// The share of them that are right, or, where images have several classes, the mean average precision.
    #[cfg_attr(feature = "openapi", schema(example = 0.967))]
    pub result: f64,
}

impl FoldResults {
    pub(super) fn new(folds: Vec<FoldResult>) -> Self {
        let n = folds.len().max(1) as f64;
        let mean = folds.iter().map(|fold| fold.result).sum::<f64>() / n;
        let variance = folds.iter().map(|fold| (fold.result - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        Self { folds, mean, deviation: variance.sqrt() }
    }
}

impl std::fmt::Display for FoldResults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { folds, mean, deviation } = self;
        let results: Vec<String> = folds.iter().map(|fold| format!("{:.1}", 100.0 * fold.result)).collect();
        write!(
            f,
            "{} folds, each image tested once: mean {:.1} %, standard deviation {:.1}; {} %",
            folds.len(),
            100.0 * mean,
            100.0 * deviation,
            results.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let fold = |result| FoldResult { images: 10, result };
        let results = FoldResults::new(vec![fold(0.9), fold(0.8), fold(1.0)]);
        assert!((results.mean - 0.9).abs() < 1e-12 && (results.deviation - 0.1).abs() < 1e-12, "{results:?}");
        assert_eq!(
            results.to_string(),
            "3 folds, each image tested once: mean 90.0 %, standard deviation 10.0; 90.0, 80.0, 100.0 %"
        );
    }
}
