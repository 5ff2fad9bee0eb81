//! What a run tells its logs.

use models::Tensor;

use super::{Gathered, Training};
use crate::fit::{EpochResult, FitError};
use crate::logs::Histogram;

impl Training<'_> {
    /// One step, and its row where it has one: the loss of its own examples, and the rate that it was done with.
    pub(super) fn advance(&mut self, gathered: &Gathered) -> Result<(), FitError> {
        let (loss, rate) = (gathered.loss / gathered.examples.max(1) as f64, self.rate());
        self.step(gathered, rate)?;
        let (step, every) = (self.progress.step, self.task.options.logging.every_steps);
        if every > 0 && step.is_multiple_of(every) {
            for log in &mut self.task.logs.steps {
                log.write(step, &[("train_loss", loss), ("learning_rate", rate)])?;
            }
        }
        Ok(())
    }

    /// The row of an epoch, and the distributions of the weights as they are trained, which averages of them are not.
    pub(super) fn log(&mut self, result: &EpochResult, rate: f64) -> Result<(), FitError> {
        let mut scalars =
            vec![("train_loss", result.train_loss), ("train_top1", result.train_top1), ("learning_rate", rate)];
        scalars.extend(result.validation_loss.map(|loss| ("validation_loss", loss)));
        scalars.extend(result.validation_top1.map(|top1| ("validation_top1", top1)));
        let histograms = if self.task.options.logging.histograms { self.histograms()? } else { vec![] };
        for log in &mut self.task.logs.epochs {
            log.write(self.progress.step, &scalars)?;
            if !histograms.is_empty() {
                log.write_histograms(self.progress.step, &histograms)?;
            }
        }
        Ok(())
    }

    fn histograms(&self) -> Result<Vec<(String, Histogram)>, FitError> {
        let params = self.executor.read_weights()?;
        let of = |(name, tensor): (&str, &Tensor)| Some((format!("weights/{name}"), Histogram::of(tensor.data())?));
        Ok(params.iter().filter_map(of).collect())
    }
}
