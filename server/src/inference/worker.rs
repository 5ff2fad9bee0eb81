//! The thread that owns a model's engine.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use models::preprocess::{ImageBatch, PreparedImage};
use onnx::Engine;
use tokio::sync::oneshot;

use super::InferenceError;
use super::admission::{Admission, QueuePermit};
use crate::failure::panic_message;
use crate::metrics::{ModelMetrics, Stage};

/// An image that waits.
pub(super) struct QueuedImage {
    pub(super) input: PreparedImage,
    pub(super) permit: QueuePermit,
    pub(super) queued: Instant,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<ImageLogits, InferenceError>>,
}

/// The logits of one image, and how it fared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ImageLogits {
    pub(super) logits: Vec<f32>,
    /// From entering the queue to being taken.
    pub(super) queue: Duration,
    /// The run of the batch it was in.
    pub(super) inference: Duration,
    /// Images in that batch.
    pub(super) batch: usize,
}

/// What the thread works with.
pub(super) struct Worker {
    pub(super) engine: Box<dyn Engine>,
    pub(super) entries: Receiver<QueuedImage>,
    pub(super) classes: usize,
    pub(super) max_batch: usize,
    pub(super) admission: Arc<Admission>,
    pub(super) metrics: ModelMetrics,
    /// Set once, when the worker ends because the engine panicked.
    pub(super) failure: Arc<OnceLock<String>>,
}

impl Worker {
    /// Works until nobody can queue anything any more, or the engine panics. What is queued then is answered as stopped,
    /// because its `reply` is dropped.
    pub(super) fn work(mut self) {
        // The end of the last run, if images were waiting then: from one such end to the next, the model was busy.
        let mut busy_since = None;
        while let Ok(first) = self.entries.recv() {
            let mut batch: Vec<DequeuedImage> = Vec::with_capacity(self.max_batch);
            let rest = self.entries.try_iter();
            for entry in std::iter::once(first).chain(rest).filter_map(DequeuedImage::take).take(self.max_batch) {
                batch.push(entry);
            }
            let images = batch.len();
            let started = busy_since.unwrap_or_else(Instant::now);
            // Without a crop, images have different sizes; only equal ones can be stacked.
            while !batch.is_empty() {
                let shape = batch[0].input.shape();
                let (equal, others) = batch.into_iter().partition(|entry| entry.input.shape() == shape);
                batch = others;
                if self.run(equal).is_break() {
                    return;
                }
            }
            if images > 0 {
                self.admission.throughput().record(images, started.elapsed());
            }
            busy_since = (self.admission.waiting() > 0).then(Instant::now);
        }
    }

