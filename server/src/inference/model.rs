//! A model that is ready to answer.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use models::preprocess::{ImageError, PreparedImage};
use models::spec::ScoreSpec;
use models::{Labels, Preprocess};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use trainer::evaluate::TestViews;
use trainer::quantize::VariantKind;

use super::admission::{Admission, QueuePermit, Throughput};
use super::answers::ModelAnswers;
use super::decoder::{DecodeContext, Decoder};
use super::lanes::Lanes;
use super::opener::Opener;
use super::plan::{PlanInput, ServingPlan};
use super::providers::{Providers, RehearsedEngines};
use super::queue::{ImageLogits, QueuedImage};
use super::rehearsal::Rehearsal;
use super::turns::ModelTurns;
use super::variants::{VariantChoice, VariantContext, choose};
use super::worker::{RunClock, Worker};
use super::{InferenceError, InferenceOptions};
use crate::allocator;
use crate::failure::panic_message;
use crate::metrics::ModelMetrics;
use crate::store::{ModelName, ModelStore, StoredModel};

/// A model that has passed its self-test and answers. Its worker ends when the last reference is gone and what was queued
/// is answered.
pub struct Model {
    name: ModelName,
    version: u32,
    labels: RwLock<Arc<Labels>>,
    scores: Arc<ScoreSpec>,
    preprocess: Arc<Preprocess>,
    admission: Arc<Admission>,
    metrics: Box<ModelMetrics>,
    answers: ModelAnswers,
    memory: u64,
    plan: Arc<ServingPlan>,
    /// Other variants of its version that requests asked for.
    others: Box<Mutex<Vec<Arc<Model>>>>,
    queue: UnboundedSender<QueuedImage>,
    failure: Arc<OnceLock<String>>,
    worker: JoinHandle<()>,
}

/// How models are opened and run.
#[derive(Clone)]
pub(super) struct ModelStarter {
    pub(super) providers: Providers,
    /// Opens one engine with all threads.
    pub(super) open_wide: Opener,
    /// Opens an engine that has no thread but its caller's.
    pub(super) open_alone: Opener,
    /// Where the variants of a version are.
    pub(super) store: ModelStore,
    pub(super) options: InferenceOptions,
    /// Which models run.
    pub(super) turns: ModelTurns,
}

/// The logits of a request's images, and how long they took.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceResult {
    /// One row an image, or why the image cannot be used.
    pub logits: Vec<Result<Vec<f32>, ImageError>>,
    /// Decoding and resizing, of the image that took longest.
    pub prepare: Duration,
    /// Waiting to be decoded and to be run, of the image that waited longest.
    pub queue: Duration,
    /// The run of the batch, of the slowest.
    pub inference: Duration,
    /// Images in the largest batch, other requests' included.
    pub batch: usize,
}

/// Image files that are to be run.
pub struct ImageRequest<B> {
    /// The image files, each decoded only when its turn comes.
    pub images: Vec<B>,
    /// Views of each image whose logits are averaged.
    pub views: TestViews,
    /// An image that is not in the engine then is not run.
    pub deadline: Instant,
}

/// An image that may wait for the model.
struct AdmittedImage<B> {
    image: B,
    views: TestViews,
    /// One for each view.
    permits: Vec<QueuePermit>,
    deadline: Instant,
}

/// A prepared image on its way into the queue.
struct PermittedImage {
    input: PreparedImage,
    permit: QueuePermit,
    /// How long it waited before it was decoded.
    waited: Duration,
    deadline: Instant,
}

/// What one image shows, or why it cannot be used.
struct ImageRun {
    prepare: Duration,
    answer: Result<ImageLogits, ImageError>,
}

impl InferenceResult {
    fn of(images: Vec<ImageRun>) -> Self {
        let answers = || images.iter().filter_map(|image| image.answer.as_ref().ok());
        Self {
            prepare: images.iter().map(|image| image.prepare).max().unwrap_or_default(),
            queue: answers().map(|answer| answer.queue).max().unwrap_or_default(),
            inference: answers().map(|answer| answer.inference).max().unwrap_or_default(),
            batch: answers().map(|answer| answer.batch).max().unwrap_or_default(),
            logits: images.into_iter().map(|image| image.answer.map(|answer| answer.logits)).collect(),
        }
    }

    /// Whether no image could be used.
    fn is_refusal(&self) -> bool {
        self.logits.iter().all(Result::is_err)
    }
}

/// Engines that reproduce the recorded answers.
struct OpenedEngines {
    lanes: Lanes,
    plan: ServingPlan,
    /// What they take in memory.
    memory: u64,
}

