//! A model on images whose classes are known by name: for a comparison with another model on the same images.

use models::ModelSpec;
use models::preprocess::Limits;
use models::scores::top_k;
use onnx::EngineSpec;

use super::{CHUNK, EvaluateError, ModelRunner};
use crate::data::{DatasetError, NamedImage};
use crate::events::Observer;

/// A model, and the images that it is to be measured on.
#[derive(Debug, Clone, Copy)]
pub struct NamedTask<'a> {
    /// The ONNX file.
    pub onnx: &'a [u8],
    /// What graft knows of it.
    pub spec: &'a ModelSpec,
    /// Each with the name of its class.
    pub images: &'a [NamedImage],
    /// What images may be.
    pub limits: Limits,
    /// Runs the model.
    pub engine: EngineSpec,
}

/// The share of the images whose best class is one of theirs, by name: a class that the model does not know is an error of the
/// model. So is an image that shows none.
///
/// # Errors
/// [`EvaluateError`] for a model without classes, no images, one that cannot be read, and an engine that fails.
pub fn top1_by_name(task: &NamedTask<'_>, observer: &dyn Observer) -> Result<f64, EvaluateError> {
    let (spec, limits) = (task.spec, task.limits);
    let labels = spec.labels.as_ref().ok_or_else(|| EvaluateError::Backbone(spec.architecture.clone()))?;
    if task.images.is_empty() {
        return Err(EvaluateError::NoImages);
    }
    let prepare = |image: &NamedImage| {
        let input = spec.preprocess.apply(&image.sample.read(&limits)?, &limits);
        input.map_err(|source| DatasetError::image(&image.sample.path, source))
    };
    let mut runner = ModelRunner::open(task.onnx, spec, task.engine)?;
    let mut right = 0;
    for chunk in task.images.chunks(CHUNK) {
        if observer.stopped() {
            return Err(EvaluateError::Stopped);
        }
        for (image, row) in chunk.iter().zip(runner.logits(chunk, prepare)?) {
            let best = top_k(&row?, 1).first().and_then(|&class| labels.get(class));
            right += usize::from(best.is_some_and(|best| image.classes.iter().any(|class| class == best)));
        }
    }
    Ok(right as f64 / task.images.len() as f64)
}
