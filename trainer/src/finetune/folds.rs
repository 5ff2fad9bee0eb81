//! Measuring on every image once, where images are scarce.

use serde::{Deserialize, Serialize};

use super::extract::FeatureTable;
use super::outcome::{Outcome, SubsetResult};
use super::{FinetuneError, Task, train_model};
use crate::data::{Split, Subset, folds};
use crate::events::{Event, Observer};
use crate::options::OptionError;

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
    fn new(folds: Vec<FoldResult>) -> Self {
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

/// Leaves out each part of the images once, and trains on all of them at the end. The outcome has the results on the parts.
pub(super) fn cross_validate(
    task: &Task<'_>,
    table: &mut FeatureTable<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome, FinetuneError> {
    let preparation = table.preparation;
    let dataset = &preparation.dataset;
    let given = |sample: &crate::data::Sample| matches!(sample.subset, Some(Subset::Validation | Subset::Test));
    if table.samples.iter().any(|image| given(&image.sample)) {
        let wanted = "1 where the data set gives validation or test images, which measure the result";
        return Err(OptionError { option: "folds", wanted }.into());
    }
    let (count, seed) = (task.options.folds, task.options.seed);
    let all: Vec<usize> = (0..table.samples.len()).collect();
    let numbers = table.numbers(&all);
    let parts = folds(&numbers, dataset.label_sets.as_ref(), count, seed);
    let whole = table.split.clone();
    let mut logits = vec![0.0; all.len() * dataset.labels.len()];
    let mut results = Vec::new();
    for part in 0..count {
        let subset = |row: usize| (parts[row] == part).then_some(Subset::Test);
        let images: Vec<_> = numbers.iter().zip(&all).map(|(&number, &row)| (number, subset(row))).collect();
        table.split = dataset.split_numbered(&images, task.options.partition(), seed);
        let outcome = train_model(task, table, observer)?;
        let SubsetResult { logits: found, evaluation } = &outcome.test;
        for (&row, found) in table.split.test.iter().zip(found.chunks(dataset.labels.len())) {
            logits[row * dataset.labels.len()..][..found.len()].copy_from_slice(found);
        }
        results.push(FoldResult { images: evaluation.images, result: evaluation.rank() });
        let message =
            format!("fold {} of {count}: {:.1} % of {} images", part + 1, 100.0 * evaluation.rank(), evaluation.images);
        observer.event(Event::Note { message });
        if let Some(folder) = &outcome.checkpoints {
            // What cannot be removed only takes space.
            std::fs::remove_dir_all(folder).ok();
        }
    }
    // The exported file is compared on images of the training, since there are no others.
    table.split = Split { test: all, ..whole };
    let outcome = train_model(task, table, observer)?;
    let thresholds = outcome.network.spec.scores.thresholds.as_deref();
    let measured = SubsetResult::new(logits, table.truths(&numbers), thresholds);
    let calibration = outcome.calibration.map(|calibration| {
        let ece = measured.evaluation.reliability.as_ref().map(|reliability| reliability.ece);
        super::Calibration { ece_before: None, ece_after: ece, ..calibration }
    });
    let results = FoldResults::new(results);
    observer.event(Event::Note { message: results.to_string() });
    Ok(Outcome { calibration, measured: Some(measured), folds: Some(results), ..outcome })
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
