//! The training loop.

mod record;
mod report;
mod start;
mod state;

use std::time::{Duration, Instant};

use models::Params;

use super::checkpoint::Checkpoints;
use super::progress::{Best, Sums};
use super::{Batch, EpochResult, FitError, Fitted, Logs, Progress, Task};
use crate::backend::Executor;
use crate::data::mixing::{Mixable, shares};
use crate::data::sampling::generator;
use crate::events::{Event, Observer};
use crate::fit::stopping::{Better, Verdict};
use crate::optim::loss::CrossEntropy;
use crate::optim::{Step, clip_factor};

pub(crate) use report::evaluate;

pub(super) struct Training<'a> {
    task: Task<'a>,
    loss: CrossEntropy,
    /// Height, width and channels of an example; of what is no image its numbers as channels.
    shape: [usize; 3],
    executor: Box<dyn Executor>,
    checkpoints: Option<Checkpoints>,
    progress: Progress,
    best: Option<Params>,
    clock: Clock,
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

    pub(super) fn run(mut self, observer: &mut dyn Observer) -> Result<Fitted, FitError> {
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

    /// Whether the run has come to its end.
    fn over(&self) -> bool {
        let Progress { epoch, batch, finished, .. } = self.progress;
        finished || epoch >= self.task.options.epochs || (self.has_all_steps() && batch == 0)
    }

    fn has_all_steps(&self) -> bool {
        self.task.options.steps.is_some_and(|steps| self.progress.step >= steps)
    }

    /// A batch forward and backward.
    fn gather(&mut self, batch: Batch, gathered: &mut Gathered) -> Result<(), FitError> {
        let options = self.task.options;
        let Batch { mut inputs, classes } = batch;
        let number = self.progress.epoch << 32 | self.progress.batch as u64;
        let labels = classes.len();
        let outputs = self.executor.outputs();
        let mixing = options.mixing();
        let targets = if mixing.is_any() {
            let mut shares = shares(&classes, outputs);
            let mut mixable = Mixable { images: &mut inputs, shape: self.shape, shares: &mut shares, classes: outputs };
            mixing.mix(&mut mixable, &mut generator(options.seed ^ MIXING, number))?;
            Some(shares)
        } else {
            None
        };
        let logits = self.executor.forward_train(&inputs, seed(options.seed, number))?;
        let loss = match &targets {
            None => self.loss.of_classes(&logits, &classes, outputs)?,
            Some(shares) => self.loss.of_shares(&logits, shares, outputs)?,
        };
        if !loss.mean.is_finite() {
            return Err(FitError::Diverged { step: self.progress.step, rate: self.rate() });
        }
        let hits = logits.chunks_exact(outputs).zip(&classes).filter(|(row, class)| highest(row) == **class);
        let sums = &mut self.progress.sums;
        sums.hits += hits.count() as u64;
        sums.loss += loss.mean * labels as f64;
        sums.examples += labels as u64;
        self.clock.examples += labels as u64;
        let mut dy = loss.gradient;
        if options.accumulate > 1 {
            dy.iter_mut().for_each(|dy| *dy *= loss.weight as f32);
        }
        self.executor.backward(&dy)?;
        gathered.batches += 1;
        gathered.weight += loss.weight;
        gathered.loss += loss.mean * labels as f64;
        gathered.examples += labels as u64;
        Ok(())
    }

    /// The gradients change the weights.
    fn step(&mut self, gathered: &Gathered, rate: f64) -> Result<(), FitError> {
        let options = self.task.options;
        if gathered.batches == 0 {
            return Ok(());
        }
        let mut scale = if options.accumulate > 1 { 1.0 / gathered.weight as f32 } else { 1.0 };
        if let Some(most) = options.clip_norm {
            scale *= clip_factor(self.executor.gradient_norm()? * f64::from(scale), most);
        }
        self.executor.apply(Step { rate, gradient_scale: scale })?;
        self.progress.step += 1;
        Ok(())
    }

    /// One step at this rate on one batch, and its mean loss.
    pub(super) fn probe(&mut self, batch: Batch, rate: f64) -> Result<f64, FitError> {
        self.progress.sums = Sums::default();
        let mut gathered = Gathered::default();
        self.gather(batch, &mut gathered)?;
        self.step(&gathered, rate)?;
        Ok(self.progress.sums.mean_loss())
    }

    fn rate(&self) -> f64 {
        match &self.progress.plateau {
            Some(plateau) => plateau.rate(),
            None => self.task.options.schedule.at(self.progress.step),
        }
    }

    fn end_epoch(&mut self, observer: &mut dyn Observer) -> Result<(), FitError> {
        let options = self.task.options;
        // Averages are what is evaluated and chosen from, where there are any.
        self.executor.swap_averages()?;
        let evaluate = |examples| evaluate(&*self.executor, examples, options.batch_size);
        let validation = self.task.validation.map(evaluate).transpose()?;
        let sums = std::mem::take(&mut self.progress.sums);
        let result = EpochResult {
            train_loss: sums.mean_loss(),
            train_top1: sums.accuracy(),
            validation_loss: validation.as_ref().map(|validation| validation.loss),
            validation_top1: validation.as_ref().map(|validation| validation.top1),
        };
        let rate = self.rate();
        self.progress.epoch += 1;
        self.progress.batch = 0;
        self.progress.history.push(result);
        if let Some(best) =
            Best::beaten_by(self.progress.best.as_ref(), self.progress.epoch, &result, self.task.options.ties)
        {
            self.progress.best = Some(best);
            // Without anything that chooses, the best weights are the last, which the checkpoint has.
            if validation.is_some() || options.ema.is_some() {
                let params = self.executor.read_weights()?;
                if let Some(checkpoints) = &self.checkpoints {
                    checkpoints.write_best(&params, &self.progress)?;
                }
                self.best = Some(params);
            }
        }
        self.executor.swap_averages()?;
        self.log(&result, rate)?;
        let loss = result.validation_loss.unwrap_or(result.train_loss);
        if let Some(plateau) = &mut self.progress.plateau {
            plateau.observe(loss);
        }
        if let (Some(stopping), Some(options)) = (&mut self.progress.stopping, options.early_stopping) {
            let value = match options.better {
                Better::Higher => result.validation_top1.unwrap_or(result.train_top1),
                Better::Lower => loss,
            };
            self.progress.finished = stopping.observe(value) == Verdict::Stop;
        }
        if options.checkpoints.every_epoch || self.over() {
            self.keep()?;
        }
        observer.event(Event::Epoch {
            epoch: self.progress.epoch as usize,
            epochs: options.epochs as usize,
            train_loss: result.train_loss,
            validation_loss: result.validation_loss,
            validation_top1: result.validation_top1,
        });
        Ok(())
    }
}

/// Apart from what else is drawn from the seed.
const MIXING: u64 = 0x6d69_7869_6e67;

/// Dropout's seed in a batch.
fn seed(seed: u64, batch: u64) -> u64 {
    (seed ^ 0x6472_6f70_6f75_7400).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(batch)
}

/// The first of the highest.
fn highest(row: &[f32]) -> usize {
    let better = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
    (0..row.len()).reduce(better).unwrap_or(0)
}
