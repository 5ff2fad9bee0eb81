//! A model that is ready to answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use models::preprocess::ImageError;
use models::scores::ScoreKind;
use models::{Labels, Preprocess};
use onnx::{Engine, EngineError};
use tokio::sync::oneshot;

use super::admission::Admission;
use super::decoder::{DecodeContext, Decoder};
use super::self_test::self_test;
use super::worker::{QueuedImage, Worker};
use super::{InferenceError, InferenceOptions};
use crate::failure::panic_message;
use crate::metrics::ModelMetrics;
use crate::store::{ModelName, StoredModel};

/// Opens an engine on the bytes of an ONNX file.
pub(crate) type Opener = Arc<dyn Fn(&[u8]) -> Result<Box<dyn Engine>, EngineError> + Send + Sync>;

/// A model whose thread runs and has passed its self-test. The thread ends when the last reference is gone and what was
/// queued is answered.
pub struct Model {
    name: ModelName,
    version: u32,
    labels: Labels,
    scores: ScoreKind,
    preprocess: Arc<Preprocess>,
    admission: Arc<Admission>,
    metrics: ModelMetrics,
    queue: Sender<QueuedImage>,
    failure: Arc<OnceLock<String>>,
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
    /// Starts the model's thread, which opens the engine and tests it. An error is the reason it cannot serve.
    pub(super) async fn start(stored: StoredModel, open: Opener, options: InferenceOptions) -> Result<Self, String> {
        let labels = stored.spec.labels.clone().ok_or("the model has no classes")?;
        let scores = stored.spec.scores.kind;
        let preprocess = Arc::new(stored.spec.preprocess.clone());
        let (name, version, classes) = (stored.name.clone(), stored.version, labels.len());
        let admission = Arc::new(Admission::new(options.queue, options.max_wait));
        let failure = Arc::new(OnceLock::new());
        let (queue, entries) = channel();
        let (tested, outcome) = oneshot::channel();
        let parts = (admission.clone(), failure.clone());
        let start = move || {
            let (admission, failure) = parts;
            let opened = catch_unwind(AssertUnwindSafe(|| {
                let mut engine = open(&stored.onnx).map_err(|error| error.to_string())?;
                self_test(&mut *engine, &stored, options.max_batch, admission.throughput())?;
                Ok(engine)
            }));
            let opened = opened.unwrap_or_else(|panic| Err(format!("the engine panicked: {}", panic_message(&*panic))));
            let name = stored.name.clone();
            // The file and the golden images are not needed any more.
            drop(stored);
            match opened {
                Ok(engine) => {
                    let metrics = options.metrics.of_model(name.as_str(), &engine.kind().to_string());
                    let max_batch = options.max_batch;
                    let told = tested.send(Ok(metrics.clone()));
                    let worker = Worker { engine, entries, classes, max_batch, admission, metrics, failure };
                    if told.is_ok() {
                        worker.work();
                    }
                }
                Err(reason) => drop(tested.send(Err(reason))),
            }
        };
        let spawned = thread::Builder::new().name(format!("model {name}")).spawn(start);
        spawned.map_err(|error| format!("no thread for the model: {error}"))?;
        let metrics = outcome.await.unwrap_or_else(|_| Err("the model's thread ended early".to_owned()))?;
        Ok(Self { name, version, labels, scores, preprocess, admission, metrics, queue, failure })
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
        InferenceError::Stopped(self.failure().unwrap_or("its thread has ended").to_owned())
    }
}
