//! Training a network on its gradients.
//!
//! A run is a pure function of its options, its examples and its first weights: the order of an epoch, augmentation, mixing
//! and dropout are drawn from the seed and from the number of the epoch, image or step. So a checkpoint holds weights, what
//! the optimiser keeps, and a few counters, and a run that goes on from it ends in the same bits as one that was never
//! interrupted.

mod checkpoint;
mod examples;
mod options;
mod progress;
mod range_test;
mod soft_targets;
pub mod stopping;
#[cfg(test)]
mod tests;
mod training;
mod weights;

use std::path::Path;

use models::params::ParamsError;
use models::{Graph, Params};
use thiserror::Error;

pub use checkpoint::{CheckpointError, Checkpoints};
pub use examples::{Batch, Batches, Examples, FeatureExamples, ImageExamples};
pub use options::{CheckpointOptions, FitOptions, LogOptions, Sampling, TieBreak};
pub use progress::{Best, EpochResult, Progress};
pub use soft_targets::{SoftTargets, TeacherAnswers};
pub(crate) use training::evaluate;
pub use weights::{ClassWeights, LossOptions};

pub use range_test::{Probe, RangeOptions, RangeTest, Suggestion, range_test};

use crate::backend::{ComputeBackend, ExecError, Executor, Parameter};
use crate::data::LabelSets;
use crate::data::loader::LoaderError;
use crate::data::mixing::MixError;
use crate::events::Observer;
use crate::identity::IdentityError;
use crate::logs::{Log, LogError};
use crate::optim::OptimError;
use crate::optim::loss::LossError;
use crate::optim::schedule::ScheduleError;
use crate::options::OptionError;

/// What is to be trained, on what.
pub struct Task<'a> {
    /// The network. Its output is logits.
    pub graph: &'a Graph,
    /// Its weights at the start.
    pub params: &'a Params,
    /// Which of its parameters are trained.
    pub trains: &'a dyn Fn(&Parameter) -> bool,
    /// What it learns from.
    pub training: &'a dyn Examples,
    /// Where an example may have several classes, the sets whose numbers the examples have for classes.
    pub label_sets: Option<&'a LabelSets>,
    /// What a teacher answers to each of `training`, if it has one.
    pub teacher: Option<&'a SoftTargets>,
    /// What chooses the best epoch; with none, the last is the best.
    pub validation: Option<&'a dyn Examples>,
    /// For how long, in which order, by which rule and rate.
    pub options: &'a FitOptions,
    /// By what it is computed.
    pub backend: &'a ComputeBackend,
    /// Where checkpoints are kept; with none, nothing is written.
    pub checkpoints: Option<&'a Path>,
    /// What else is told the measurements.
    pub logs: Logs,
}

/// Who is told the measurements.
#[derive(Debug, Default)]
pub struct Logs {
    /// Of each epoch: `train_loss`, `train_top1` and `learning_rate`, and where something is validated `validation_loss`
    /// and `validation_top1`; and the distributions of the weights, if they are wanted.
    pub epochs: Vec<Log>,
    /// Of each [`LogOptions::every_steps`]-th step: `train_loss` and `learning_rate`.
    pub steps: Vec<Log>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The weights of the best epoch.
    pub params: Params,
    /// Which that is, and what was measured.
    pub progress: Progress,
    /// The share of the time in which the executor waited for examples, 0..1.
    pub idle: f64,
}

/// Why nothing came of it.
#[derive(Debug, Error)]
pub enum FitError {
    /// The observer asked to stop. A checkpoint has been written, if there is a place for it.
    #[error("stopped")]
    Stopped,
    /// A number that makes no sense.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Not a number for each class.
    #[error("`{option}` has {found} number(s), and there are {classes} classes; give one for each, in their order")]
    PerClass {
        /// The name of the option.
        option: &'static str,
        /// How many numbers it has.
        found: usize,
        /// How many classes the network has.
        classes: usize,
    },
    /// The loss is no number any more.
    #[error(
        "the loss is not a number in step {step}; use a lower learning rate than {rate}, a warm-up, or a limit on the \
         gradient's norm"
    )]
    Diverged {
        /// Counted from 0.
        step: u64,
        /// The learning rate of that step.
        rate: f64,
    },
    /// Nothing to learn from.
    #[error("an epoch has no batch of {batch_size}: there are {examples} examples; use smaller batches")]
    Empty {
        /// How many there are.
        examples: usize,
        /// How many make a batch.
        batch_size: usize,
    },
    /// The weights are not the graph's.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The executor failed.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// An image cannot be loaded.
    #[error(transparent)]
    Loader(#[from] LoaderError),
    /// The loss cannot be computed.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// Images cannot be mixed.
    #[error(transparent)]
    Mix(#[from] MixError),
    /// The optimiser's options make no sense.
    #[error(transparent)]
    Optim(#[from] OptimError),
    /// The schedule makes no sense.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The run has no identity to find its checkpoints by.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Measurements cannot be written.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Trains, from the last checkpoint if there is one of the same run.
///
/// # Errors
/// [`FitError`].
pub fn fit(task: Task<'_>, observer: &mut dyn Observer) -> Result<Fitted, FitError> {
    Run::prepare(task)?.finish(observer)
}

/// A run that is prepared and has not begun: what opens its logs can ask where it will go on.
pub struct Run<'a>(training::Training<'a>);

impl<'a> Run<'a> {
    /// Reads the last checkpoint, if there is one of the same run.
    ///
    /// # Errors
    /// [`FitError`].
    pub fn prepare(task: Task<'a>) -> Result<Self, FitError> {
        training::Training::start(task).map(Self)
    }

    /// How far the run is; at step 0 where there was no checkpoint.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        self.0.progress()
    }

    /// More places that are told the measurements.
    pub fn log_to(&mut self, logs: Logs) {
        self.0.log_to(logs);
    }

    /// Trains to the end.
    ///
    /// # Errors
    /// [`FitError`].
    pub fn finish(self, observer: &mut dyn Observer) -> Result<Fitted, FitError> {
        self.0.run(observer)
    }
}

/// What a network answers to all examples in their order, by the running statistics and without dropout: `[n, outputs]`.
///
/// # Errors
/// [`FitError`] when an example cannot be loaded or is not of the network's size.
pub fn outputs(executor: &dyn Executor, examples: &dyn Examples, batch_size: usize) -> Result<Vec<f32>, FitError> {
    let all = (0..examples.classes().len()).collect();
    let mut outputs = Vec::new();
    for batch in examples.epoch(all, 0, batch_size) {
        outputs.extend(executor.infer_nhwc(&batch?.inputs)?);
    }
    Ok(outputs)
}
