//! Images whose labels may be wrong, told by the features of a base.

use super::extract::{self, FeatureTable};
use super::head::LabeledFeatures;
use super::prepare;
use super::probe::{FeatureTransform, OutOfFold, ProbeTask, out_of_fold};
use super::{FinetuneError, FinetuneOptions, Task};
use crate::events::{Event, Observer, Phase};
use crate::metrics::{ImageAnswer, RankedAnswers};

/// Every image that heads trained without it take for another class, the most doubtful first: the one whose own class has the
/// least score. Features come from the cache where they are in it. `None` where there are too few images.
///
/// # Errors
/// [`FinetuneError`] for images that cannot be trained on or read, and when the observer asks to stop.
pub fn suspects(task: &Task<'_>, observer: &mut dyn Observer) -> Result<Option<Vec<ImageAnswer>>, FinetuneError> {
    let options = FinetuneOptions { views: 1, ..task.options.clone() };
    let task = &Task { options, ..task.clone() };
    observer.event(Event::Phase { phase: Phase::Data });
    let preparation = prepare::prepare(task, observer)?;
    observer.event(Event::Phase { phase: Phase::Features });
    let table = extract::extract(task, &preparation, observer)?;
    let FeatureTable { samples, views, .. } = &table;
    observer.event(Event::Phase { phase: Phase::Training });
    let (shape, labels) = (preparation.features.shape(), &preparation.dataset.labels);
    // Images that measure have labels too.
    let probe = ProbeTask {
        training: &views[0],
        validation: &LabeledFeatures::default(),
        shape,
        views: 1,
        classes: labels.len(),
        sets: table.sets(),
        weights: table.class_weights.as_deref(),
        transforms: &FeatureTransform::all(shape),
        options: task.options.head(),
    };
    let Some(OutOfFold { images, logits }) = out_of_fold(&probe, observer)? else { return Ok(None) };
    let truths: Vec<usize> = images.iter().map(|&image| views[0].classes[image]).collect();
    let ranked = RankedAnswers { logits: &logits, truths: table.truths(&truths), labels, thresholds: None };
    let answer = |at: usize| {
        let name = samples[images[at]].sample.named_below(task.source.path());
        ranked.answer(at, name)
    };
    Ok(Some(ranked.doubtful().into_iter().map(answer).collect()))
}
