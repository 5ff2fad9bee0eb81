//! The task that owns a model's engine.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use models::preprocess::{ImageBatch, PreparedImage};
use onnx::Engine;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use trainer::evaluate::TestViews;

use super::InferenceError;
use super::admission::{Admission, QueuePermit};
use super::turns::ModelTurns;
use crate::failure::panic_message;
use crate::metrics::{ModelMetrics, Stage};
use crate::store::ModelName;

/// How often an engine gives back the memory that its largest batch took.
const RELEASE_EVERY: Duration = Duration::from_secs(10);

/// An image that waits.
pub(super) struct QueuedImage {
    pub(super) input: PreparedImage,
    pub(super) permit: QueuePermit,
    /// How long it waited before it was decoded.
    pub(super) waited: Duration,
    pub(super) queued: Instant,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<ImageLogits, InferenceError>>,
}

/// The logits of one image, and how it fared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ImageLogits {
    pub(super) logits: Vec<f32>,
    /// Waiting, before it was decoded and behind.
    pub(super) queue: Duration,
    /// The run of the batch it was in.
    pub(super) inference: Duration,
    /// Images in that batch.
    pub(super) batch: usize,
}

impl ImageLogits {
    /// Of an image, given those of its views: the mean of the logits, and the slowest.
    pub(super) fn mean(views: &[Self]) -> Self {
        let rows: Vec<Vec<f32>> = views.iter().map(|view| view.logits.clone()).collect();
        Self {
            logits: TestViews::mean(&rows),
            queue: views.iter().map(|view| view.queue).max().unwrap_or_default(),
            inference: views.iter().map(|view| view.inference).max().unwrap_or_default(),
            batch: views.iter().map(|view| view.batch).max().unwrap_or_default(),
        }
    }
}

/// What the task works with.
pub(super) struct Worker {
    pub(super) name: ModelName,
    pub(super) engine: Box<dyn Engine>,
    pub(super) entries: UnboundedReceiver<QueuedImage>,
    /// Which models run; each has a thread only while it does.
    pub(super) turns: ModelTurns,
    pub(super) classes: usize,
    pub(super) max_batch: usize,
    pub(super) admission: Arc<Admission>,
    pub(super) metrics: ModelMetrics,
    /// Set once, when the worker ends because the engine panicked.
    pub(super) failure: Arc<OnceLock<String>>,
    pub(super) history: RunHistory,
}

/// What a worker remembers of its runs.
pub(super) struct RunHistory {
    /// The end of the last run, if images were waiting then: from one such end to the next, the model was busy.
    busy_since: Option<Instant>,
    /// When the engine last gave memory back.
    released: Instant,
}

impl Default for RunHistory {
    fn default() -> Self {
        Self { busy_since: None, released: Instant::now() }
    }
}

impl Worker {
    /// Works until nobody can queue anything any more, or the engine panics. What is queued then is answered as stopped,
    /// because its `reply` is dropped. When it returns, the engine's memory is free.
    pub(super) async fn work(mut self) {
        while let Some(first) = self.entries.recv().await {
            let Some(turn) = self.turns.acquire(&self.name).await else { break };
            let run = spawn_blocking(move || {
                let flow = self.run_waiting(first);
                drop(turn);
                (self, flow)
            });
            match run.await {
                Ok((worker, ControlFlow::Continue(()))) => self = worker,
                Ok((worker, ControlFlow::Break(()))) => {
                    self = worker;
                    break;
                }
                // The runtime is going.
                Err(_) => return,
            }
        }
        // An engine takes a moment to free what it has; those who wait for it are told by the end of this task.
        drop(spawn_blocking(move || drop(self)).await);
    }

    /// Runs what waits, batch after batch, until nothing does or another model waits for its turn.
    fn run_waiting(&mut self, first: QueuedImage) -> ControlFlow<()> {
        let mut next = Some(first);
        while let Some(first) = next.take() {
            self.run_batch(first)?;
            if !self.turns.contended() {
                next = self.entries.try_recv().ok();
            }
        }
        ControlFlow::Continue(())
    }

    /// Runs this image with others that wait, up to the largest batch.
    fn run_batch(&mut self, first: QueuedImage) -> ControlFlow<()> {
        let mut batch: Vec<DequeuedImage> = DequeuedImage::take(first).into_iter().collect();
        while batch.len() < self.max_batch
            && let Ok(entry) = self.entries.try_recv()
        {
            batch.extend(DequeuedImage::take(entry));
        }
        let images = batch.len();
        let started = self.history.busy_since.take().unwrap_or_else(Instant::now);
        // Without a crop, images have different sizes; only equal ones can be stacked.
        while !batch.is_empty() {
            let shape = batch[0].input.shape();
            let (equal, others) = batch.into_iter().partition(|entry| entry.input.shape() == shape);
            batch = others;
            self.run(equal)?;
        }
        if images > 0 {
            self.admission.throughput().record(images, started.elapsed());
        }
        self.history.busy_since = (self.admission.waiting() > 0).then(Instant::now);
        ControlFlow::Continue(())
    }

