//! Whether a model reproduces its own answers.

use std::time::Instant;

use models::preprocess::{ImageBatch, Limits, PreparedImage};
use onnx::Engine;
use onnx::parity::{TOLERANCE, agree};

use super::admission::Throughput;
use super::run::{logits, rows};
use crate::runtime::SelectedEngine;
use crate::store::{Golden, StoredModel};

/// The batch that a version is checked with where no server says how large it is.
const CHECK_BATCH: usize = 8;

/// Runs the golden images from their bytes to their logits, each alone and then all in one batch of the largest size,
/// and compares with what the trainer computed. The runs warm the engine up, and the last one gives the first measure of
/// its throughput.
///
/// The top class needs no comparison of its own: logits this close can only swap classes that the trainer's logits do
/// not tell apart either.
///
/// # Errors
/// A reason that names the image and the difference.
pub(super) fn self_test(
    engine: &mut dyn Engine,
    model: &StoredModel,
    max_batch: usize,
    throughput: &Throughput,
) -> Result<(), String> {
    let classes = model.spec.labels.as_ref().map_or(0, models::Labels::len);
    if model.golden.is_empty() {
        return run_noise(engine, model, classes, max_batch);
    }
    let mut inputs = Vec::with_capacity(model.golden.len());
    for golden in &model.golden {
        let of_image = |reason: String| format!("golden image {}: {reason}", golden.file_name);
        let input = model.spec.preprocess.apply(&golden.bytes, &Limits::default());
        let input = input.map_err(|error| of_image(error.to_string()))?;
        let rows = logits(engine, vec![input.clone()], classes).map_err(of_image)?;
        compare(golden, &rows[0]).map_err(of_image)?;
        inputs.push(input);
    }
    if inputs.iter().any(|input| input.shape() != inputs[0].shape()) {
        return Ok(());
    }
    let batch: Vec<PreparedImage> = inputs.iter().cycle().take(max_batch).cloned().collect();
    let started = Instant::now();
    let rows = logits(engine, batch, classes).map_err(|reason| format!("a batch of {max_batch}: {reason}"))?;
    throughput.record(rows.len(), started.elapsed());
    for (golden, row) in model.golden.iter().cycle().zip(&rows) {
        let of_image = |reason| format!("golden image {} in a batch of {max_batch}: {reason}", golden.file_name);
        compare(golden, row).map_err(of_image)?;
    }
    Ok(())
}

/// Whether a version reproduces its golden answers on this engine, for those who do not serve it. A backbone has nothing to
/// answer.
///
/// # Errors
/// A reason that names the image and the difference.
pub fn check_version(stored: &StoredModel, engine: &SelectedEngine) -> Result<(), String> {
    if stored.spec.labels.is_none() {
        return Ok(());
    }
    let opened = onnx::engine::open(engine.kind, &stored.onnx, engine.threads);
    let mut engine = opened.map_err(|error| error.to_string())?;
    self_test(&mut *engine, stored, CHECK_BATCH, &Throughput::default())
}

/// One more run, at whose end the engine gives back what the largest batch took. An error shows in the next run too.
pub(super) fn settle(engine: &mut dyn Engine, model: &StoredModel) {
    engine.release_memory();
    if let Some((height, width)) = model.spec.preprocess.output_size() {
        let batch = ImageBatch::noise(1, [3, height as usize, width as usize], 0);
        drop(engine.run(&batch));
    }
}

/// A model without golden images has only to run, and to answer with numbers.
fn run_noise(engine: &mut dyn Engine, model: &StoredModel, classes: usize, max_batch: usize) -> Result<(), String> {
    let Some((height, width)) = model.spec.preprocess.output_size() else { return Ok(()) };
    for images in [1, max_batch] {
        let batch = ImageBatch::noise(images, [3, height as usize, width as usize], 0);
        let logits = rows(engine, &batch, classes)?;
        if !logits.iter().flatten().all(|logit| logit.is_finite()) {
            return Err("the model answers with numbers that are not finite".to_owned());
        }
    }
    Ok(())
}

fn compare(golden: &Golden, logits: &[f32]) -> Result<(), String> {
    let expected = &golden.logits;
    if expected.len() != logits.len() {
        return Err(format!("{} logits are recorded, the model answers {}", expected.len(), logits.len()));
    }
    let (agree, difference) = agree(expected, logits, golden.noise);
    if agree {
        Ok(())
    } else {
        let largest = expected.iter().fold(0.0_f64, |most, &logit| most.max(f64::from(logit).abs()));
        let allowed = TOLERANCE.max(golden.noise / largest.max(f64::MIN_POSITIVE));
        Err(format!("the logits differ by {difference:.1e} of the largest, and {allowed:.0e} is allowed"))
    }
}
