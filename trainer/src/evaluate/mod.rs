//! A finished model on images whose classes are known.

mod classes;
mod error;
pub(crate) mod images;
mod named;
mod options;
mod report;
mod runner;
#[cfg(test)]
mod tests;
mod views;

use std::path::Path;
use std::time::Instant;

use models::ModelSpec;
use onnx::EngineSpec;
use serde_json::json;

pub use classes::UnknownClass;
pub use error::EvaluateError;
pub use named::{NamedTask, top1_by_name};
pub use options::{EvaluateOptions, EvaluatedSubset};
pub use report::{EvaluatedImages, EvaluationReport};
pub use runner::ModelRunner;
pub use views::TestViews;

use crate::data::{BadFile, BadFilePolicy, DatasetError, DatasetSource, FileAccess, Sample};
use crate::events::{Event, Observer, Phase};
use crate::metrics::{Evaluation, NotableAnswers, RankedAnswers, Truths};
use images::LabeledImages;

/// Images decoded at a time: enough to keep every thread busy, few enough to fit in memory.
const CHUNK: usize = 64;

/// What is to be evaluated, and on what.
#[derive(Debug, Clone, Copy)]
pub struct EvaluateTask<'a> {
    /// The model's name, for the record.
    pub model: &'a str,
    /// Its version; `None` for a file.
    pub version: Option<u32>,
    /// The ONNX file.
    pub onnx: &'a [u8],
    /// What graft knows of it.
    pub spec: &'a ModelSpec,
    /// Where the labeled images are.
    pub source: &'a DatasetSource,
    /// The files that the images may be read from.
    pub access: &'a FileAccess,
    /// Where uncompressed copies of compressed archives are.
    pub archives: &'a Path,
    /// The user's choices.
    pub options: EvaluateOptions,
    /// Runs the model.
    pub engine: EngineSpec,
}

/// Runs a model on labeled images, prepared as for serving. Classes are matched by name: images of others are left out, and
/// said to be.
///
/// # Errors
/// [`EvaluateError`] for a model without classes, images of several classes where the model's exclude each other, images that are no data set or of no class of the model, files that
/// cannot be read, and an engine that fails.
pub fn evaluate(task: &EvaluateTask<'_>, observer: &mut dyn Observer) -> Result<EvaluationReport, EvaluateError> {
    let start = Instant::now();
    task.options.validate()?;
    let labels = task.spec.labels.as_ref().ok_or_else(|| EvaluateError::Backbone(task.model.to_owned()))?;
    observer.event(Event::Phase { phase: Phase::Data });
    let images = LabeledImages::of(task, labels, observer)?;
    observer.event(Event::Phase { phase: Phase::Evaluation });
    let answers = answer(task, &images.samples, observer)?;
    let truths = Truths { numbers: &answers.truths, classes: labels.len(), sets: images.sets.as_ref() };
    let thresholds = task.spec.scores.thresholds.as_deref();
    let evaluation = Evaluation::of(&answers.logits, truths, thresholds);
    let metrics = json!({
        "top1": evaluation.top1, "top5": evaluation.top5, "macro_f1": evaluation.macro_f1, "images": evaluation.images,
        "map": evaluation.mean_average_precision, "micro_f1": evaluation.micro_f1,
        "ece": evaluation.reliability.as_ref().map(|reliability| reliability.ece),
    });
    observer.event(Event::Metrics { metrics });
    let ranked = RankedAnswers { logits: &answers.logits, truths, labels, thresholds };
    let name = |row: usize| answers.samples[row].named_below(task.source.path());
    Ok(EvaluationReport {
        model: task.model.to_owned(),
        version: task.version,
        labels: labels.names().to_vec(),
        dataset: images.summary,
        subset: images.subset,
        images: EvaluatedImages {
            evaluated: answers.truths.len(),
            unknown_class: images.left_out,
            unusable: images.unusable + answers.unusable,
        },
        absent_classes: absent(labels.names(), &evaluation),
        unknown_classes: images.unknown,
        options: task.options,
        engine: task.engine.kind,
        provider: task.engine.chosen_provider(),
        seconds: start.elapsed().as_secs_f64(),
        result: evaluation,
        answers: NotableAnswers::new(&ranked, name),
    })
}

/// What the model says to the images that decode.
pub(crate) struct Answers<'a> {
    pub(crate) samples: Vec<&'a Sample>,
    pub(crate) truths: Vec<usize>,
    /// `[n, classes]`.
    pub(crate) logits: Vec<f32>,
    unusable: usize,
}

/// Runs the model on these images.
pub(crate) fn answer<'a>(
    task: &EvaluateTask<'_>,
    images: &'a [(Sample, usize)],
    observer: &mut dyn Observer,
) -> Result<Answers<'a>, EvaluateError> {
    let (limits, preprocess) = (task.options.limits(), &task.spec.preprocess);
    let prepare = |(sample, _): &(Sample, usize)| {
        let input = preprocess.apply(&sample.read(&limits)?, &limits);
        input.map_err(|source| DatasetError::image(&sample.path, source))
    };
    let runner = ModelRunner::open(task.onnx, task.spec, task.engine)?;
    let mut runner = runner.with_views(task.options.tta);
    let mut answers = Answers { samples: vec![], truths: vec![], logits: vec![], unusable: 0 };
    let mut bad = Vec::new();
    for chunk in images.chunks(CHUNK) {
        if observer.stopped() {
            return Err(EvaluateError::Stopped);
        }
        for ((sample, truth), row) in chunk.iter().zip(runner.logits(chunk, prepare)?) {
            match row {
                Ok(row) => {
                    answers.samples.push(sample);
                    answers.truths.push(*truth);
                    answers.logits.extend(task.spec.scores.kind.logits(&row));
                }
                Err(error) => bad.push(BadFile::new(&sample.path, &error)),
            }
        }
        let (done, total) = ((answers.truths.len() + bad.len()) as u64, images.len() as u64);
        observer.event(Event::Progress { phase: Phase::Evaluation, done, total });
    }
    answers.unusable = bad.len();
    if task.options.bad_files == BadFilePolicy::Refuse && !bad.is_empty() {
        return Err(DatasetError::BadFiles { files: bad }.into());
    }
    for file in bad {
        observer.event(Event::Warning { message: format!("left out: {}", file.reason) });
    }
    if answers.truths.is_empty() { Err(EvaluateError::NoImages) } else { Ok(answers) }
}

/// The classes that no image was of.
fn absent(names: &[String], evaluation: &Evaluation) -> Vec<String> {
    let classes = names.iter().zip(&evaluation.classes);
    classes.filter(|(_, class)| class.support == 0).map(|(name, _)| name.clone()).collect()
}
