//! How long the phases of a fine-tune may take: what can be measured in a moment is measured, the rest is counted.

use std::time::Instant;

use models::Tensor;
use models::graph::GraftedGraph;
use models::ops::Shape;
use rayon::prelude::*;

use super::auto::{self, FEW};
use super::head::{HeadKind, HeadSolver, LabeledFeatures};
use super::image::{ImageFile, decode_view};
use super::prepare::Preparation;
use super::probe::{FeatureTransform, ProbeTask, article, probe};
use super::step::{StepSeconds, StepTask, TIMED};
use super::strategy::FinetuneStrategy;
use super::{Base, FinetuneError, Task};
use crate::data::augment::View;
use crate::events::{Event, Observer, Phase, PhaseEstimate, Unobserved};

/// Multiply-accumulates a second of an engine on two cores: SqueezeNet makes 80, EfficientNet-Lite0 40 of these billions on an AMD EPYC with
/// AVX2. The run replaces it by its own pace within seconds.
const ENGINE_MACS: f64 = 50e9;
/// Reading, decoding and resizing a photograph, in seconds, on two cores.
const DECODE: f64 = 0.002;
/// Multiply-accumulates a second in the passes of SGD over the features, with a linear head and with the article's.
const HEAD_MACS: f64 = 4e9;
const ARTICLE_MACS: f64 = 30e9;
/// Multiply-accumulates of a trial of the head's solver: half a second at most.
const TRIAL_MACS: usize = 2_000_000_000;
/// Passes over the features for one transform: eight strengths, five folds, and the iterations of each.
const PASSES: usize = 1000;
/// How many transforms take as long as the head that is trained in the end on all images.
const FINAL_FIT: f64 = 0.5;
/// Writing the model, in seconds for each multiply-accumulate of it that the golden images take, and at least.
const EXPORT: f64 = 0.3;
/// Images that are compared at most, and how many times as long as an engine all engines and the executor take for them: 3.3 times for
/// SqueezeNet, 3.8 for EfficientNet-Lite0.
const COMPARED: f64 = 128.0;
const ENGINES: f64 = 3.5;

/// What a fine-tune has to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Workload {
    pub(super) train: usize,
    pub(super) validation: usize,
    pub(super) test: usize,
    /// Trainings: one, or with folds one for each of them and one on all images.
    pub(super) trainings: usize,
    /// Rows of features that are not in the cache.
    pub(super) missing: usize,
    /// Seconds for one of them.
    pub(super) row_seconds: f64,
    /// Multiply-accumulates of the base for an image.
    pub(super) macs: f64,
    /// What the head takes, on all features.
    pub(super) head_seconds: f64,
    /// Passes over the training images while layers of the base are trained, and what a step takes; missing for `head`.
    pub(super) tuning: Option<(FinetuneStrategy, f64, StepSeconds)>,
}

impl Workload {
    /// What is to be done, with so many rows of features to compute.
    pub(super) fn new(task: &Task<'_>, preparation: &Preparation, missing: usize) -> Result<Self, FinetuneError> {
        let Preparation { dataset, features, images, .. } = preparation;
        let split = task.options.split(dataset, &dataset.samples);
        // Images that cannot be read are left out of every subset alike.
        let usable = images.len() as f64 / dataset.samples.len().max(1) as f64;
        let [train, validation, test] = [&split.train, &split.validation, &split.test]
            .map(|subset| (subset.len() as f64 * usable).round() as usize);
        let macs = match task.base {
            Base::Network(network) => network.graph.counts().macs as f64,
            // Nothing tells what is in an opaque file but its size.
            Base::File(_) => preparation.prefix.len() as f64 * 100.0,
        };
        let mut workload = Self {
            train,
            validation,
            test,
            trainings: if task.options.folds > 1 { task.options.folds + 1 } else { 1 },
            missing,
            row_seconds: macs / ENGINE_MACS + DECODE,
            macs,
            head_seconds: head_seconds(task, features.shape(), train, dataset.labels.len())?,
            tuning: None,
        };
        workload.tuning = workload.time_tuning(task, preparation)?;
        Ok(workload)
    }

    /// The strategy that trains layers of the base, if one will, and what its steps take.
    fn time_tuning(
        &self,
        task: &Task<'_>,
        preparation: &Preparation,
    ) -> Result<Option<(FinetuneStrategy, f64, StepSeconds)>, FinetuneError> {
        let (options, base) = (&task.options, task.base.network());
        let classes = preparation.dataset.labels.len();
        let strategy = match options.strategy {
            FinetuneStrategy::Head => return Ok(None),
            FinetuneStrategy::Auto if !auto::has_enough(task.base, self.train, classes) => return Ok(None),
            FinetuneStrategy::Auto => FinetuneStrategy::Staged,
            strategy => strategy,
        };
        let GraftedGraph { graph, head, .. } = preparation.features.graft_plain(classes)?;
        let mut params = base.params.clone();
        for (name, param) in graph.node(head).params() {
            let numbers = param.shape.iter().product();
            params.insert(name, Tensor::new(param.shape, vec![0.0; numbers]));
        }
        let step = StepTask {
            graph: &graph,
            params: &params,
            head,
            strategy,
            stages: options.tuning.stages,
            backend: task.backend,
        };
        let Some(step) = step.time()? else { return Ok(None) };
        // Every image is read and changed anew in each epoch, on the threads that compute.
        let read = read_seconds(task, preparation);
        let seconds = StepSeconds { train: step.train + read, infer: step.infer + read };
        let epochs = options.tuning.epochs as f64;
        let patient =
            options.strategy != FinetuneStrategy::Auto || seconds.train * self.train as f64 * epochs <= auto::PATIENCE;
        Ok(patient.then_some((strategy, epochs, seconds)))
    }

