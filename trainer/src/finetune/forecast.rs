//! How long the phases of a fine-tune may take: what can be measured in a moment is measured, the rest is counted.

use std::time::Instant;

use models::graph::{GraftedGraph, NodeId};
use models::ops::Shape;
use models::{Graph, Params, Tensor};

use super::auto;
use super::head::HeadSolver;
use super::prepare::Preparation;
use super::probe::FeatureTransform;
use super::strategy::{FinetuneStrategy, trained};
use super::{Base, FinetuneError, Task};
use crate::backend::{ComputeBackend, CpuExecutor, Parameter};
use crate::estimate::PhaseEstimate;
use crate::events::{Event, Observer, Phase};

/// Multiply-accumulates a second of an engine, from measurements on the machine of `docs/performance.md`. The run replaces it by
/// its own pace within seconds.
const ENGINE_MACS: f64 = 30e9;
/// Reading, decoding and resizing a photograph, in seconds.
const DECODE: f64 = 0.005;
/// Passes over the features for one transform of a head: eight strengths, five folds, and the iterations of each.
const PASSES: f64 = 420.0;
/// Multiply-accumulates a second in such a pass.
const HEAD_MACS: f64 = 20e9;
/// Writing the model, in seconds for each multiply-accumulate of it that the golden images take, and at least.
const EXPORT: f64 = 0.3;
/// Images that are compared at most, and how many times as long as an engine all engines and the executor take for them.
const COMPARED: f64 = 128.0;
const ENGINES: f64 = 4.0;
/// Images whose training step is timed.
const TIMED: usize = 8;

/// How long layers of the base take for an image, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StepSeconds {
    /// Forward, backward and the change of the weights.
    pub(super) train: f64,
    /// Forward alone.
    pub(super) infer: f64,
}

/// Layers of a base that may be trained.
pub(super) struct StepTask<'a> {
    pub(super) graph: &'a Graph,
    pub(super) params: &'a Params,
    pub(super) head: NodeId,
    pub(super) strategy: FinetuneStrategy,
    pub(super) stages: usize,
    pub(super) backend: &'a ComputeBackend,
}

impl StepTask<'_> {
    /// Times a step on noise. `None` where the base has fewer stages than are to be trained.
    pub(super) fn time(&self) -> Result<Option<StepSeconds>, FinetuneError> {
        let Some(names) = trained(self.graph, self.head, self.strategy, self.stages) else { return Ok(None) };
        let trains = |parameter: &Parameter| names.contains(&parameter.name);
        let mut executor = CpuExecutor::with_backend(self.graph, self.params, trains, self.backend)?;
        let noise: Vec<f32> = (0..TIMED * executor.inputs()).map(|at| (at * 7919 % 256) as f32).collect();
        // The first step also makes plans; the second is like all others.
        executor.profile(&noise)?;
        let clock = Instant::now();
        executor.profile(&noise)?;
        let train = clock.elapsed().as_secs_f64() / TIMED as f64;
        let clock = Instant::now();
        executor.infer_nhwc(&noise)?;
        Ok(Some(StepSeconds { train, infer: clock.elapsed().as_secs_f64() / TIMED as f64 }))
    }
}

/// What a fine-tune has to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Workload {
    pub(super) train: usize,
    pub(super) validation: usize,
    pub(super) test: usize,
    /// Rows of features that are not in the cache.
    pub(super) missing: usize,
    /// Seconds for one of them.
    pub(super) row_seconds: f64,
    /// Multiply-accumulates of the base for an image.
    pub(super) macs: f64,
    /// Of all passes over the features for the head.
    pub(super) head_macs: f64,
    /// Passes over the training images while layers of the base are trained, and what a step takes; missing for `head`.
    pub(super) tuning: Option<(FinetuneStrategy, f64, StepSeconds)>,
}

impl Workload {
    /// What is to be done, with so many rows of features to compute.
    pub(super) fn new(task: &Task<'_>, preparation: &Preparation, missing: usize) -> Result<Self, FinetuneError> {
        let Preparation { dataset, features, images, .. } = preparation;
        let split = dataset.split(task.options.partition(), task.options.seed);
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
            missing,
            row_seconds: macs / ENGINE_MACS + DECODE,
            macs,
            head_macs: head_macs(task, features.shape(), (train, dataset.labels.len())),
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
        let GraftedGraph { graph, head, .. } = preparation.features.graft(&FeatureTransform::PLAIN, classes)?;
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
        let Some(seconds) = step.time()? else { return Ok(None) };
        let epochs = options.tuning.epochs as f64;
        let patient =
            options.strategy != FinetuneStrategy::Auto || seconds.train * self.train as f64 * epochs <= auto::PATIENCE;
        Ok(patient.then_some((strategy, epochs, seconds)))
    }

    /// How long each phase may take.
    pub(super) fn phases(&self) -> Vec<PhaseEstimate> {
        let Self { train, validation, test, missing, row_seconds, macs, head_macs, tuning } = self;
        let [train, validation, test, missing] = [*train, *validation, *test, *missing].map(|count| count as f64);
        let engine = macs / ENGINE_MACS;
        let mut phases = vec![(Phase::Features, missing * row_seconds), (Phase::Training, head_macs / HEAD_MACS)];
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
        phases.push((Phase::Export, EXPORT + engine));
        phases.push((Phase::Parity, compared * (engine + DECODE) * ENGINES));
        phases.into_iter().map(|(phase, seconds)| PhaseEstimate { phase, seconds }).collect()
    }
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

/// Multiply-accumulates of all passes over the features of the training images.
fn head_macs(task: &Task<'_>, shape: &Shape, (images, classes): (usize, usize)) -> f64 {
    let rows = (images * task.options.views) as f64;
    match task.options.solver() {
        HeadSolver::Sgd => 3.0 * task.options.epochs as f64 * rows * (shape.len() * classes) as f64,
        HeadSolver::Auto | HeadSolver::Lbfgs => {
            let widths: usize =
                FeatureTransform::all(shape).iter().map(|transform| transform.pooling.width(shape)).sum();
            PASSES * rows * (widths * classes) as f64
        }
    }
}
