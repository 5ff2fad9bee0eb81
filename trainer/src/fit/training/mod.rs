//! The training loop.

mod epoch_end;
mod record;
mod report;
mod start;
mod state;
mod step;

use std::time::{Duration, Instant};

use models::Params;

use super::checkpoint::Checkpoints;
use super::weights::Objective;
use super::{FitError, Fitted, Logs, Progress, Task};
use crate::backend::Executor;
use crate::events::{Event, Observer};

pub(crate) use report::evaluate;

pub(super) struct Training<'a> {
    task: Task<'a>,
    loss: Objective<'a>,
    /// Height, width and channels of an example; of what is no image its numbers as channels.
    shape: [usize; 3],
    executor: Box<dyn Executor>,
    checkpoints: Option<Checkpoints>,
    progress: Progress,
    best: Option<Params>,
    clock: Clock,
    /// How many images the memory takes at once, where that is less than a batch.
    most: Option<usize>,
    /// What the observer is still to hear.
    warnings: Vec<String>,
}

/// What is measured for those who watch.
struct Clock {
    start: Instant,
    waited: Duration,
    reported: Instant,
    /// Since the start of this process.
    examples: u64,
}

/// The batches since the last step, whose gradients the executor sums.
#[derive(Default)]
struct Gathered {
    batches: usize,
    /// Of all their examples in the loss: how many there are, where all classes count alike.
    weight: f64,
    /// Sum of their losses.
    loss: f64,
    examples: u64,
}

impl<'a> Training<'a> {
    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(super) fn log_to(&mut self, logs: Logs) {
        self.task.logs.epochs.extend(logs.epochs);
        self.task.logs.steps.extend(logs.steps);
    }

    /// With something between the run and its executor.
    #[cfg(test)]
    pub(super) fn with_executor(self, wrap: impl FnOnce(Box<dyn Executor>) -> Box<dyn Executor>) -> Self {
        Self { executor: wrap(self.executor), ..self }
    }

    pub(super) fn run(mut self, observer: &mut dyn Observer) -> Result<Fitted, FitError> {
        self.warn(observer);
        while !self.over() {
            self.epoch(observer)?;
        }
        let seconds = self.clock.start.elapsed().as_secs_f64();
        Ok(Fitted {
            params: match self.best {
                Some(best) => best,
                None => self.executor.read_weights()?,
            },
            progress: self.progress,
            idle: self.clock.waited.as_secs_f64() / seconds.max(f64::MIN_POSITIVE),
        })
    }

    /// What is left of the current epoch.
    fn epoch(&mut self, observer: &mut dyn Observer) -> Result<(), FitError> {
        let options = self.task.options;
        let examples = self.task.training;
        let epoch = self.progress.epoch;
        let order = options.order(examples.classes(), epoch);
        let total = order.len().div_ceil(options.batch_size);
        if total == 0 {
            return Err(FitError::Empty { examples: examples.classes().len(), batch_size: options.batch_size });
        }
        let behind = (self.progress.batch * options.batch_size).min(order.len());
        let mut batches = examples.epoch(order[behind..].to_vec(), epoch, options.batch_size);
        let mut gathered = Gathered::default();
        while !self.has_all_steps() {
            let Some(batch) = batches.next() else { break };
            if observer.stopped() {
                if gathered.batches == 0 {
                    self.keep()?;
                }
                return Err(FitError::Stopped);
            }
            self.gather(batch?, &mut gathered)?;
            self.warn(observer);
            self.progress.batch += 1;
            if gathered.batches == options.accumulate || self.progress.batch == total {
                self.advance(&std::mem::take(&mut gathered))?;
                if options.checkpoints.every_steps.is_some_and(|every| self.progress.step.is_multiple_of(every)) {
                    self.keep()?;
                }
            }
            self.report(total, observer);
        }
        // Where bad files filled the last batches.
        if gathered.batches > 0 {
            self.advance(&gathered)?;
        }
        self.clock.waited += batches.waited();
        drop(batches);
        self.end_epoch(observer)
    }

    fn warn(&mut self, observer: &mut dyn Observer) {
        self.warnings.drain(..).for_each(|message| observer.event(Event::Warning { message }));
    }

    /// Whether the run has come to its end.
    fn over(&self) -> bool {
        let Progress { epoch, batch, finished, .. } = self.progress;
        finished || epoch >= self.task.options.epochs || (self.has_all_steps() && batch == 0)
    }

    fn has_all_steps(&self) -> bool {
        self.task.options.steps.is_some_and(|steps| self.progress.step >= steps)
    }
}