impl ModelStarter {
    /// Chooses the variant of a version that answers, and opens, tests and times its engines.
    fn open_engines(self, stored: StoredModel, throughput: &Throughput) -> Result<OpenedEngines, String> {
        let Self { providers, open_wide, store, options, .. } = self;
        let InferenceOptions { max_batch, profile, max_accuracy_drop, .. } = options;
        let context = VariantContext { open: &open_wide, store: &store, max_batch, max_accuracy_drop };
        let VariantChoice { faster, statuses } = choose(&stored, &context);
        let stored = faster.unwrap_or(stored);
        let resident = || {
            allocator::trim();
            (options.memory.resident)()
        };
        let before = resident();
        let rehearsal = Rehearsal { model: &stored, profile, max_batch, throughput };
        let RehearsedEngines { mut engines, run, provider } = providers.open(&rehearsal)?;
        let obstacle = engines.obstacle.take();
        if let Some(obstacle) = &obstacle {
            tracing::warn!(model = %stored.name, obstacle, "its images run one after another");
        }
        let lanes = Lanes::new(engines, run.profile);
        let variants = (stored.variant, statuses);
        let plan = ServingPlan::new(PlanInput { asked: profile, run, obstacle, provider, variants });
        let memory = plausible(resident().saturating_sub(before), stored.onnx.len() as u64);
        // The file and the golden images are not needed any more.
        drop(stored);
        allocator::trim();
        Ok(OpenedEngines { lanes, plan, memory })
    }
}

impl Model {
    /// Opens the engine, tests it, and starts its worker. An error is the reason why it cannot serve.
    pub(super) async fn start(stored: StoredModel, starter: &ModelStarter) -> Result<Self, String> {
        let labels = stored.spec.labels.clone().ok_or("the model has no classes")?;
        let scores = Arc::new(stored.spec.scores.clone());
        let preprocess = Arc::new(stored.spec.preprocess.clone());
        let (name, version, classes) = (stored.name.clone(), stored.version, labels.len());
        let ModelStarter { options, turns, .. } = starter.clone();
        // While a batch runs, the next one is decoded, and the decoders go on.
        let decoded = 2 * options.max_batch + options.decoders;
        let admission = Arc::new(Admission::new(options.queue, decoded, options.max_wait, turns.clone()));
        let (metrics, answers, max_batch) = (options.metrics, options.answers.of_model(), options.max_batch);
        let (starter, tested) = (starter.clone(), admission.clone());
        let opened = spawn_blocking(move || starter.open_engines(stored, tested.throughput()));
        let OpenedEngines { lanes, plan, memory } = opened.await.unwrap_or_else(|error| Err(ended(error)))?;
        plan.log(&name, version);
        let kind = lanes.kind().ok_or("it has no engine")?;
        let metrics = metrics.of_model(name.as_str(), version, &kind.to_string());
        let failure = Arc::new(OnceLock::new());
        let (queue, entries) = unbounded_channel();
        let worker = Worker {
            name: name.clone(),
            lanes,
            entries,
            turns,
            classes,
            max_batch,
            admission: admission.clone(),
            metrics: metrics.clone(),
            failure: failure.clone(),
            clock: RunClock::default(),
        };
        let worker = tokio::spawn(worker.work());
        let labels = RwLock::new(Arc::new(labels));
        let (plan, others) = (Arc::new(plan), Box::default());
        Ok(Self {
            name,
            version,
            labels,
            scores,
            preprocess,
            admission,
            metrics: Box::new(metrics),
            answers,
            memory,
            plan,
            others,
            queue,
            failure,
            worker,
        })
    }

    /// Ends the model and waits until its memory is free.
    pub(super) async fn close(self) {
        let Self { queue, worker, others, .. } = self;
        drop(queue);
        for other in others.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().filter_map(Arc::into_inner)
        {
            Box::pin(other.close()).await;
        }
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

    /// The class names. They can change while the model answers, so that an answer takes them once.
    #[must_use]
    pub fn labels(&self) -> Arc<Labels> {
        self.labels.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Calls the classes otherwise, in the same order.
    pub(super) fn rename_classes(&self, labels: Labels) {
        *self.labels.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(labels);
    }

    /// How its logits become scores, and from which score on a class counts as present.
    #[must_use]
    pub fn scores(&self) -> &ScoreSpec {
        &self.scores
    }

    /// How an image becomes its input.
    #[must_use]
    pub fn preprocess(&self) -> &Arc<Preprocess> {
        &self.preprocess
    }

    /// How many images are being decoded for it or wait in its queue.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.admission.waiting()
    }

    /// What it takes in memory when it runs its largest batch, in bytes, as measured when it was loaded, with other variants of it
    /// that requests asked for.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory + self.others().iter().map(|other| other.memory()).sum::<u64>()
    }

    /// How it runs, and what was measured for that.
    #[must_use]
    pub fn plan(&self) -> &Arc<ServingPlan> {
        &self.plan
    }

