//! A batch forward and backward, and the step that its gradients make.

use super::{Gathered, Training};
use crate::data::classes_of;
use crate::data::mixing::Mixable;
use crate::data::sampling::generator;
use crate::fit::progress::Sums;
use crate::fit::{Batch, FitError};
use crate::optim::{Step, clip_factor};

impl Training<'_> {
    /// A batch forward and backward.
    pub(super) fn gather(&mut self, batch: Batch, gathered: &mut Gathered) -> Result<(), FitError> {
        let options = self.task.options;
        let Batch { mut inputs, classes, examples } = batch;
        let number = self.progress.epoch << 32 | self.progress.batch as u64;
        let labels = classes.len();
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
        let logits = self.executor.forward_train(&inputs, seed(options.seed, number))?;
        let loss = match &targets {
            None => self.loss.of_classes(&logits, &classes, outputs)?,
            Some(shares) => self.loss.of_shares(&logits, shares, outputs)?,
        };
        if !loss.mean.is_finite() {
            return Err(FitError::Diverged { step: self.progress.step, rate: self.rate() });
        }
        let sets = self.task.label_sets;
        let hits = logits.chunks_exact(outputs).zip(&classes);
        let hits = hits.filter(|(row, class)| classes_of(sets, class).contains(&highest(row)));
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
    pub(super) fn step(&mut self, gathered: &Gathered, rate: f64) -> Result<(), FitError> {
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