    /// Runs one batch and answers everyone in it. Breaks when the engine panicked: it is not used again, so nobody can
    /// see what the panic left behind.
    fn run(&mut self, batch: Vec<DequeuedImage>) -> ControlFlow<()> {
        let images = batch.len();
        let (inputs, replies): (Vec<PreparedImage>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.input, (waiting.queue, waiting.reply))).unzip();
        if self.history.released.elapsed() > RELEASE_EVERY {
            self.engine.release_memory();
            self.history.released = Instant::now();
        }
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

    use models::preprocess::Limits;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::inference::testing::{EngineRecord, RED, RecordingEngine, bmp, colors};
    use crate::metrics::Metrics;

    const HOUR: Duration = Duration::from_secs(3600);

    type Reply = oneshot::Receiver<Result<ImageLogits, InferenceError>>;

    /// A worker whose queue holds so many images and is closed behind them.
    fn worker(images: usize, watch: &Arc<Mutex<EngineRecord>>) -> (Worker, Vec<Reply>) {
        let network = colors();
        let input = network.spec.preprocess.apply(&bmp(RED), &Limits::default()).unwrap();
        let admission = Arc::new(Admission::new(images, images, HOUR));
        let (queue, entries) = unbounded_channel();
        let entry = |permit| {
            let (reply, answer) = oneshot::channel();
            let (queued, deadline) = (Instant::now(), Instant::now() + HOUR);
            let waited = Duration::ZERO;
            queue.send(QueuedImage { input: input.clone(), permit, waited, queued, deadline, reply }).unwrap();
            answer
        };
        let replies = admission.admit(images, Instant::now() + HOUR).unwrap().into_iter().map(entry).collect();
        let file = onnx::export(&network, &onnx::ExportOptions::default()).unwrap();
        let engine = RecordingEngine::open(&file, watch.clone()).unwrap();
        let metrics = Metrics::default().of_model("colors", "tract");
        let failure = Arc::default();
        let worker = Worker {
            name: "colors".parse().unwrap(),
            engine,
            entries,
            turns: ModelTurns::new(1),
            classes: 3,
            max_batch: 4,
            admission,
            metrics,
            failure,
            history: RunHistory::default(),
        };
        (worker, replies)
    }

    #[tokio::test]
    async fn what_waits_is_run_together_up_to_the_largest_batch() {
        let watch = Arc::default();
        let (worker, replies) = worker(6, &watch);
        worker.work().await;
        assert_eq!(watch.lock().unwrap().batches, [4, 2]);
        for (mut reply, batch) in replies.into_iter().zip([4, 4, 4, 4, 2, 2]) {
            let answer = reply.try_recv().unwrap().unwrap();
            assert_eq!(answer.batch, batch);
            // The network's mean of a channel, as a share of 255.
            let expected = RED.map(|value| f32::from(value) / 255.0);
            assert!(answer.logits.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{:?}", answer.logits);
        }
    }

    #[tokio::test]
    async fn clients_that_have_gone_are_passed_over() {
        let watch = Arc::default();
        let (worker, mut replies) = worker(6, &watch);
        replies.drain(..3);
        worker.work().await;
        assert_eq!(watch.lock().unwrap().batches, [3]);
        assert!(replies.iter_mut().all(|reply| reply.try_recv().unwrap().is_ok()));
    }

    #[tokio::test]
    async fn an_image_whose_deadline_has_passed_is_not_run() {
        let watch = Arc::default();
        let (mut worker, mut replies) = worker(2, &watch);
        let (queue, entries) = unbounded_channel();
        for late in [true, false] {
            let mut entry = worker.entries.try_recv().unwrap();
            if late {
                entry.deadline = Instant::now();
            }
            queue.send(entry).unwrap();
        }
        drop(queue);
        worker.entries = entries;
        worker.work().await;
        assert_eq!(watch.lock().unwrap().batches, [1]);
        assert!(matches!(replies[0].try_recv().unwrap(), Err(InferenceError::Late)));
        assert!(replies[1].try_recv().unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_panic_ends_the_worker_and_nothing_else() {
        let watch = Arc::new(Mutex::new(EngineRecord { panics: Some(0), ..EngineRecord::default() }));
        let (worker, mut replies) = worker(6, &watch);
        let failure = worker.failure.clone();
        worker.work().await;
        assert_eq!(failure.get().map(String::as_str), Some("the engine panicked: told to"));
        for reply in &mut replies[..4] {
            assert!(matches!(reply.try_recv().unwrap(), Err(InferenceError::Failed(_))));
        }
        for reply in &mut replies[4..] {
            assert!(matches!(reply.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        }
    }

    #[tokio::test]
    async fn an_answer_of_the_wrong_length_is_an_error() {
        let (mut worker, mut replies) = worker(1, &Arc::default());
        worker.classes = 4;
        worker.work().await;
        let Err(InferenceError::Failed(reason)) = replies[0].try_recv().unwrap() else { panic!() };
        assert!(reason.contains("not 4 logits each"), "{reason}");
    }
}
