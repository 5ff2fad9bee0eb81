//! The beginning of a run, or its continuation from a checkpoint.

use std::time::{Duration, Instant};

use super::report::REPORT;
use super::{Clock, Training, state};
use crate::backend::{ExecutorSpec, UpdateRule};
use crate::fit::checkpoint::Checkpoints;
use crate::fit::stopping::EarlyStopping;
use crate::fit::weights::per_class;
use crate::fit::{FitError, Progress, Sampling, Task};
use crate::optim::loss::LossError;
use crate::optim::schedule::Plateau;
use crate::options::OptionError;

impl<'a> Training<'a> {
    pub(in crate::fit) fn start(task: Task<'a>) -> Result<Self, FitError> {
        let options = task.options;
        options.validate()?;
        let update = UpdateRule { kind: options.optimizer, groups: options.groups, ema: options.ema };
        let Task { graph, params, trains, .. } = task;
        let executor = task.backend.open(&ExecutorSpec { graph, params, trains, update: Some(update) })?;
        let loss = options.loss.resolve(task.training.classes(), executor.outputs(), task.label_sets)?;
        if let Some(teacher) = task.teacher {
            let (expected, found) = (task.training.classes().len(), teacher.len());
            if found != expected {
                return Err(LossError::Length { what: "answers of the teacher", expected, found }.into());
            }
        }
        if let Sampling::Weighted(weights) = &options.sampling {
            per_class("sampling.weighted", weights.len(), executor.outputs())?;
        }
        let shape = example_shape(&task)?;
        let mut progress = Progress {
            stopping: options.early_stopping.map(EarlyStopping::new),
            plateau: options.plateau.map(Plateau::new),
            ..Progress::default()
        };
        let checkpoints = match task.checkpoints {
            Some(folder) => {
                let run = state::identity(&task, executor.trained())?;
                Some(Checkpoints::open(folder, run, options.checkpoints.keep)?)
            }
            None => None,
        };
        let last = checkpoints.as_ref().map(Checkpoints::last).transpose()?.flatten();
        let mut warnings = vec![];
        if let Some(last) = &last {
            progress = last.progress.clone();
            warnings.extend(last.foreign.as_ref().map(|backend| {
                format!(
                    "goes on from a checkpoint that was computed by {backend}, by {}: the result will not be to the bit that of \
                     a run by one of them",
                    task.backend
                )
            }));
        }
        let best = checkpoints.as_ref().filter(|_| progress.best.is_some()).and_then(Checkpoints::best);
        let now = Instant::now();
        let clock = Clock { start: now, waited: Duration::ZERO, reported: now - REPORT, examples: 0 };
        let mut training =
            Self { task, loss, shape, executor, checkpoints, progress, best, clock, most: None, warnings };
        if let Some(last) = last {
            training.executor.write_state(&last.state)?;
        }
        Ok(training)
    }
}

/// Height, width and channels of an example; of features their number as channels.
fn example_shape(task: &Task<'_>) -> Result<[usize; 3], FitError> {
    match *task.graph.shape(task.graph.input()).dims() {
        [channels, height, width] => Ok([height, width, channels]),
        _ if task.options.cutmix.is_some() => {
            let wanted = "left out where a network is trained on features, which have no areas to cut";
            Err(OptionError { option: "cutmix", wanted }.into())
        }
        ref dims => Ok([1, 1, dims.iter().product()]),
    }
}
