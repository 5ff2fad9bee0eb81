//! A model on many image files at once.

use models::ModelSpec;
use models::preprocess::{ImageBatch, PreparedImage};
use onnx::{Engine, EngineError, EngineSpec};
use rayon::prelude::*;

use super::TestViews;

/// Images in one run of the engine.
const BATCH: usize = 8;

/// A classifier, ready to run.
pub struct ModelRunner {
    engine: Box<dyn Engine>,
    classes: usize,
    views: TestViews,
}

impl ModelRunner {
    /// Opens the ONNX file of a classifier on an engine.
    ///
    /// # Errors
    /// [`EngineError`] for a file that the engine refuses.
    pub fn open(onnx: &[u8], spec: &ModelSpec, engine: EngineSpec) -> Result<Self, EngineError> {
        let classes = spec.labels.as_ref().map_or(0, models::Labels::len);
        Ok(Self { engine: engine.open(onnx)?, classes, views: TestViews::None })
    }

    /// The same, which averages the answers to these views of each image.
    #[must_use]
    pub fn with_views(self, views: TestViews) -> Self {
        Self { views, ..self }
    }

    /// The logits of each image, or why it cannot be used. Images are prepared on all threads, and are all in memory: give some
    /// at a time.
    ///
    /// # Errors
    /// [`EngineError`] when the engine fails.
    pub fn logits<T: Sync, E: Send>(
        &mut self,
        images: &[T],
        prepare: impl Fn(&T) -> Result<PreparedImage, E> + Sync,
    ) -> Result<Vec<Result<Vec<f32>, E>>, EngineError> {
        let prepared: Vec<Result<PreparedImage, E>> = images.par_iter().map(&prepare).collect();
        let usable = prepared.iter().filter_map(|input| input.as_ref().ok()).cloned();
        let inputs: Vec<PreparedImage> = usable.flat_map(|input| self.views.of(input)).collect();
        let mut rows = Vec::with_capacity(inputs.len());
        // Models that take images of any size are given those of one size together.
        for equal in inputs.chunk_by(|a, b| a.shape() == b.shape()) {
            for batch in equal.chunks(BATCH) {
                rows.extend(self.run(batch)?);
            }
        }
        let mut rows = rows.chunks(self.views.count()).map(TestViews::mean);
        let missing = || EngineError::Run("it answers fewer images than it was given".to_owned());
        let answer = |input: Result<PreparedImage, E>| match input {
            Ok(_) => rows.next().ok_or_else(missing).map(Ok),
            Err(unusable) => Ok(Err(unusable)),
        };
        prepared.into_iter().map(answer).collect()
    }

    fn run(&mut self, inputs: &[PreparedImage]) -> Result<Vec<Vec<f32>>, EngineError> {
        let batch = ImageBatch::stack(inputs).map_err(|error| EngineError::Run(error.to_string()))?;
        let outputs = self.engine.run(&batch)?;
        let logits = outputs.first()?;
        if logits.data().len() != inputs.len() * self.classes {
            let (shape, images, classes) = (logits.shape(), inputs.len(), self.classes);
            let reason = format!("it answers {shape:?} for {images} image(s), not {classes} logits each");
            return Err(EngineError::Run(reason));
        }
        Ok(logits.data().chunks(self.classes).map(<[f32]>::to_vec).collect())
    }
}
