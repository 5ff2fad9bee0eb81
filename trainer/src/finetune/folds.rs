//! Measuring on every image once, where images are scarce.

use super::extract::FeatureTable;
use super::fold_results::{FoldResult, FoldResults};
use super::outcome::{Outcome, SubsetResult};
use super::{FinetuneError, Task, train_model};
use crate::data::{Split, Subset, folds};
use crate::events::{Event, Observer};
use crate::options::OptionError;

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
