//! What handlers share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use models::preprocess::Limits;
use thiserror::Error;
use tokio::task::spawn_blocking;

use crate::config::{DataDir, ServeConfig};
use crate::finetune::{FinetuneChecker, FinetuneContext};
use crate::inference::{Decoder, InferenceOptions, Registry};
use crate::jobs::JobsHandle;
use crate::runtime::SelectedEngine;
use crate::store::{ModelStore, StoreError};

/// Everything a handler may need; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// The models that answer.
    pub registry: Registry,
    /// Decodes images.
    pub decoder: Decoder,
    /// Fine-tunes.
    pub jobs: JobsHandle,
    /// What runs the models, and why.
    pub engine: Arc<SelectedEngine>,
    /// Where everything is kept.
    pub data: DataDir,
    /// Checks what fine-tunes ask for.
    pub checker: FinetuneChecker,
    /// The largest body of a request.
    pub max_body_bytes: usize,
    /// Whether the server is going.
    pub draining: DrainState,
}

/// Whether the server is shutting down.
#[derive(Debug, Clone, Default)]
pub struct DrainState(Arc<AtomicBool>);

impl DrainState {
    /// The server is going: it is not ready any more.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The data folder cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The models.
    #[error("cannot open the model store")]
    Store(#[from] StoreError),
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
        let folder = config.data.models_dir();
        let store = spawn_blocking(move || ModelStore::open(&folder)).await??;
        let options = InferenceOptions { max_batch: config.max_batch.max(1), queue: config.queue };
        let limits = Limits { max_pixels: config.max_pixels, ..Limits::default() };
        Ok(Self {
            registry: Registry::new(store, &engine, options),
            decoder: Decoder::new(engine.threads, limits),
            jobs: JobsHandle::open(&config.data.database(), config.jobs).await,
            engine: Arc::new(engine),
            checker: FinetuneChecker::new(FinetuneContext {
                data: config.data.clone(),
                access: config.roots.access(&config.data),
                origin: None,
            }),
            data: config.data.clone(),
            max_body_bytes: config.max_body_mb.saturating_mul(1 << 20),
            draining: DrainState::default(),
        })
    }
}
