//! Stage 4: layers of the base, where the strategy trains any.

use std::path::PathBuf;
use std::sync::Arc;

use models::graph::{GraftedGraph, NodeId};
use models::ops::Op;
use models::scores::ScoreKind;
use models::{Graph, Network};

use super::auto;
use super::context::TuneContext;
use super::extract::{FeatureTable, maps};
use super::familiarity::HeadInputs;
use super::head::LinearHead;
use super::options::TuningOptions;
use super::outcome::{GraftedHead, Outcome, SubsetResult};
use super::prepare::Preparation;
use super::probe::LinearProbe;
use super::strategy::FinetuneStrategy;
use super::{FinetuneError, Task};
use crate::backend::{ExecutorSpec, Parameter};
use crate::data::augment::{Augmentation, views};
use crate::data::loader::{Loader, PixelValues, Resources, TransformSpec};
use crate::data::{LabelSets, Sample, Split};
use crate::events::{Event, Observer};
use crate::fit::{
    self, CheckpointOptions, ClassWeights, Examples, FeatureExamples, FitOptions, ImageExamples, LossOptions,
};
use crate::optim::schedule::{Clock, Ramp, Schedule};
use crate::optim::{Groups, OptimizerKind};

/// Training images that a trained network is run on again, at most.
const SHOWN: usize = 1024;

/// The most bytes of feature maps that are held in memory.
const MAPS: usize = 4 << 30;

/// A trained network, and what its head takes of the images.
pub(super) struct Tuned {
    pub(super) outcome: Outcome,
    pub(super) inputs: HeadInputs,
}

/// Puts the head on the base and trains what the strategy says. The validation images choose the best epoch, the test
/// images measure it.
pub(super) fn tune(
    task: &Task<'_>,
    table: &FeatureTable<'_>,
    probe: LinearProbe,
    observer: &mut dyn Observer,
) -> Result<Tuned, FinetuneError> {
    let (network, node) = with_head(task, table.preparation, &probe)?;
    let inputs = probe.transform.apply(table.preparation.features.shape(), &table.views[0].features);
    let largest_input = probe.hidden(&inputs).iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let samples: Vec<&Sample> = table.samples.iter().map(|image| &image.sample).collect();
    let mut context = TuneContext {
        task,
        network: &network,
        head: &GraftedHead { node, choice: probe.choice.clone(), largest_input },
        samples: &samples,
        split: &table.split,
        strategy: task.options.strategy,
    };
    if context.strategy == FinetuneStrategy::Auto {
        let choice = auto::choose(&context)?;
        observer.event(Event::Note { message: choice.why });
        context.strategy = choice.strategy;
    }
    match context.strategy {
        FinetuneStrategy::Head => Ok(head_alone(&context, table, probe)),
        _ => train(&context, table, observer),
    }
}

/// The base's graph and weights with the new head, and the head.
fn with_head(
    task: &Task<'_>,
    preparation: &Preparation,
    probe: &LinearProbe,
) -> Result<(Network, NodeId), FinetuneError> {
    let base = task.base.network();
    let labels = preparation.dataset.labels.clone();
    let GraftedGraph { graph, head, .. } = preparation.features.graft(probe, labels.len())?;
    let mut params = base.params.clone();
    let layers = graph.iter().filter(|(id, node)| *id > preparation.features.node && matches!(node.op, Op::Linear(_)));
    for ((_, node), layer) in layers.zip(probe.hidden.iter().chain([&probe.head])) {
        for (name, tensor) in node.params.iter().zip([&layer.weight, &layer.bias]) {
            params.insert(name, tensor.clone());
        }
    }
    let mut spec = base.spec.with_head(Some(labels));
    if preparation.dataset.is_multi_label() {
        spec.scores.kind = ScoreKind::Sigmoid;
    }
    Ok((Network::new(graph, &params, spec)?, head))
}

