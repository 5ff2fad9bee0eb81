//! What handlers share.

use std::ops::Deref;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;

use crate::access::{Access, AccessError};
use crate::config::{
    CollectOptions, DataDir, HttpLimits, LabelStudioConfigError, ReadyPolicy, ServeConfig, WebhookConfigError,
};
use crate::datasets::DatasetStore;
use crate::explain::Explanations;
use crate::finetune::JobChecker;
use crate::http::budget::ByteBudget;
use crate::http::middleware::refusals::RefusalLog;
use crate::imports::ImportFolders;
use crate::inference::{AnswerCache, Decoder, InferenceOptions, MemoryOptions, Registry};
use crate::jobs::{ChildCommand, JobsHandle, Planner};
use crate::label_studio::{LabelStudioOptions, Trainings};
use crate::metrics::{Metrics, resident_bytes};
use crate::run_context::RunContext;
use crate::runtime::SelectedEngine;
use crate::store::{ModelStore, StoreError};
use crate::trials::Trials;
use crate::webhooks::WebhookOptions;

/// Everything a handler may need. Each layer of the router clones it for each request, so it is one pointer.
#[derive(Clone)]
pub struct AppState(Arc<Services>);

/// What handlers share.
pub struct Services {
    /// The models that answer.
    pub registry: Registry,
    /// Decodes images.
    pub decoder: Decoder,
    /// Shows where models look.
    pub explanations: Explanations,
    /// Runs versions that do not answer.
    pub trials: Trials,
    /// The job database; unready where it cannot be opened.
    pub jobs: JobsHandle,
    /// Plans fine-tunes.
    pub planner: Planner,
    /// Where models lie that clients upload, until they are imported.
    pub imports: ImportFolders,
    /// Clients that may follow jobs at a time.
    pub streams: Arc<Semaphore>,
    /// Which classified images wait for feedback, if any.
    pub collect: Option<CollectOptions>,
    /// The Label Studio that it works with, if any.
    pub label_studio: Option<LabelStudioOptions>,
    /// What became of the trainings that it has asked for.
    pub trainings: Trainings,
    /// Whom the server may tell when a job has ended, if anybody.
    pub webhooks: Option<WebhookOptions>,
    /// What runs the models, and why.
    pub engine: Arc<SelectedEngine>,
    /// Where everything is kept.
    pub data: DataDir,
    /// The data sets that users made.
    pub datasets: DatasetStore,
    /// Checks what jobs ask for.
    pub checker: JobChecker,
    /// What one client may cost.
    pub limits: Arc<HttpLimits>,
    /// The bytes of bodies in memory.
    pub budget: ByteBudget,
    /// Who may use the server.
    pub access: Access,
    /// Which models readiness depends on.
    pub ready: ReadyPolicy,
    /// What is counted.
    pub metrics: Metrics,
    /// Which refusals are logged.
    pub(crate) refusal_log: RefusalLog,
    /// Whether the server is going.
    pub draining: DrainState,
}

impl AppState {
    /// For a test that replaces a part, before anything else has the state.
    #[cfg(test)]
    pub(crate) fn services_mut(&mut self) -> &mut Services {
        Arc::get_mut(&mut self.0).expect("nothing else has the state")
    }
}

impl Deref for AppState {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

/// Whether the server is shutting down.
#[derive(Debug, Clone)]
pub struct DrainState(watch::Sender<bool>);

impl Default for DrainState {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl DrainState {
    /// The server is going: it is not ready any more.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Whether draining has begun.
    #[must_use]
    pub fn begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Becomes true when it is.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }
}

/// The data folder cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder of models.
    #[error("cannot open the model store")]
    Store(#[from] StoreError),
    /// The API keys.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A host or a secret of the webhooks.
    #[error(transparent)]
    Webhooks(#[from] WebhookConfigError),
    /// The settings for Label Studio.
    #[error(transparent)]
    LabelStudio(#[from] LabelStudioConfigError),
    /// A memory budget where the memory of the process cannot be measured.
    #[error("--memory-budget needs /proc/self/status, which this system does not have; leave it out")]
    Unmeasured,
    /// The program does not find itself.
    #[error("cannot find this program")]
    Program(#[source] std::io::Error),
    /// The work was not done.
    #[error("opening the model store was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl AppState {
    /// Opens the data folder, made if it is not there. No model is loaded yet.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(config: &ServeConfig, engine: SelectedEngine) -> Result<Self, OpenError> {
        if config.memory.budget.is_some() && resident_bytes().is_none() {
            return Err(OpenError::Unmeasured);
        }
        let command = ChildCommand::of_this_program(config, &engine).map_err(OpenError::Program)?;
        let access = Access::open(&config.access, config.host)?;
        let folder = config.data.models_dir();
        let store = spawn_blocking(move || ModelStore::open(&folder)).await??;
        let (limits, metrics, engine) = (&config.limits, Metrics::default(), Arc::new(engine));
        let options = InferenceOptions {
            max_batch: config.max_batch.max(1),
            profile: config.profile,
            decoders: engine.threads.get(),
            queue: limits.queue,
            max_wait: limits.queue_wait,
            max_accuracy_drop: config.max_accuracy_drop,
            memory: MemoryOptions {
                budget: config.memory.budget,
                load_wait: config.memory.load_wait,
                // Only a budget needs the number, and there is none where it cannot be read.
                resident: Arc::new(|| resident_bytes().unwrap_or(0)),
            },
            answers: AnswerCache::new(config.memory.answers),
            metrics: metrics.clone(),
        };
        Ok(Self(Arc::new(Services {
            explanations: Explanations::new(store.clone(), limits.image),
            trials: Trials::new(store.clone(), engine.clone(), limits.image),
            registry: Registry::new(store, &engine, options),
            decoder: Decoder::new(engine.threads, limits.image, limits.inflight_pixels),
            jobs: JobsHandle::open(&config.data.database(), config.jobs).await,
            planner: Planner::new(command),
            imports: ImportFolders::new(config.data.incoming_dir()),
            streams: Arc::new(Semaphore::new(limits.event_streams)),
            collect: config.collect.clone(),
            label_studio: config.label_studio.resolve()?,
            trainings: Trainings::default(),
            webhooks: config.webhooks.resolve()?,
            engine,
            datasets: DatasetStore::new(config.data.clone(), config.datasets.clone()),
            checker: JobChecker::new(RunContext {
                data: config.data.clone(),
                access: config.roots.access(&config.data),
                origin: None,
            }),
            data: config.data.clone(),
            budget: ByteBudget::new(limits.inflight_bytes),
            limits: Arc::new(limits.clone()),
            access,
            ready: config.ready.clone(),
            metrics,
            refusal_log: RefusalLog::default(),
            draining: DrainState::default(),
        })))
    }
}
