//! What versions say that do not answer, for people who compare them before they let one in.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use models::ModelSpec;
use models::preprocess::{ImageError, Limits};
use onnx::EngineError;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use trainer::evaluate::ModelRunner;

use crate::runtime::SelectedEngine;
use crate::store::{ModelName, ModelStore, StoreError};

/// Requests that may wait for one another.
const WAITING: usize = 8;

/// Runs versions of models on request, one request at a time. The last version stays open; the registry and its memory budget know
/// nothing of it.
#[derive(Clone)]
pub struct Trials {
    store: ModelStore,
    engine: Arc<SelectedEngine>,
    limits: Limits,
    /// One permit for each that may wait or be computed.
    waiting: Arc<Semaphore>,
    open: Arc<Mutex<Option<OpenVersion>>>,
}

struct OpenVersion {
    name: ModelName,
    version: u32,
    spec: Arc<ModelSpec>,
    runner: ModelRunner,
}

/// What a version says to images.
pub struct TrialAnswer {
    /// Its classes, and how its logits are read.
    pub spec: Arc<ModelSpec>,
    /// One row an image, or why it cannot be used.
    pub logits: Vec<Result<Vec<f32>, ImageError>>,
    /// How long that took, without opening the version.
    pub took: Duration,
}

/// Why a version says nothing.
#[derive(Debug, Error)]
pub enum TrialFailure {
    /// Others wait.
    #[error("{WAITING} requests for versions that do not answer wait or are being computed")]
    Busy,
    /// It has no classes.
    #[error("version {version} of `{name}` is a headless backbone; graft a head onto it with `POST /finetune`")]
    Backbone {
        /// The model.
        name: ModelName,
        /// The version's number.
        version: u32,
    },
    /// It cannot be read, or is not there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The work broke off.
    #[error("the work broke off")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl Trials {
    /// Runs versions of this store. Images beyond the limits are refused by their headers.
    #[must_use]
    pub fn new(store: ModelStore, engine: Arc<SelectedEngine>, limits: Limits) -> Self {
        Self { store, engine, limits, waiting: Arc::new(Semaphore::new(WAITING)), open: Arc::default() }
    }

    /// Whether a request may wait now; asked before its body is read.
    ///
    /// # Errors
    /// [`TrialFailure::Busy`].
    pub fn check(&self) -> Result<(), TrialFailure> {
        if self.waiting.available_permits() == 0 { Err(TrialFailure::Busy) } else { Ok(()) }
    }

    /// What a version says to these image files.
    ///
    /// # Errors
    /// [`TrialFailure`].
    pub async fn answer(
        &self,
        name: &ModelName,
        version: u32,
        images: Vec<Bytes>,
    ) -> Result<TrialAnswer, TrialFailure> {
        let permit = self.waiting.clone().try_acquire_owned().map_err(|_| TrialFailure::Busy)?;
        let (trials, name) = (self.clone(), name.clone());
        spawn_blocking(move || {
            let _permit = permit;
            let mut open = trials.open.lock().unwrap_or_else(PoisonError::into_inner);
            let opened = match open.take() {
                Some(opened) if opened.name == name && opened.version == version => opened,
                // The last one goes before the next one comes, so that there are never two.
                _last => OpenVersion::read(&trials, name, version)?,
            };
            let OpenVersion { spec, runner, .. } = open.insert(opened);
            let start = Instant::now();
            let logits = runner.logits(&images, |image| spec.preprocess.apply(image, &trials.limits))?;
            Ok(TrialAnswer { spec: spec.clone(), logits, took: start.elapsed() })
        })
        .await?
    }
}

impl OpenVersion {
    fn read(trials: &Trials, name: ModelName, version: u32) -> Result<Self, TrialFailure> {
        let stored = trials.store.read(&name, version)?;
        if stored.spec.labels.is_none() {
            return Err(TrialFailure::Backbone { name, version });
        }
        let runner = ModelRunner::open(&stored.onnx, &stored.spec, trials.engine.spec())?;
        Ok(Self { name, version, spec: Arc::new(stored.spec), runner })
    }
}
