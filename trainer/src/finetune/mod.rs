//! From a base model and a data set to a new model, in six stages: prepare, extract, probe, tune, export, verify.

mod auto;
mod base;
mod calibration;
mod certainty;
mod class_weights;
mod context;
mod decoding;
mod deployment;
mod error;
mod export;
mod extract;
mod familiarity;
pub mod features;
mod finetuned;
mod fold_results;
mod folds;
mod forecast;
mod gallery;
pub mod golden;
pub mod head;
mod image;
mod options;
mod outcome;
mod plan;
mod prepare;
mod probe;
pub mod report;
mod scaling;
mod stage;
mod step;
mod strategy;
mod subspace;
mod suspects;
mod task;
mod tune;
mod verify;

pub use base::{Base, FileBase, ModelContent, head_alone};
pub use calibration::{Calibration, CalibrationImages};
pub use certainty::Certainty;
pub use class_weights::{ClassWeighting, InvalidClassWeights};
pub use decoding::ImageDecoding;
pub use deployment::{DeployDecision, Deployment, GateResult};
pub use error::FinetuneError;
pub use finetuned::Finetuned;
pub use fold_results::{FoldResult, FoldResults};
pub use gallery::Picture;
pub use options::{FinetuneOptions, TuningOptions};
pub use plan::{PlannedOption, TrainingPlan, plan};
pub use probe::{
    FeaturePooling, FeaturePower, FeatureScaling, FeatureTransform, HeadCandidate, HeadChoice, LinearProbe, OutOfFold,
    ProbeTask, out_of_fold, probe,
};
pub use strategy::{FinetuneStrategy, stage_boundary, trained};
pub use suspects::suspects;
pub use task::{Folders, Task};

use crate::data::{DatasetSummary, NamedImage};
use crate::events::{Event, Observer, Phase};
use crate::metrics::NotableAnswers;
use extract::FeatureTable;
use gallery::Gallery;
use outcome::Outcome;
use report::{FinetuneReport, ImageCounts, PhaseSeconds};
use stage::PhaseClock;
use verify::References;

/// The name of the new head's node and, with `.weight` and `.bias`, of its parameters.
pub(crate) const HEAD: &str = "graft.head";

/// Trains a new linear head on the base, and layers of the base with it if the strategy says so.
///
/// The serving engine runs the base once for each view of an image, and the features are cached on disk; the head is chosen by
/// cross-validation on the training images, and measured on the test images. The result is exported and compared with the
/// trained network on every engine of this process.
///
/// # Errors
/// [`FinetuneError`]; nothing but cached features and checkpoints has been written then.
pub fn finetune(task: &Task<'_>, observer: &mut dyn Observer) -> Result<Finetuned, FinetuneError> {
    let mut clock = PhaseClock::start();

    clock.enter(Phase::Data, observer);
    let preparation = prepare::prepare(task, observer)?;

    clock.enter(Phase::Features, observer);
    let mut table = extract::extract(task, &preparation, observer)?;

    clock.enter(Phase::Training, observer);
    let outcome = match task.options.folds {
        1 => {
            let probe = probe_head(task, &table, observer)?;
            if task.options.strategy != FinetuneStrategy::Head {
                clock.enter(Phase::Tuning, observer);
            }
            tune_model(task, &table, probe, observer)?
        }
        _ => folds::cross_validate(task, &mut table, observer)?,
    };
    observer.event(Event::Metrics { metrics: export::metrics(&outcome) });
    if let Some(message) = outcome.result().evaluation.poverty() {
        observer.event(Event::Warning { message });
    }

    clock.enter(Phase::Export, observer);
    let export = export::export(task, &table, &outcome)?;

    clock.enter(Phase::Parity, observer);
    let parity = verify::verify(task, &export, &References::new(&table, &outcome), observer)?;

    if let Some(folder) = &outcome.checkpoints {
        // The run is over, so nothing resumes from its checkpoints. What cannot be removed only takes space.
        std::fs::remove_dir_all(folder).ok();
    }
    let Gallery { answers, suspects, pictures } = gallery::gallery(task, &table, &outcome);
    let measured = measured(task, &table);
    let report = FinetuneReport { seconds: clock.finish(), parity, answers, suspects, ..report(task, &table, outcome) };
    let content = task.base.content(export.network, export.file);
    Ok(Finetuned { content, report, golden: export.golden, pictures, measured })
}

/// The images that measure the result, with what they show.
fn measured(task: &Task<'_>, table: &FeatureTable<'_>) -> Vec<NamedImage> {
    let dataset = &table.preparation.dataset;
    let named = |row: usize| {
        let sample = table.samples[row].sample.clone();
        let classes = dataset.labels_of(&sample).map(str::to_owned).collect();
        NamedImage { sample, classes }
    };
    match task.options.folds {
        1 => table.split.test.iter().map(|&row| named(row)).collect(),
        _ => (0..table.samples.len()).map(named).collect(),
    }
}

/// A head, layers of the base with it if the strategy says so, and calibrated scores.
fn train_model(
    task: &Task<'_>,
    table: &FeatureTable<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome, FinetuneError> {
    let probe = probe_head(task, table, observer)?;
    tune_model(task, table, probe, observer)
}

/// The head alone.
fn probe_head(
    task: &Task<'_>,
    table: &FeatureTable<'_>,
    observer: &mut dyn Observer,
) -> Result<LinearProbe, FinetuneError> {
    probe(
        &ProbeTask {
            training: &table.training(),
            validation: &table.plain(&table.split.validation),
            shape: table.preparation.features.shape(),
            views: table.views.len(),
            classes: table.preparation.dataset.labels.len(),
            sets: table.sets(),
            weights: table.class_weights.as_deref(),
            transforms: &FeatureTransform::all(table.preparation.features.shape()),
            options: task.options.head(),
        },
        observer,
    )
}

/// Layers of the base with the head, if the strategy says so, and calibrated scores.
fn tune_model(
    task: &Task<'_>,
    table: &FeatureTable<'_>,
    probe: LinearProbe,
    observer: &mut dyn Observer,
) -> Result<Outcome, FinetuneError> {
    let tuned = tune::tune(task, table, probe, observer)?;
    scaling::calibrate(tuned, table, task.options.target_precision, observer)
}

/// Everything but what is only known when the model is verified.
fn report(task: &Task<'_>, table: &FeatureTable<'_>, outcome: Outcome) -> FinetuneReport {
    let dataset = &table.preparation.dataset;
    FinetuneReport {
        base: task.base_name.to_owned(),
        labels: dataset.labels.names().to_vec(),
        dataset: Some(DatasetSummary::new(dataset, &task.options.split(dataset, &dataset.samples))),
        images: ImageCounts {
            train: table.split.train.len(),
            validation: table.split.validation.len(),
            test: if task.options.folds > 1 { 0 } else { table.split.test.len() },
            skipped: dataset.samples.len() + dataset.account.faults().len() - table.samples.len(),
            cached: table.cached,
        },
        options: task.options.clone(),
        engine: task.engine.kind,
        provider: task.engine.chosen_provider(),
        kernels: task.backend.to_string(),
        seconds: PhaseSeconds::default(),
        strategy: outcome.strategy,
        head: outcome.head.choice,
        best_epoch: outcome.best_epoch,
        epochs: outcome.history,
        validation: outcome.validation.evaluation,
        test: outcome.measured.unwrap_or(outcome.test).evaluation,
        folds: outcome.folds,
        calibration: outcome.calibration,
        certainty: outcome.certainty,
        answers: NotableAnswers::default(),
        suspects: vec![],
        parity: Vec::new(),
        deployment: None,
        quantization: None,
    }
}
