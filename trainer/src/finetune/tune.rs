//! Training layers of the base.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use models::graph::NodeId;
use models::preprocess::Limits;
use models::{Network, Params};
use sha2::{Digest, Sha256};

use super::strategy::{FinetuneStrategy, stage_boundary, trained};
use super::{FinetuneError, Task, TuningOptions};
use crate::backend::{CpuExecutor, Parameter};
use crate::data::augment::{Augmentation, views};
use crate::data::loader::{Loader, PixelValues, Resources, TransformSpec};
use crate::data::{Sample, Split};
use crate::events::{Event, Observer};
use crate::fit::metrics::Evaluation;
use crate::fit::{self, CheckpointOptions, Examples, FeatureExamples, FitOptions, ImageExamples, LossOptions};
use crate::optim::schedule::{Clock, Ramp, Schedule};
use crate::optim::{Groups, OptimizerKind};
use crate::options::OptionError;

/// What tuning is given.
#[derive(Clone, Copy)]
pub(super) struct TuneContext<'a> {
    pub(super) task: &'a Task<'a>,
    /// The base with the new head, whose weights are those that it begins with.
    pub(super) network: &'a Network,
    pub(super) head: NodeId,
    pub(super) samples: &'a [&'a Sample],
    pub(super) split: &'a Split,
    pub(super) strategy: FinetuneStrategy,
}

/// What came of it.
pub(super) struct TuneResult {
    pub(super) params: Params,
    /// Where the checkpoints are, until the model is made.
    pub(super) folder: PathBuf,
    pub(super) best_epoch: usize,
    pub(super) history: Vec<Event>,
    pub(super) validation: Evaluation,
    /// `[n, classes]` for the validation images, or, where there are none, for the test images.
    pub(super) logits: Vec<f32>,
    pub(super) test: Evaluation,
}

/// Trains what the strategy says, chooses the best epoch by the validation images and measures it on the test images.
pub(super) fn tune(context: &TuneContext<'_>, observer: &mut dyn Observer) -> Result<TuneResult, FinetuneError> {
    let TuneContext { task, network, samples, split, .. } = *context;
    let tuning = task.options.tuning;
    let classes = |part: &[usize]| part.iter().map(|&row| samples[row].class).collect::<Vec<_>>();
    let options = options(&tuning, task, split.train.len());
    let folder = folder(context);
    let outcome = match context.strategy {
        FinetuneStrategy::LastStage => on_feature_maps(context, &options, &folder, observer)?,
        _ => {
            let training = images(context, &split.train, tuning.augmentation.augmentation())?;
            let validation = images(context, &split.validation, Augmentation::default())?;
            let tuned = trains(context)?;
            let trains = |parameter: &Parameter| tuned.contains(&parameter.name);
            let fit_task = fit::Task {
                graph: &network.graph,
                params: &network.params,
                trains: &trains,
                training: &training,
                validation: (!split.validation.is_empty()).then_some(&validation as &dyn Examples),
                options: &options,
                kernels: task.kernels,
                checkpoints: Some(&folder),
                logs: fit::Logs::default(),
            };
            fit::fit(fit_task, observer)?
        }
    };
    let mut params = network.params.clone();
    outcome.params.iter().for_each(|(name, tensor)| params.insert(name, tensor.clone()));
    let executor = CpuExecutor::new(&network.graph, &params)?;
    let logits = |part: &[usize]| -> Result<Vec<f32>, FinetuneError> {
        let images = images(context, part, Augmentation::default())?;
        Ok(fit::logits(&executor, &images, tuning.batch_size)?)
    };
    let outputs = executor.outputs();
    let (validation_logits, test_logits) = (logits(&split.validation)?, logits(&split.test)?);
    let progress = outcome.progress;
    Ok(TuneResult {
        params,
        folder,
        best_epoch: progress.best.map_or(0, |best| best.epoch as usize),
        history: history(&progress, tuning.epochs),
        validation: Evaluation::new(&validation_logits, &classes(&split.validation), outputs),
        test: Evaluation::new(&test_logits, &classes(&split.test), outputs),
        logits: if split.validation.is_empty() { test_logits } else { validation_logits },
    })
}

fn history(progress: &fit::Progress, epochs: u64) -> Vec<Event> {
    let events = (1..).zip(&progress.history).map(|(epoch, result)| Event::Epoch {
        epoch,
        epochs: epochs as usize,
        train_loss: result.train_loss,
        validation_loss: result.validation_loss,
        validation_top1: result.validation_top1,
    });
    events.collect()
}

