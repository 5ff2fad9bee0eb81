//! The training loop.

mod record;
mod state;

use std::time::{Duration, Instant};

use models::Params;

use super::checkpoint::Checkpoints;
use super::progress::{Best, Sums};
use super::weights::per_class;
use super::{Batch, EpochResult, Examples, FitError, FitOptions, Fitted, Logs, Progress, Sampling, Task};
use crate::backend::{CpuExecutor, Gradients};
use crate::data::mixing::{Mixable, shares};
use crate::data::sampling::generator;
use crate::events::{Event, Observer};
use crate::fit::metrics::Evaluation;
use crate::fit::stopping::{Better, EarlyStopping, Verdict};
use crate::optim::loss::CrossEntropy;
use crate::optim::schedule::Plateau;
use crate::optim::{Ema, Optimizer, ParamInfo, Step, clip_factor, global_norm};
use crate::options::OptionError;

/// How often the observer hears of a step.
const REPORT: Duration = Duration::from_millis(200);

pub(super) struct Training<'a> {
    task: Task<'a>,
    loss: CrossEntropy,
    /// Height, width and channels of an example; of what is no image its numbers as channels.
    shape: [usize; 3],
    executor: CpuExecutor,
    optimizer: Optimizer,
    /// Where the optimiser's parameters are among the executor's.
    places: Vec<usize>,
    ema: Option<Ema>,
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

/// Gradients of batches that make one step.
#[derive(Default)]
struct Gathered {
    gradients: Option<Gradients>,
    batches: usize,
    /// Of all their examples in the loss: how many there are, where all classes count alike.
    weight: f64,
    /// Sum of their losses.
    loss: f64,
    examples: u64,
}

