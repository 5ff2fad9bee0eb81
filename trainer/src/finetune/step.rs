//! How long a step of training takes on this machine.

use std::time::Instant;

use models::graph::NodeId;
use models::{Graph, Params};

use super::FinetuneError;
use super::strategy::{FinetuneStrategy, trained};
use crate::backend::{ComputeBackend, ExecError, Executor, ExecutorSpec, Parameter};

/// Images whose training step is timed.
pub(super) const TIMED: usize = 8;

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
        let Self { graph, params, .. } = *self;
        let mut executor = self.backend.open(&ExecutorSpec { graph, params, trains: &trains, update: None })?;
        let inputs = graph.shape(graph.input()).len();
        let noise: Vec<f32> = (0..TIMED * inputs).map(|at| (at * 7919 % 256) as f32).collect();
        let step = |executor: &mut dyn Executor| -> Result<(), ExecError> {
            let outputs = executor.forward_train(&noise, 0)?.len();
            executor.backward(&vec![1.0 / outputs as f32; outputs])
        };
        // The first step also makes plans; the second is like all others.
        step(&mut *executor)?;
        let clock = Instant::now();
        step(&mut *executor)?;
        let train = clock.elapsed().as_secs_f64() / TIMED as f64;
        let clock = Instant::now();
        executor.infer_nhwc(&noise)?;
        Ok(Some(StepSeconds { train, infer: clock.elapsed().as_secs_f64() / TIMED as f64 }))
    }
}