fn options(tuning: &TuningOptions, task: &Task<'_>, images: usize) -> FitOptions {
    let steps = tuning.epochs * images.div_ceil(tuning.batch_size) as u64;
    let warm_up = steps / 20;
    let cosine = Schedule::Cosine { rate: tuning.learning_rate, end: 0.0, steps: steps - warm_up };
    FitOptions {
        epochs: tuning.epochs,
        batch_size: tuning.batch_size,
        optimizer: OptimizerKind::Sgd { momentum: 0.9, nesterov: true },
        groups: Groups { weight_decay: tuning.weight_decay, layer_decay: tuning.layer_decay, ..Groups::default() },
        schedule: match warm_up {
            0 => cosine,
            steps => Schedule::WarmUp {
                steps,
                ramp: Ramp::From(tuning.learning_rate / 100.0),
                clock: Clock::default(),
                then: Box::new(cosine),
            },
        },
        loss: LossOptions { label_smoothing: task.options.label_smoothing, class_weights: None },
        seed: task.options.seed,
        checkpoints: CheckpointOptions { every_steps: Some(50), ..CheckpointOptions::default() },
        ..FitOptions::default()
    }
}

/// Where the checkpoints of a run are: the same for the same run, so that one that was killed goes on.
pub(super) fn folder(context: &TuneContext<'_>) -> PathBuf {
    let mut hash = Sha256::new();
    hash.update(context.network.params.checksum());
    hash.update(serde_json::to_string(&context.task.options).unwrap_or_default());
    hash.update(context.task.kernels.identity());
    context.samples.iter().for_each(|sample| hash.update(sample.path.to_string_lossy().as_bytes()));
    context.task.cache.join("runs").join(hex::encode(&hash.finalize()[..8]))
}

/// What a boundary that is not there means.
const FEWER_STAGES: OptionError =
    OptionError { option: "tuning.stages", wanted: "no more than the base has stages behind its first" };

/// The names of what is trained.
pub(super) fn trains(context: &TuneContext<'_>) -> Result<BTreeSet<String>, FinetuneError> {
    let TuneContext { task, network, head, strategy, .. } = *context;
    trained(&network.graph, head, strategy, task.options.tuning.stages).ok_or(FEWER_STAGES.into())
}

/// ImageExamples of a part.
fn images(
    context: &TuneContext<'_>,
    part: &[usize],
    augmentation: Augmentation,
) -> Result<ImageExamples, FinetuneError> {
    let TuneContext { task, network, samples, .. } = context;
    let chosen: Arc<[Sample]> = part.iter().map(|&row| samples[row].clone()).collect();
    let classes = chosen.iter().map(|sample| sample.class).collect();
    let preprocess = network.spec.preprocess.clone();
    let transform = TransformSpec { preprocess, augmentation, values: PixelValues::Levels, seed: task.options.seed };
    let batch_size = NonZeroUsize::new(task.options.tuning.batch_size).unwrap_or(NonZeroUsize::MIN);
    let resources = Resources {
        batch_size,
        threads: task.threads,
        limits: Limits::default(),
        bad_files: task.options.bad_files,
        ..Resources::default()
    };
    let loader = Loader::new(chosen, transform, resources).map_err(fit::FitError::from)?;
    Ok(ImageExamples::new(loader, classes))
}

/// The most bytes of feature maps that are held in memory.
const MAPS: usize = 4 << 30;

/// Trains the last stages on feature maps that the stages before them have made once.
fn on_feature_maps(
    context: &TuneContext<'_>,
    options: &FitOptions,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<fit::Fitted, FinetuneError> {
    let TuneContext { task, network, samples, split, .. } = *context;
    let at = stage_boundary(&network.graph, context.head, task.options.tuning.stages).ok_or(FEWER_STAGES)?;
    let cut = network.graph.cut(at)?;
    let looks = task.options.views;
    let bytes = network.graph.shape(at).len() * 4 * (split.train.len() * looks + split.validation.len());
    if bytes > MAPS {
        let mib = |bytes: usize| bytes >> 20;
        return Err(FinetuneError::Memory { needed: mib(bytes), limit: mib(MAPS) });
    }
    let prefix = CpuExecutor::with_backend(&cut.prefix, &network.params, |_| false, task.kernels)?;
    let maps = |part: &[usize], count: usize| -> Result<FeatureExamples, FinetuneError> {
        let chosen: Vec<&Sample> = part.iter().map(|&row| samples[row]).collect();
        let looks = views(count).into_iter().map(|view| super::extract::maps(task, &prefix, &chosen, view));
        let classes = chosen.iter().map(|sample| sample.class).collect();
        Ok(FeatureExamples::new(looks.collect::<Result<_, _>>()?, classes, task.options.seed))
    };
    let (training, validation) = (maps(&split.train, looks)?, maps(&split.validation, 1)?);
    let trains = |parameter: &Parameter| parameter.operator != "BatchNorm";
    let fit_task = fit::Task {
        graph: &cut.suffix,
        params: &network.params,
        trains: &trains,
        training: &training as &dyn Examples,
        validation: (!split.validation.is_empty()).then_some(&validation as &dyn Examples),
        options,
        kernels: task.kernels,
        checkpoints: Some(folder),
        logs: fit::Logs::default(),
    };
    Ok(fit::fit(fit_task, observer)?)
}