impl<'a> Training<'a> {
    pub(super) fn start(task: Task<'a>) -> Result<Self, FitError> {
        let options = task.options;
        options.validate()?;
        let executor = CpuExecutor::with_backend(task.graph, task.params, task.trains, task.kernels)?;
        let loss = options.loss.resolve(task.training.classes(), executor.outputs())?;
        if let Sampling::Weighted(weights) = &options.sampling {
            per_class("sampling.weighted", weights.len(), executor.outputs())?;
        }
        let shape = match *task.graph.shape(task.graph.input()).dims() {
            [channels, height, width] => [height, width, channels],
            _ if options.cutmix.is_some() => {
                let wanted = "left out where a network is trained on features, which have no areas to cut";
                return Err(OptionError { option: "cutmix", wanted }.into());
            }
            ref dims => [1, 1, dims.iter().product()],
        };
        let parameters = executor.weights().parameters();
        let place = |name: &str| parameters.iter().position(|parameter| parameter.name == name);
        let (mut places, mut rules) = (Vec::new(), Vec::new());
        for info in ParamInfo::of(task.graph) {
            if let Some(place) = place(&info.name).filter(|&place| executor.trained()[place]) {
                places.push(place);
                rules.push(options.groups.parameter(&info));
            }
        }
        let optimizer = Optimizer::new(options.optimizer, rules)?;
        let ema = options.ema.map(|ema| Ema::new(ema, tensors(&executor)));
        let mut progress = Progress {
            stopping: options.early_stopping.map(EarlyStopping::new),
            plateau: options.plateau.map(Plateau::new),
            ..Progress::default()
        };
        let checkpoints = match task.checkpoints {
            Some(folder) => {
                Some(Checkpoints::open(folder, state::identity(&task, executor.trained())?, options.checkpoints.keep)?)
            }
            None => None,
        };
        let now = Instant::now();
        let clock = Clock { start: now, waited: Duration::ZERO, reported: now - REPORT, examples: 0 };
        let last = checkpoints.as_ref().map(Checkpoints::last).transpose()?.flatten();
        if let Some(last) = &last {
            progress = last.progress.clone();
        }
        let best = checkpoints.as_ref().filter(|_| progress.best.is_some()).and_then(Checkpoints::best);
        let mut training =
            Self { task, loss, shape, executor, optimizer, places, ema, checkpoints, progress, best, clock };
        if let Some(last) = last {
            training.restore(&last)?;
        }
        Ok(training)
    }

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
            params: self.best.unwrap_or_else(|| self.executor.weights().to_params()),
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
                self.advance(std::mem::take(&mut gathered))?;
                if options.checkpoints.every_steps.is_some_and(|every| self.progress.step.is_multiple_of(every)) {
                    self.keep()?;
                }
            }
            self.report(total, observer);
        }
        // Where bad files filled the last batches.
        if gathered.batches > 0 {
            self.advance(gathered)?;
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
        let pass = self.executor.forward_train(&inputs, seed(options.seed, number))?;
        let loss = match &targets {
            None => self.loss.of_classes(pass.output(), &classes, outputs)?,
            Some(shares) => self.loss.of_shares(pass.output(), shares, outputs)?,
        };
        if !loss.mean.is_finite() {
            return Err(FitError::Diverged { step: self.progress.step, rate: self.rate() });
        }
        let hits = pass.output().chunks_exact(outputs).zip(&classes).filter(|(row, class)| highest(row) == **class);
        let sums = &mut self.progress.sums;
        sums.hits += hits.count() as u64;
        sums.loss += loss.mean * labels as f64;
        sums.examples += labels as u64;
        self.clock.examples += labels as u64;
        let mut dy = loss.gradient;
        if options.accumulate > 1 {
            dy.iter_mut().for_each(|dy| *dy *= loss.weight as f32);
        }
        let gradients = self.executor.backward(pass, &dy)?;
        match &mut gathered.gradients {
            Some(sum) => sum.add(&gradients),
            none => *none = Some(gradients),
        }
        gathered.batches += 1;
        gathered.weight += loss.weight;
        gathered.loss += loss.mean * labels as f64;
        gathered.examples += labels as u64;
        Ok(())
    }

    /// The gradients change the weights.
    fn step(&mut self, gathered: Gathered, rate: f64) -> Result<(), FitError> {
        let options = self.task.options;
        let Some(gradients) = gathered.gradients else { return Ok(()) };
        let mut scale = if options.accumulate > 1 { 1.0 / gathered.weight as f32 } else { 1.0 };
        if let Some(most) = options.clip_norm {
            let all: Vec<&[f32]> = self.places.iter().filter_map(|&place| gradients.get(place)).collect();
            scale *= clip_factor(global_norm(&all) * f64::from(scale), most);
        }
        let step = Step { rate, gradient_scale: scale };
        let mut weights: Vec<Option<&mut [f32]>> = self.executor.weights_mut().numbers_mut().map(Some).collect();
        for (index, &place) in self.places.iter().enumerate() {
            if let (Some(weights), Some(gradient)) = (weights[place].take(), gradients.get(place)) {
                self.optimizer.update(index, (weights, gradient), step)?;
            }
        }
        self.progress.step += 1;
        if let Some(ema) = &mut self.ema {
            ema.update(&tensors(&self.executor).collect::<Vec<_>>())?;
            self.progress.averaged = ema.updates();
        }
        Ok(())
    }

    /// One step at this rate on one batch, and its mean loss.
    pub(super) fn probe(&mut self, batch: Batch, rate: f64) -> Result<f64, FitError> {
        self.progress.sums = Sums::default();
        let mut gathered = Gathered::default();
        self.gather(batch, &mut gathered)?;
        self.step(gathered, rate)?;
        Ok(self.progress.sums.mean_loss())
    }

    fn rate(&self) -> f64 {
        match &self.progress.plateau {
            Some(plateau) => plateau.rate(),
            None => self.task.options.schedule.at(self.progress.step),
        }
    }

    fn end_epoch(&mut self, observer: &mut dyn Observer) -> Result<(), FitError> {
        let own = self.averaged();
        let validation = self.task.validation.map(|examples| self.evaluate(examples)).transpose()?;
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
            if validation.is_some() || own.is_some() {
                let params = self.executor.weights().to_params();
                if let Some(checkpoints) = &self.checkpoints {
                    checkpoints.write_best(&params, &self.progress)?;
                }
                self.best = Some(params);
            }
        }
        if let Some(own) = own {
            self.executor.weights_mut().clone_from(&own);
        }
        self.log(&result, rate)?;
        let loss = result.validation_loss.unwrap_or(result.train_loss);
        if let Some(plateau) = &mut self.progress.plateau {
            plateau.observe(loss);
        }
        if let (Some(stopping), Some(options)) = (&mut self.progress.stopping, self.task.options.early_stopping) {
            let value = match options.better {
                Better::Higher => result.validation_top1.unwrap_or(result.train_top1),
                Better::Lower => loss,
            };
            self.progress.finished = stopping.observe(value) == Verdict::Stop;
        }
        if self.task.options.checkpoints.every_epoch || self.over() {
            self.keep()?;
        }
        observer.event(Event::Epoch {
            epoch: self.progress.epoch as usize,
            epochs: self.task.options.epochs as usize,
            train_loss: result.train_loss,
            validation_loss: result.validation_loss,
            validation_top1: result.validation_top1,
        });
        Ok(())
    }

    /// Puts the averages in the place of the weights, which it returns.
    fn averaged(&mut self) -> Option<crate::backend::Weights> {
        let ema = self.ema.as_ref()?;
        let own = self.executor.weights().clone();
        let places = self.executor.weights_mut().numbers_mut().zip(ema.averages());
        places.for_each(|(weights, averages)| weights.copy_from_slice(averages));
        Some(own)
    }

    fn evaluate(&self, examples: &dyn Examples) -> Result<Evaluation, FitError> {
        evaluate(&self.executor, examples, self.task.options.batch_size)
    }

    fn report(&mut self, batches: usize, observer: &mut dyn Observer) {
        if self.clock.reported.elapsed() < REPORT {
            return;
        }
        self.clock.reported = Instant::now();
        let seconds = self.clock.start.elapsed().as_secs_f64();
        let Sums { examples, .. } = self.progress.sums;
        let FitOptions { epochs, steps, accumulate, .. } = *self.task.options;
        let mut left = (epochs - self.progress.epoch) as f64 - self.progress.batch as f64 / batches as f64;
        if let Some(steps) = steps {
            left = left.min((steps.saturating_sub(self.progress.step) * accumulate as u64) as f64 / batches as f64);
        }
        let per_epoch = self.task.training.classes().len() as f64;
        let rate = self.clock.examples as f64 / seconds;
        observer.event(Event::Step {
            step: self.progress.step,
            epoch: self.progress.epoch + 1,
            epochs,
            examples,
            loss: self.progress.sums.mean_loss(),
            accuracy: self.progress.sums.accuracy(),
            images_per_second: rate,
            seconds_left: left * per_epoch / rate,
        });
    }
}

/// What a network makes of examples in evaluation.
///
/// # Errors
/// [`FitError`] when an example cannot be loaded or is not of the network's size.
pub(crate) fn evaluate(
    executor: &CpuExecutor,
    examples: &dyn Examples,
    batch_size: usize,
) -> Result<Evaluation, FitError> {
    let all = (0..examples.classes().len()).collect();
    let (mut logits, mut truths) = (Vec::new(), Vec::new());
    for batch in examples.epoch(all, 0, batch_size) {
        let Batch { inputs, classes } = batch?;
        logits.extend(executor.infer_nhwc(&inputs)?);
        truths.extend(classes);
    }
    Ok(Evaluation::new(&logits, &truths, executor.outputs()))
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

fn tensors(executor: &CpuExecutor) -> impl Iterator<Item = &[f32]> {
    executor.weights().parameters().iter().map(|parameter| parameter.numbers.as_slice())
}
