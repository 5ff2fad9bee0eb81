//! The end of an epoch: evaluation, the best weights, early stopping, the checkpoint.

use super::Training;
use super::report::evaluate;
use crate::events::{Event, Observer};
use crate::fit::progress::Best;
use crate::fit::stopping::Verdict;
use crate::fit::{EpochResult, FitError};
use crate::metrics::Better;

impl Training<'_> {
    pub(super) fn end_epoch(&mut self, observer: &mut dyn Observer) -> Result<(), FitError> {
        let options = self.task.options;
        // Averages are what is evaluated and chosen from, where there are any.
        self.executor.swap_averages()?;
        let at_once = self.most.unwrap_or(options.batch_size);
        let evaluate = |examples| evaluate(&*self.executor, examples, self.task.label_sets, at_once);
        let validation = self.task.validation.map(evaluate).transpose()?;
        let sums = std::mem::take(&mut self.progress.sums);
        let result = EpochResult {
            train_loss: sums.mean_loss(),
            train_top1: sums.accuracy(),
            validation_loss: validation.as_ref().map(|validation| validation.loss),
            validation_top1: validation.as_ref().map(|validation| validation.top1),
            validation_map: validation.as_ref().and_then(|validation| validation.mean_average_precision),
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
