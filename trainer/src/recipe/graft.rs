//! A head that fits the base before anything else is trained.

use super::base::HeadFirst;
use super::{Plan, RecipeError};
use crate::backend::{ComputeBackend, Executor, ExecutorSpec};
use crate::events::{Event, Observer, Phase};
use crate::finetune::head::LabeledFeatures;
use crate::finetune::{FinetuneOptions, ProbeTask, probe};
use crate::fit::{self, Examples, FitError, ImageExamples};

impl Plan {
    /// Where the recipe is staged, gives the new head weights that fit the base as it is. They are the same for the same
    /// recipe and images, so that a run resumes from its checkpoint afterwards.
    ///
    /// # Errors
    /// [`RecipeError`] when an image cannot be read; [`FitError::Stopped`] when the observer asks for it.
    pub fn fit_head(&mut self, backend: &ComputeBackend, observer: &mut dyn Observer) -> Result<(), RecipeError> {
        let Some(HeadFirst { nodes: [features, head], images }) = &self.head_first else { return Ok(()) };
        observer.event(Event::Phase { phase: Phase::Features });
        let prefix = self.graph.prefix(*features);
        let executor = backend.open(&ExecutorSpec::frozen(&prefix, &self.params)).map_err(FitError::from)?;
        let table = features_of(images, &*executor, self.options.batch_size, observer)?;
        let options = FinetuneOptions { seed: self.options.seed, ..FinetuneOptions::default() }.head();
        let validation = LabeledFeatures::default();
        let task = ProbeTask {
            training: &table,
            validation: &validation,
            shape: self.graph.shape(*features),
            views: 1,
            classes: self.labels.len(),
            sets: None,
            weights: None,
            transforms: &[],
            options,
        };
        let trained = probe(&task, observer)?.head;
        for (name, tensor) in self.graph.node(*head).params.iter().zip([trained.weight, trained.bias]) {
            self.params.insert(name.clone(), tensor);
        }
        Ok(())
    }
}

/// What the frozen part makes of all images in their order.
fn features_of(
    images: &ImageExamples,
    frozen: &dyn Executor,
    batch_size: usize,
    observer: &mut dyn Observer,
) -> Result<LabeledFeatures, RecipeError> {
    let mut table = LabeledFeatures::default();
    let all: Vec<usize> = (0..images.classes().len()).collect();
    let total = all.len() as u64;
    for batch in images.epoch(all, 0, batch_size) {
        let fit::Batch { inputs, classes, .. } = batch?;
        table.features.extend(frozen.infer_nhwc(&inputs).map_err(FitError::from)?);
        table.classes.extend(classes);
        let done = table.classes.len() as u64;
        observer.event(Event::Progress { phase: Phase::Features, done, total });
        if observer.stopped() {
            return Err(FitError::Stopped.into());
        }
    }
    Ok(table)
}
