//! A model that is ready to answer.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use models::preprocess::ImageError;
use models::scores::ScoreKind;
use models::{Labels, Preprocess};
use onnx::{Engine, EngineError};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::admission::Admission;
use super::decoder::{DecodeContext, Decoder};
use super::self_test::{self_test, settle};
use super::turns::ModelTurns;
use super::worker::{QueuedImage, RunHistory, Worker};
use super::{InferenceError, InferenceOptions};
use crate::allocator;
use crate::failure::panic_message;
use crate::metrics::ModelMetrics;
use crate::store::{ModelName, StoredModel};

/// Opens an engine on the bytes of an ONNX file.
pub(crate) type Opener = Arc<dyn Fn(&[u8]) -> Result<Box<dyn Engine>, EngineError> + Send + Sync>;

/// A model that has passed its self-test and answers. Its worker ends when the last reference is gone and what was queued
/// is answered.
pub struct Model {
    name: ModelName,
    version: u32,
    labels: Labels,
    scores: ScoreKind,
    preprocess: Arc<Preprocess>,
    admission: Arc<Admission>,
    metrics: ModelMetrics,
    memory: u64,
    queue: UnboundedSender<QueuedImage>,
    failure: Arc<OnceLock<String>>,
    worker: JoinHandle<()>,
}

/// How models are opened and run.
#[derive(Clone)]
pub(super) struct ModelStarter {
    pub(super) open: Opener,
    pub(super) options: InferenceOptions,
    /// Which models run.
    pub(super) turns: ModelTurns,
}

/// The logits of a request's images, and how long they took.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceResult {
    /// One row an image, or why the image cannot be used.
    pub logits: Vec<Result<Vec<f32>, ImageError>>,
    /// Decoding and resizing all images.
    pub prepare: Duration,
    /// Waiting in the queue, of the image that waited longest.
    pub queue: Duration,
    /// The run of the batch, of the slowest.
    pub inference: Duration,
    /// Images in the largest batch, other requests' included.
    pub batch: usize,
}

impl Model {
    /// Opens the engine, tests it, and starts its worker. An error is the reason why it cannot serve.
    pub(super) async fn start(stored: StoredModel, starter: &ModelStarter) -> Result<Self, String> {
        let labels = stored.spec.labels.clone().ok_or("the model has no classes")?;
        let scores = stored.spec.scores.kind;
        let preprocess = Arc::new(stored.spec.preprocess.clone());
        let (name, version, classes) = (stored.name.clone(), stored.version, labels.len());
        let ModelStarter { open, options, turns } = starter.clone();
        let admission = Arc::new(Admission::new(options.queue, options.max_wait));
        let tested = admission.clone();
        let metrics = options.metrics.clone();
        let max_batch = options.max_batch;
        let opened = spawn_blocking(move || {
            let resident = || {
                allocator::trim();
                (options.memory.resident)()
            };
            let before = resident();
            let mut engine = open(&stored.onnx).map_err(|error| error.to_string())?;
            self_test(&mut *engine, &stored, max_batch, tested.throughput())?;
            let memory = plausible(resident().saturating_sub(before), stored.onnx.len() as u64);
            settle(&mut *engine, &stored);
            // The file and the golden images are not needed any more.
            drop(stored);
            allocator::trim();
            Ok::<_, String>((engine, memory))
        });
        let (engine, memory) = opened.await.unwrap_or_else(|error| Err(ended(error)))?;
        let metrics = metrics.of_model(name.as_str(), &engine.kind().to_string());
        let failure = Arc::new(OnceLock::new());
        let (queue, entries) = unbounded_channel();
        let worker = Worker {
            name: name.clone(),
            engine,
            entries,
            turns,
            classes,
            max_batch,
            admission: admission.clone(),
            metrics: metrics.clone(),
            failure: failure.clone(),
            history: RunHistory::default(),
        };
        let worker = tokio::spawn(worker.work());
        Ok(Self { name, version, labels, scores, preprocess, admission, metrics, memory, queue, failure, worker })
    }