    /// The same version in this variant, if a request has had it loaded and it has not failed.
    pub(super) fn other_variant(&self, kind: VariantKind) -> Option<Arc<Self>> {
        self.others().iter().find(|other| other.plan.variant == kind && other.failure().is_none()).cloned()
    }

    /// Keeps another variant in the place of one that has failed.
    pub(super) fn keep_variant(&self, other: Arc<Self>) {
        let mut others = self.others();
        others.retain(|kept| kept.plan.variant != other.plan.variant);
        others.push(other);
    }

    fn others(&self) -> MutexGuard<'_, Vec<Arc<Self>>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The logits of image files. Those that cannot be used do not keep the others from being run.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn run<B>(&self, decoder: &Decoder, request: ImageRequest<B>) -> Result<InferenceResult, InferenceError>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        self.counted(self.run_files(decoder, request)).await
    }

    /// The logits of images that are prepared already.
    ///
    /// # Errors
    /// [`InferenceError`].
    pub async fn run_prepared(
        &self,
        inputs: Vec<PreparedImage>,
        deadline: Instant,
    ) -> Result<InferenceResult, InferenceError> {
        self.counted(async {
            let permits = self.admission.admit(inputs.len(), deadline)?;
            let images = inputs.into_iter().zip(permits);
            let answers = images
                .map(|(input, permit)| self.answer(PermittedImage { input, permit, waited: Duration::ZERO, deadline }));
            let answers = try_join_all(answers).await?.into_iter();
            let images = answers.map(|answer| ImageRun { prepare: Duration::ZERO, answer: Ok(answer) });
            Ok(InferenceResult::of(images.collect()))
        })
        .await
    }

    /// Counts a request as answered or failed.
    async fn counted(
        &self,
        request: impl Future<Output = Result<InferenceResult, InferenceError>>,
    ) -> Result<InferenceResult, InferenceError> {
        let started = Instant::now();
        let result = request.await;
        match &result {
            Ok(result) if !result.is_refusal() => self.metrics.succeeded(started.elapsed()),
            _ => self.metrics.failed(started.elapsed()),
        }
        result
    }

    async fn run_files<B>(&self, decoder: &Decoder, request: ImageRequest<B>) -> Result<InferenceResult, InferenceError>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let ImageRequest { images, views, deadline } = request;
        let mut permits = self.admission.admit(images.len() * views.count(), deadline)?.into_iter();
        let images = images.into_iter().map(|image| {
            let permits = permits.by_ref().take(views.count()).collect();
            AdmittedImage { image, views, permits, deadline }
        });
        // Each image takes its permits before the first is run.
        let images: Vec<AdmittedImage<B>> = images.collect();
        let runs = images.into_iter().map(|image| self.run_image(decoder, image));
        Ok(InferenceResult::of(try_join_all(runs).await?))
    }

    /// From the file to the logits.
    async fn run_image<B>(&self, decoder: &Decoder, image: AdmittedImage<B>) -> Result<ImageRun, InferenceError>
    where
        B: AsRef<[u8]> + Send + 'static,
    {
        let AdmittedImage { image, views, mut permits, deadline } = image;
        let arrival = Instant::now();
        let keyed = self.answers.keyed(image, views).await;
        let (image, key) = keyed.map_err(|error| InferenceError::Failed(ended(error)))?;
        if let Some(logits) = key.and_then(|key| self.answers.get(&key)) {
            self.metrics.answered_again();
            return Ok(ImageRun { prepare: Duration::ZERO, answer: Ok(ImageLogits::kept(logits)) });
        }
        if let Some(permit) = permits.first_mut() {
            self.admission.wait_to_decode(permit).await;
        }
        let waited = arrival.elapsed();
        let (model, preprocess, metrics) = (&self.name, &self.preprocess, &self.metrics);
        let input = decoder.prepare(image, &DecodeContext { model, preprocess, deadline, metrics }).await?;
        let prepare = arrival.elapsed() - waited;
        let input = match input {
            Ok(input) => input,
            Err(error) => return Ok(ImageRun { prepare, answer: Err(error) }),
        };
        let views = views.of(input).into_iter().zip(permits);
        let answers = views.map(|(input, permit)| self.answer(PermittedImage { input, permit, waited, deadline }));
        let answer = ImageLogits::mean(&try_join_all(answers).await?);
        if let Some(key) = key {
            self.answers.keep(key, &answer.logits);
        }
        Ok(ImageRun { prepare, answer: Ok(answer) })
    }

    /// Queues an image, when it is first polled, and waits for its logits.
    async fn answer(&self, image: PermittedImage) -> Result<ImageLogits, InferenceError> {
        let PermittedImage { input, permit, waited, deadline } = image;
        let (reply, answer) = oneshot::channel();
        let entry = QueuedImage { input, permit, waited, queued: Instant::now(), deadline, reply };
        self.queue.send(entry).map_err(|_| self.stopped())?;
        answer.await.map_err(|_| self.stopped())?
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
