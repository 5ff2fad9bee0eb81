//! A run of an engine: some images in, an answer for each out.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use models::preprocess::{ImageBatch, PreparedImage};
use onnx::Engine;
use tokio::sync::oneshot;

use super::InferenceError;
use super::lanes::LaneEngine;
use super::queue::{ImageLogits, QueuedImage};
use super::turns::ModelTurn;
use crate::failure::panic_message;
use crate::metrics::{ModelMetrics, Stage};

/// Images on their way through an engine.
pub(super) struct Run {
    pub(super) engine: LaneEngine,
    pub(super) batch: Vec<DequeuedImage>,
    /// Ends with the run.
    pub(super) turn: ModelTurn,
    pub(super) classes: usize,
    pub(super) metrics: ModelMetrics,
    pub(super) failure: Arc<OnceLock<String>>,
    pub(super) started: Instant,
}

/// A run behind which everyone is answered.
pub(super) struct EndedRun {
    pub(super) engine: Option<LaneEngine>,
    pub(super) images: usize,
    pub(super) started: Instant,
}

impl Run {
    /// Without a crop, images have different sizes; only equal ones can be stacked.
    pub(super) fn finish(mut self) -> EndedRun {
        let (started, images) = (self.started, self.batch.len());
        let mut batch = std::mem::take(&mut self.batch);
        while !batch.is_empty() {
            let shape = batch[0].input.shape();
            let (equal, others) = batch.into_iter().partition(|entry| entry.input.shape() == shape);
            batch = others;
            if self.run(equal).is_break() {
                return EndedRun { engine: None, images, started };
            }
        }
        drop(self.turn);
        EndedRun { engine: Some(self.engine), images, started }
    }

    /// Runs one batch and answers everyone in it. Breaks when the engine panicked.
    fn run(&mut self, batch: Vec<DequeuedImage>) -> ControlFlow<()> {
        let images = batch.len();
        let (inputs, replies): (Vec<PreparedImage>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.input, (waiting.queue, waiting.reply))).unzip();
        let started = Instant::now();
        let (engine, classes) = (self.engine.for_run(), self.classes);
        let caught = catch_unwind(AssertUnwindSafe(|| logits(engine, inputs, classes)));
        let inference = started.elapsed();
        let (answers, flow): (Vec<_>, _) = match caught {
            Ok(Ok(rows)) => {
                self.metrics.batch(images, inference);
                (rows.into_iter().map(Ok).collect(), ControlFlow::Continue(()))
            }
            Ok(Err(reason)) => (vec![Err(InferenceError::Failed(reason)); images], ControlFlow::Continue(())),
            Err(panic) => {
                let reason = format!("the engine panicked: {}", panic_message(&*panic));
                tracing::error!(reason, "a model stops serving");
                // Before anyone is answered, so that who is told can also see it.
                let _first = self.failure.set(reason.clone());
                (vec![Err(InferenceError::Failed(reason)); images], ControlFlow::Break(()))
            }
        };
        for ((queue, reply), answer) in replies.into_iter().zip(answers) {
            self.metrics.stage(Stage::Queue, queue);
            self.metrics.stage(Stage::Inference, inference);
            // A client that has gone meanwhile does not want to know.
            let _gone = reply.send(answer.map(|logits| ImageLogits { logits, queue, inference, batch: images }));
        }
        flow
    }
}

/// An entry that was taken out of the queue: its permit is free for another.
pub(super) struct DequeuedImage {
    input: PreparedImage,
    queue: Duration,
    reply: oneshot::Sender<Result<ImageLogits, InferenceError>>,
}

impl DequeuedImage {
    /// `None` when the client has gone or the deadline has passed.
    pub(super) fn take(entry: QueuedImage) -> Option<Self> {
        let QueuedImage { input, permit, waited, queued, deadline, reply } = entry;
        drop(permit);
        if Instant::now() >= deadline {
            // A client that has gone meanwhile does not want to know.
            let _gone = reply.send(Err(InferenceError::Late));
            return None;
        }
        (!reply.is_closed()).then(|| Self { input, queue: waited + queued.elapsed(), reply })
    }
}

/// One row of logits an image.
pub(super) fn logits(
    engine: &mut dyn Engine,
    inputs: Vec<PreparedImage>,
    classes: usize,
) -> Result<Vec<Vec<f32>>, String> {
    let batch = match <[PreparedImage; 1]>::try_from(inputs) {
        Ok([input]) => ImageBatch::from(input),
        Err(inputs) => ImageBatch::stack(&inputs).map_err(|error| error.to_string())?,
    };
    rows(engine, &batch, classes)
}

/// As [`logits`], for a batch that is stacked already.
pub(super) fn rows(engine: &mut dyn Engine, batch: &ImageBatch, classes: usize) -> Result<Vec<Vec<f32>>, String> {
    let outputs = engine.run(batch).map_err(|error| error.to_string())?;
    let output = outputs.first().map_err(|error| error.to_string())?;
    if output.data().len() != batch.len() * classes {
        let (shape, images) = (output.shape(), batch.len());
        return Err(format!("the model answers {shape:?} for {images} image(s), not {classes} logits each"));
    }
    Ok(output.data().chunks(classes).map(<[f32]>::to_vec).collect())
}