    /// Ends the model and waits until its memory is free.
    pub(super) async fn close(self) {
        let Self { queue, worker, .. } = self;
        drop(queue);
        // A worker that panicked has no memory either.
        drop(worker.await);
    }

    /// The model's name.
    #[must_use]
    pub fn name(&self) -> &ModelName {
        &self.name
    }

    /// The version that answers.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The class names.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// How its logits become scores.
    #[must_use]
    pub fn scores(&self) -> ScoreKind {
        self.scores
    }

    /// How many images are being decoded for it or wait in its queue.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.admission.waiting()
    }

    /// What it takes in memory when it runs its largest batch, in bytes, as measured when it was loaded.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// What is counted for it.
    #[must_use]
    pub fn metrics(&self) -> &ModelMetrics {
        &self.metrics
    }

    /// How long another image would wait.
    #[must_use]
    pub fn predicted_wait(&self) -> Duration {
        self.admission.predicted_wait()
    }

    /// Whether another image could be admitted now. Asked before a body is read; nothing is reserved.
    ///
    /// # Errors
    /// [`InferenceError::Overloaded`] or [`InferenceError::Late`].
    pub fn check_admission(&self, deadline: Instant) -> Result<(), InferenceError> {
        self.admission.check(1, deadline)
    }

    /// Why the model has stopped, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// The logits of image files. Those that cannot be used do not keep the others from being run. An image that is not in
    /// the engine at the deadline is not run.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn run<B>(
        &self,
        decoder: &Decoder,
        images: Vec<B>,
        deadline: Instant,
    ) -> Result<InferenceResult, InferenceError>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let permits = self.admission.admit(images.len(), deadline)?;
        let started = Instant::now();
        let (model, preprocess, metrics) = (&self.name, &self.preprocess, &self.metrics);
        let inputs = decoder.prepare(images, &DecodeContext { model, preprocess, deadline, metrics }).await?;
        let prepare = started.elapsed();
        let mut replies = Vec::with_capacity(inputs.len());
        for (input, permit) in inputs.into_iter().zip(permits) {
            let input = match input {
                Ok(input) => input,
                Err(error) => {
                    replies.push(Err(error));
                    continue;
                }
            };
            let (reply, answer) = oneshot::channel();
            let entry = QueuedImage { input, permit, queued: Instant::now(), deadline, reply };
            self.queue.send(entry).map_err(|_| self.stopped())?;
            replies.push(Ok(answer));
        }
        let mut answers = InferenceResult {
            logits: Vec::with_capacity(replies.len()),
            prepare,
            queue: Duration::ZERO,
            inference: Duration::ZERO,
            batch: 0,
        };
        for reply in replies {
            let reply = match reply {
                Ok(reply) => reply,
                Err(error) => {
                    answers.logits.push(Err(error));
                    continue;
                }
            };
            let answer = reply.await.map_err(|_| self.stopped())??;
            answers.logits.push(Ok(answer.logits));
            answers.queue = answers.queue.max(answer.queue);
            answers.inference = answers.inference.max(answer.inference);
            answers.batch = answers.batch.max(answer.batch);
        }
        Ok(answers)
    }

    fn stopped(&self) -> InferenceError {
        InferenceError::Stopped(self.failure().unwrap_or("its worker has ended").to_owned())
    }
}

/// What the resident memory of the process has grown by is what a model takes, beside what other requests took meanwhile. A
/// model takes at least its file, and with the working memory of a batch not more than some copies of it.
fn plausible(grown: u64, file: u64) -> u64 {
    const WORKING_MEMORY: u64 = 256 << 20;
    grown.clamp(file, file.saturating_mul(4).saturating_add(WORKING_MEMORY))
}

/// Why the engine was not opened.
fn ended(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => format!("the engine panicked: {}", panic_message(&*panic)),
        Err(error) => format!("it was not opened: {error}"),
    }
}
