//! A batch forward and backward, and the step that its gradients make.

use super::{Gathered, Training};
use crate::backend::ExecError;
use crate::data::classes_of;
use crate::data::mixing::Mixable;
use crate::data::sampling::generator;
use crate::fit::progress::Sums;
use crate::fit::{Batch, FitError};
use crate::optim::{Step, clip_factor};

impl Training<'_> {
    /// A batch forward and backward: at once, or in as large parts as the memory takes.
    pub(super) fn gather(&mut self, batch: Batch, gathered: &mut Gathered) -> Result<(), FitError> {
        let options = self.task.options;
        let Batch { mut inputs, classes, examples } = batch;
        let number = self.progress.epoch << 32 | self.progress.batch as u64;
        let outputs = self.executor.outputs();
        let mixing = options.mixing();
        let mut targets = None;
        if mixing.is_any() || self.task.teacher.is_some() {
            let shares = targets.insert(self.loss.shares(&classes, outputs));
            if let Some(teacher) = self.task.teacher {
                teacher.blend(&examples, shares);
            }
            let mut mixable = Mixable { images: &mut inputs, shape: self.shape, shares, classes: outputs };
            mixing.mix(&mut mixable, &mut generator(options.seed ^ MIXING, number))?;
        }
        let each = inputs.len() / classes.len().max(1);
        let mut first = 0;
        while first < classes.len() {
            let count = self.most.unwrap_or(classes.len()).min(classes.len() - first);
            let part = Part {
                inputs: &inputs[first * each..(first + count) * each],
                classes: &classes[first..first + count],
                shares: targets.as_ref().map(|shares| &shares[first * outputs..(first + count) * outputs]),
                seed: seed(options.seed, number) ^ first as u64,
            };
            match self.pass(part, gathered) {
                Err(FitError::Exec(error)) if error.is_out_of_memory() && count > 1 => self.halve(count, &error),
                passed => {
                    passed?;
                    first += count;
                }
            }
        }
        gathered.batches += 1;
        Ok(())
    }

    /// A part of a batch forward and backward.
    fn pass(&mut self, part: Part<'_>, gathered: &mut Gathered) -> Result<(), FitError> {
        let Part { inputs, classes, shares, seed } = part;
        let outputs = self.executor.outputs();
        let logits = self.executor.forward_train(inputs, seed)?;
        let loss = match shares {
            None => self.loss.of_classes(&logits, classes, outputs)?,
            Some(shares) => self.loss.of_shares(&logits, shares, outputs)?,
        };
        if !loss.mean.is_finite() {
            return Err(FitError::Diverged { step: self.progress.step, rate: self.rate() });
        }
        let mut dy = loss.gradient;
        if self.adds_up() {
            dy.iter_mut().for_each(|dy| *dy *= loss.weight as f32);
        }
        self.executor.backward(&dy)?;
        let sets = self.task.label_sets;
        let hits = logits.chunks_exact(outputs).zip(classes);
        let hits = hits.filter(|(row, class)| classes_of(sets, class).contains(&highest(row)));
        let labels = classes.len() as u64;
        let sums = &mut self.progress.sums;
        sums.hits += hits.count() as u64;
        sums.loss += loss.mean * labels as f64;
        sums.examples += labels;
        self.clock.examples += labels;
        gathered.weight += loss.weight;
        gathered.loss += loss.mean * labels as f64;
        gathered.examples += labels;
        Ok(())
    }

    /// Whether a step is of the sum of several passes, each of which counts as much as it has examples.
    fn adds_up(&self) -> bool {
        self.task.options.accumulate > 1 || self.most.is_some()
    }

    /// Half as many images at once from now on.
    fn halve(&mut self, count: usize, error: &ExecError) {
        let half = count.div_ceil(2);
        self.most = Some(half);
        let parameters = self.executor.parameters().iter().zip(self.executor.trained());
        let normalized = parameters.filter(|(_, trained)| **trained).any(|(p, _)| p.operator == "BatchNorm");
        let statistics = match normalized {
            true => {
                format!("; batch normalization then takes its statistics of {half} images, so the result is another")
            }
            false => String::new(),
        };
        self.warnings.push(format!(
            "{error}; from now on {half} images at once, whose gradients are added up to those of a batch{statistics}"
        ));
    }

    /// The gradients change the weights.
    pub(super) fn step(&mut self, gathered: &Gathered, rate: f64) -> Result<(), FitError> {
        let options = self.task.options;
        if gathered.batches == 0 {
            return Ok(());
        }
        let mut scale = if self.adds_up() { 1.0 / gathered.weight as f32 } else { 1.0 };
        if let Some(most) = options.clip_norm {
            scale *= clip_factor(self.executor.gradient_norm()? * f64::from(scale), most);
        }
        self.executor.apply(Step { rate, gradient_scale: scale })?;
        self.progress.step += 1;
        Ok(())
    }

    /// One step at this rate on one batch, and its mean loss.
    pub(in crate::fit) fn probe(&mut self, batch: Batch, rate: f64) -> Result<f64, FitError> {
        self.progress.sums = Sums::default();
        let mut gathered = Gathered::default();
        self.gather(batch, &mut gathered)?;
        self.step(&gathered, rate)?;
        Ok(self.progress.sums.mean_loss())
    }

    pub(super) fn rate(&self) -> f64 {
        match &self.progress.plateau {
            Some(plateau) => plateau.rate(),
            None => self.task.options.schedule.at(self.progress.step),
        }
    }
}

/// A part of a batch that is computed at once.
#[derive(Clone, Copy)]
struct Part<'a> {
    inputs: &'a [f32],
    classes: &'a [usize],
    /// What is to be learned, where that is not the classes alone.
    shares: Option<&'a [f32]>,
    /// What dropout draws its numbers from.
    seed: u64,
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
