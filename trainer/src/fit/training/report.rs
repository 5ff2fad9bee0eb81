//! What a run tells its observer, and what is measured of a network.

use std::time::{Duration, Instant};

use super::Training;
use crate::backend::Executor;
use crate::data::LabelSets;
use crate::events::{Event, Observer};
use crate::fit::progress::Sums;
use crate::fit::{Batch, Examples, FitError, FitOptions};
use crate::metrics::{Evaluation, Truths};

/// How often the observer hears of a step.
pub(super) const REPORT: Duration = Duration::from_millis(200);

impl Training<'_> {
    pub(super) fn report(&mut self, batches: usize, observer: &mut dyn Observer) {
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
    executor: &dyn Executor,
    examples: &dyn Examples,
    sets: Option<&LabelSets>,
    batch_size: usize,
) -> Result<Evaluation, FitError> {
    let all = (0..examples.classes().len()).collect();
    let (mut logits, mut truths) = (Vec::new(), Vec::new());
    for batch in examples.epoch(all, 0, batch_size) {
        let Batch { inputs, classes, .. } = batch?;
        logits.extend(executor.infer_nhwc(&inputs)?);
        truths.extend(classes);
    }
    let truths = Truths { numbers: &truths, classes: executor.outputs(), sets };
    Ok(Evaluation::of(&logits, truths, None))
}