    /// Why a run would choose what the workload says.
    pub(super) fn reason(&self, base: &Base, classes: usize) -> String {
        let each = self.train / classes.max(1);
        match self.tuning {
            Some((_, epochs, seconds)) => {
                let minutes = self.train as f64 * epochs * seconds.train / 60.0;
                format!(
                    "{each} training images a class are enough, and tuning takes about {minutes:.0} min on this machine"
                )
            }
            None if matches!(base, Base::File(_)) => {
                "the base is an opaque ONNX file, so its layers cannot be trained".to_owned()
            }
            None if each < FEW => {
                format!("{each} training images a class are fewer than the {FEW} from which layers of the base gain")
            }
            None => {
                let limit = auto::PATIENCE / 60.0;
                format!(
                    "training layers of the base takes more than {limit:.0} min on this machine, or it has too few stages"
                )
            }
        }
    }

    /// How long each phase may take.
    pub(super) fn phases(&self) -> Vec<PhaseEstimate> {
        let Self { train, validation, test, trainings, missing, row_seconds, macs, head_seconds, tuning } = self;
        let [train, validation, test, missing] = [*train, *validation, *test, *missing].map(|count| count as f64);
        let engine = macs / ENGINE_MACS;
        let mut phases = vec![(Phase::Features, missing * row_seconds), (Phase::Training, *head_seconds)];
        if let Some((strategy, epochs, StepSeconds { train: step, infer })) = *tuning {
            let measured = (validation + test) * infer;
            let epoch = match strategy {
                // Its feature maps are computed once, and only what is behind them is trained.
                FinetuneStrategy::LastStage => train * (step - infer).max(0.0),
                _ => train * step + validation * infer,
            };
            let once = if strategy == FinetuneStrategy::LastStage { (train + validation) * infer } else { 0.0 };
            phases.push((Phase::Tuning, once + epochs * epoch + measured));
        }
        let compared = if validation > 0.0 { validation } else { test }.min(COMPARED);
        if *trainings > 1 {
            // The trainings follow each other in one phase.
            let once: f64 = phases.drain(1..).map(|(_, seconds)| seconds).sum();
            phases.push((Phase::Training, once * *trainings as f64));
        }
        phases.push((Phase::Export, EXPORT + engine));
        phases.push((Phase::Parity, compared * row_seconds * ENGINES));
        phases.into_iter().map(|(phase, seconds)| PhaseEstimate { phase, seconds }).collect()
    }
}

/// How long reading and preparing an image takes, all threads together, measured on some images.
fn read_seconds(task: &Task<'_>, preparation: &Preparation) -> f64 {
    let apart = (preparation.images.len() / TIMED).max(1);
    let images: Vec<&ImageFile> = preparation.images.iter().step_by(apart).take(TIMED).collect();
    let clock = Instant::now();
    let read = images.par_iter().filter(|image| decode_view(task, &image.sample, View::Plain).is_ok()).count();
    clock.elapsed().as_secs_f64() / read.max(1) as f64
}

/// Says how long the phases may take, as soon as it is known how many rows of features are to be computed.
pub(super) fn announce(
    task: &Task<'_>,
    preparation: &Preparation,
    missing: usize,
    observer: &mut dyn Observer,
) -> Result<(), FinetuneError> {
    let phases = Workload::new(task, preparation, missing)?.phases();
    observer.event(Event::Estimate { phases });
    Ok(())
}

/// How long the head takes: SGD and the article's head by their arithmetic, the search of L-BFGS by a trial on some rows of noise around the classes.
fn head_seconds(task: &Task<'_>, shape: &Shape, images: usize, classes: usize) -> Result<f64, FinetuneError> {
    let rows = images * task.options.views;
    if task.options.head == HeadKind::Article {
        let weights = article::weights(shape.len(), classes);
        return Ok((3 * task.options.head().epochs * rows * weights) as f64 / ARTICLE_MACS);
    }
    if task.options.solver() == HeadSolver::Sgd {
        return Ok((3 * task.options.epochs * rows * shape.len() * classes) as f64 / HEAD_MACS);
    }
    let widths = FeatureTransform::all(shape).into_iter().map(|transform| transform.pooling.width(shape));
    let narrow = widths.clone().min().unwrap_or(1).max(1);
    let few = (TRIAL_MACS / (PASSES * narrow * classes)).clamp(4 * classes.max(5), rows.max(4 * classes.max(5)));
    let noise = |at: usize| (at.wrapping_mul(2_654_435_761) >> 7) % 1000;
    let classes_of: Vec<usize> = (0..few).map(|row| row % classes).collect();
    let number = |at: usize| {
        let own = at % narrow == classes_of[at / narrow] % narrow;
        noise(at) as f32 / 1000.0 + f32::from(u8::from(own))
    };
    let training = LabeledFeatures { features: (0..few * narrow).map(number).collect(), classes: classes_of.clone() };
    let trial = ProbeTask {
        training: &training,
        validation: &LabeledFeatures::default(),
        shape: &Shape::vector(narrow),
        views: 1,
        classes,
        sets: None,
        weights: None,
        transforms: &[],
        options: task.options.head(),
    };
    let clock = Instant::now();
    probe(&trial, &mut Unobserved)?;
    let each = clock.elapsed().as_secs_f64() / (1.0 + FINAL_FIT) / few as f64 / narrow as f64;
    // Of more images than these only some choose.
    let choosing = rows.min(4096 * task.options.views) as f64;
    let (all, widest) = (widths.clone().sum::<usize>() as f64, widths.max().unwrap_or(1) as f64);
    Ok(each * (choosing * all + FINAL_FIT * rows as f64 * widest))
}