    /// Runs one batch and answers everyone in it. Breaks when the engine panicked: it is not used again, so nobody can
    /// see what the panic left behind.
    fn run(&mut self, batch: Vec<DequeuedImage>) -> ControlFlow<()> {
        let images = batch.len();
        let (inputs, replies): (Vec<PreparedImage>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.input, (waiting.queue, waiting.reply))).unzip();
        let started = Instant::now();
        let caught = catch_unwind(AssertUnwindSafe(|| logits(&mut *self.engine, &inputs, self.classes)));
        let inference = started.elapsed();
        let (answers, flow): (Vec<_>, _) = match caught {
            Ok(Ok(rows)) => {
                self.metrics.batch(images);
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
struct DequeuedImage {
    input: PreparedImage,
    queue: Duration,
    reply: oneshot::Sender<Result<ImageLogits, InferenceError>>,
}

impl DequeuedImage {
    /// `None` when the client has gone or the deadline has passed.
    fn take(entry: QueuedImage) -> Option<Self> {
        let QueuedImage { input, permit, queued, deadline, reply } = entry;
        drop(permit);
        if Instant::now() >= deadline {
            // A client that has gone meanwhile does not want to know.
            let _gone = reply.send(Err(InferenceError::Late));
            return None;
        }
        (!reply.is_closed()).then(|| Self { input, queue: queued.elapsed(), reply })
    }
}

/// One row of logits an image.
pub(super) fn logits(
    engine: &mut dyn Engine,
    inputs: &[PreparedImage],
    classes: usize,
) -> Result<Vec<Vec<f32>>, String> {
    let batch = ImageBatch::stack(inputs).map_err(|error| error.to_string())?;
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use models::preprocess::Limits;

    use super::*;
    use crate::inference::testing::{EngineRecord, RED, RecordingEngine, bmp, colours};
    use crate::metrics::Metrics;

    const HOUR: Duration = Duration::from_secs(3600);

    type Reply = oneshot::Receiver<Result<ImageLogits, InferenceError>>;

    /// A worker whose queue holds so many images and is closed behind them.
    fn worker(images: usize, watch: &Arc<Mutex<EngineRecord>>) -> (Worker, Vec<Reply>) {
        let network = colours();
        let input = network.spec.preprocess.apply(&bmp(RED), &Limits::default()).unwrap();
        let admission = Arc::new(Admission::new(images, HOUR));
        let (queue, entries) = channel();
        let entry = |permit| {
            let (reply, answer) = oneshot::channel();
            let (queued, deadline) = (Instant::now(), Instant::now() + HOUR);
            queue.send(QueuedImage { input: input.clone(), permit, queued, deadline, reply }).unwrap();
            answer
        };
        let replies = admission.admit(images, Instant::now() + HOUR).unwrap().into_iter().map(entry).collect();
        let file = onnx::export(&network, &onnx::ExportOptions::default()).unwrap();
        let engine = RecordingEngine::open(&file, watch.clone()).unwrap();
        let metrics = Metrics::default().of_model("colours", "tract");
        let failure = Arc::default();
        let worker = Worker { engine, entries, classes: 3, max_batch: 4, admission, metrics, failure };
        (worker, replies)
    }

    #[test]
    fn what_waits_is_run_together_up_to_the_largest_batch() {
        let watch = Arc::default();
        let (worker, replies) = worker(6, &watch);
        worker.work();
        assert_eq!(watch.lock().unwrap().batches, [4, 2]);
        for (mut reply, batch) in replies.into_iter().zip([4, 4, 4, 4, 2, 2]) {
            let answer = reply.try_recv().unwrap().unwrap();
            assert_eq!(answer.batch, batch);
            // The network's mean of a channel, as a share of 255.
            let expected = RED.map(|value| f32::from(value) / 255.0);
            assert!(answer.logits.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{:?}", answer.logits);
        }
    }

    #[test]
    fn clients_that_have_gone_are_passed_over() {
        let watch = Arc::default();
        let (worker, mut replies) = worker(6, &watch);
        replies.drain(..3);
        worker.work();
        assert_eq!(watch.lock().unwrap().batches, [3]);
        assert!(replies.iter_mut().all(|reply| reply.try_recv().unwrap().is_ok()));
    }

    #[test]
    fn an_image_whose_deadline_has_passed_is_not_run() {
        let watch = Arc::default();
        let (mut worker, mut replies) = worker(2, &watch);
        let (queue, entries) = channel();
        for (mut entry, late) in worker.entries.try_iter().zip([true, false]) {
            if late {
                entry.deadline = Instant::now();
            }
            queue.send(entry).unwrap();
        }
        drop(queue);
        worker.entries = entries;
        worker.work();
        assert_eq!(watch.lock().unwrap().batches, [1]);
        assert!(matches!(replies[0].try_recv().unwrap(), Err(InferenceError::Late)));
        assert!(replies[1].try_recv().unwrap().is_ok());
    }

    #[test]
    fn a_panic_ends_the_worker_and_nothing_else() {
        let watch = Arc::new(Mutex::new(EngineRecord { panics: Some(0), ..EngineRecord::default() }));
        let (worker, mut replies) = worker(6, &watch);
        let failure = worker.failure.clone();
        worker.work();
        assert_eq!(failure.get().map(String::as_str), Some("the engine panicked: told to"));
        for reply in &mut replies[..4] {
            assert!(matches!(reply.try_recv().unwrap(), Err(InferenceError::Failed(_))));
        }
        for reply in &mut replies[4..] {
            assert!(matches!(reply.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        }
    }

    #[test]
    fn an_answer_of_the_wrong_length_is_an_error() {
        let (mut worker, mut replies) = worker(1, &Arc::default());
        worker.classes = 4;
        worker.work();
        let Err(InferenceError::Failed(reason)) = replies[0].try_recv().unwrap() else { panic!() };
        assert!(reason.contains("not 4 logits each"), "{reason}");
    }
}