/// The outcome where nothing but the head is trained.
fn head_alone(context: &TuneContext<'_>, table: &FeatureTable<'_>, probe: LinearProbe) -> Tuned {
    let inputs = |rows: &[usize]| {
        let features = table.plain(rows).features;
        probe.hidden(&probe.transform.apply(table.preparation.features.shape(), &features))
    };
    let Split { train, validation, test } = &table.split;
    let inputs = HeadInputs { train: inputs(train), validation: inputs(validation), test: inputs(test) };
    let result = |rows: &[usize], inputs: &[f32]| {
        SubsetResult::new(probe.head.logits(inputs), table.truths(&table.numbers(rows)), None)
    };
    let outcome = Outcome {
        network: context.network.clone(),
        head: context.head.clone(),
        strategy: FinetuneStrategy::Head,
        best_epoch: probe.best_epoch,
        validation: result(validation, &inputs.validation),
        test: result(test, &inputs.test),
        measured: None,
        folds: None,
        out_of_fold: probe.out_of_fold,
        calibration: None,
        certainty: None,
        history: probe.history,
        checkpoints: None,
    };
    Tuned { outcome, inputs }
}

fn train(
    context: &TuneContext<'_>,
    table: &FeatureTable<'_>,
    observer: &mut dyn Observer,
) -> Result<Tuned, FinetuneError> {
    let TuneContext { task, network, split, strategy, .. } = *context;
    let tuning = task.options.tuning;
    let run = TuneRun {
        context,
        sets: table.sets(),
        options: fit_options(&tuning, task, table),
        folder: context.run_folder()?,
    };
    let fitted = match strategy {
        FinetuneStrategy::LastStage => run.on_feature_maps(observer)?,
        _ => run.on_images(observer)?,
    };
    let mut params = network.params.clone();
    fitted.params.iter().for_each(|(name, tensor)| params.insert(name, tensor.clone()));
    let network = Network::new(network.graph.clone(), &params, network.spec.clone())?;
    let inputs = head_inputs(context, &network, table)?;
    let head = LinearHead::of(&network, context.head.node)?;
    let result = |rows: &[usize], inputs: &[f32]| {
        SubsetResult::new(head.logits(inputs), table.truths(&table.numbers(rows)), None)
    };
    let outcome = Outcome {
        head: context.head.clone(),
        strategy,
        best_epoch: fitted.progress.best.map(|best| best.epoch as usize),
        history: fitted.progress.epoch_events(tuning.epochs as usize),
        validation: result(&split.validation, &inputs.validation),
        test: result(&split.test, &inputs.test),
        network,
        measured: None,
        folds: None,
        out_of_fold: None,
        calibration: None,
        certainty: None,
        checkpoints: Some(run.folder),
    };
    Ok(Tuned { outcome, inputs })
}

/// What the head of a trained network takes of the images: of those that measure it, and of enough of the others to know what is
/// like them.
fn head_inputs(
    context: &TuneContext<'_>,
    network: &Network,
    table: &FeatureTable<'_>,
) -> Result<HeadInputs, FinetuneError> {
    let TuneContext { task, split, .. } = context;
    let head = network.graph.node(context.head.node);
    let prefix = network.graph.prefix(head.inputs[0]);
    let executor = task.backend.exact().open(&ExecutorSpec::frozen(&prefix, &network.params))?;
    let inputs = |rows: &[usize]| -> Result<Vec<f32>, FinetuneError> {
        let images = images(context, rows, Augmentation::default())?;
        Ok(fit::outputs(&*executor, &images, task.options.tuning.batch_size)?)
    };
    let step = split.train.len().div_ceil(SHOWN).max(1);
    let train: Vec<usize> = match table.sets() {
        None => split.train.iter().step_by(step).copied().collect(),
        // Where an image may have several classes, nothing is asked of the training images.
        Some(_) => vec![],
    };
    Ok(HeadInputs { train: inputs(&train)?, validation: inputs(&split.validation)?, test: inputs(&split.test)? })
}

/// A tuning with its checkpoints.
struct TuneRun<'a> {
    context: &'a TuneContext<'a>,
    /// The sets of classes, where an image may have several.
    sets: Option<&'a LabelSets>,
    options: FitOptions,
    folder: PathBuf,
}

/// What a strategy trains, and on what.
struct TunedPart<'a> {
    graph: &'a Graph,
    trains: &'a dyn Fn(&Parameter) -> bool,
    training: &'a dyn Examples,
    validation: &'a dyn Examples,
}

impl TuneRun<'_> {
    /// Trains on images that are changed at random.
    fn on_images(&self, observer: &mut dyn Observer) -> Result<fit::Fitted, FinetuneError> {
        let TuneContext { task, network, split, .. } = *self.context;
        let training = images(self.context, &split.train, task.options.tuning.augmentation.augmentation())?;
        let validation = images(self.context, &split.validation, Augmentation::default())?;
        let names = self.context.trained_names()?;
        let trains = |parameter: &Parameter| names.contains(&parameter.name);
        let part = TunedPart { graph: &network.graph, trains: &trains, training: &training, validation: &validation };
        self.fit(&part, observer)
    }

    /// Trains the last stages on feature maps that the stages before them compute once.
    fn on_feature_maps(&self, observer: &mut dyn Observer) -> Result<fit::Fitted, FinetuneError> {
        let TuneContext { task, network, samples, split, .. } = *self.context;
        let at = self.context.stage_boundary()?;
        let cut = network.graph.cut(at)?;
        let count = task.options.views;
        let bytes = network.graph.shape(at).len() * 4 * (split.train.len() * count + split.validation.len());
        if bytes > MAPS {
            let mib = |bytes: usize| bytes >> 20;
            return Err(FinetuneError::Memory { needed: mib(bytes), limit: mib(MAPS) });
        }
        let prefix = task.backend.open(&ExecutorSpec::frozen(&cut.prefix, &network.params))?;
        let examples = |rows: &[usize], count: usize| -> Result<FeatureExamples, FinetuneError> {
            let samples: Vec<&Sample> = rows.iter().map(|&row| samples[row]).collect();
            let views = views(count).into_iter().map(|view| maps(task, &*prefix, &samples, view));
            let classes = samples.iter().map(|sample| sample.class).collect();
            Ok(FeatureExamples::new(views.collect::<Result<_, _>>()?, classes, task.options.seed))
        };
        let (training, validation) = (examples(&split.train, count)?, examples(&split.validation, 1)?);
        let trains = |parameter: &Parameter| parameter.operator != "BatchNorm";
        let part = TunedPart { graph: &cut.suffix, trains: &trains, training: &training, validation: &validation };
        self.fit(&part, observer)
    }

    fn fit(&self, part: &TunedPart<'_>, observer: &mut dyn Observer) -> Result<fit::Fitted, FinetuneError> {
        let TuneContext { task, network, split, .. } = *self.context;
        let fit_task = fit::Task {
            graph: part.graph,
            params: &network.params,
            trains: part.trains,
            training: part.training,
            label_sets: self.sets,
            teacher: None,
            validation: (!split.validation.is_empty()).then_some(part.validation),
            options: &self.options,
            backend: task.backend,
            checkpoints: Some(&self.folder),
            logs: fit::Logs::default(),
        };
        Ok(fit::fit(fit_task, observer)?)
    }
}

fn fit_options(tuning: &TuningOptions, task: &Task<'_>, table: &FeatureTable<'_>) -> FitOptions {
    let steps = tuning.epochs * table.split.train.len().div_ceil(tuning.batch_size) as u64;
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
        loss: LossOptions {
            label_smoothing: task.options.label_smoothing,
            class_weights: table.class_weights.clone().map(ClassWeights::Listed),
        },
        seed: task.options.seed,
        checkpoints: CheckpointOptions { every_steps: Some(50), ..CheckpointOptions::default() },
        ..FitOptions::default()
    }
}

/// The images of these rows.
fn images(
    context: &TuneContext<'_>,
    rows: &[usize],
    augmentation: Augmentation,
) -> Result<ImageExamples, FinetuneError> {
    let TuneContext { task, network, samples, .. } = context;
    let samples: Arc<[Sample]> = rows.iter().map(|&row| samples[row].clone()).collect();
    let classes = samples.iter().map(|sample| sample.class).collect();
    let preprocess = network.spec.preprocess.clone();
    let transform = TransformSpec { preprocess, augmentation, values: PixelValues::Levels, seed: task.options.seed };
    let resources = Resources {
        threads: task.engine.threads,
        limits: task.options.limits(),
        bad_files: task.options.bad_files,
        ..Resources::default()
    };
    let loader = Loader::new(samples, transform, resources).map_err(fit::FitError::from)?;
    Ok(ImageExamples::new(loader, classes))
}
