//! The shadow of a model: another version that answers copies of requests, to be compared before it is let in.
//!
//! A sample of the images that the live version has answered is queued, a few at a time. One thread of the lowest priority
//! decodes and runs them, and only while no model has a request in flight; what waits too long or finds the queue full is
//! dropped and counted. Clients never see a shadow's answer.

mod counts;
mod record;
mod report;
mod worker;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use models::preprocess::Limits;
use trainer::quantize::VariantKind;

use super::model::Model;
use super::opener::Opener;
use crate::metrics::{Metrics, ShadowOutcome};
use crate::store::{ModelStore, ShadowSettings, StoredModel};
pub use counts::{Disagreement, ShadowAnswer, ShadowCounts};
use record::ShadowRecord;
pub use report::{LatencyQuantiles, ShadowLatency, ShadowReport, ShadowState};
use worker::ShadowWorker;

/// Images that wait for a shadow.
const QUEUE: usize = 16;

/// Where the shadow of a model is.
#[derive(Default)]
pub(super) enum ShadowSlot {
    /// There is none.
    #[default]
    Absent,
    /// It finds no room in memory for now, or cannot be read.
    Waiting(ShadowSettings, String),
    /// Its thread runs.
    Running(Arc<Shadow>),
}

/// A version that answers copies of requests. Its thread ends when the last reference is gone.
pub(super) struct Shadow {
    settings: ShadowSettings,
    memory: u64,
    images: SyncSender<ShadowedImage>,
    shared: Arc<SharedRecord>,
    metrics: Metrics,
}

/// What the thread of a shadow and those who ask for its report share.
pub(super) struct SharedRecord {
    state: Mutex<(ShadowState, Option<String>)>,
    record: Mutex<ShadowRecord>,
    /// The variant of its version that answers, once it does.
    variant: OnceLock<VariantKind>,
}

/// An image that the live version has answered.
pub(super) struct ShadowedImage {
    /// The request that it came with.
    pub(super) request_id: String,
    /// Its place in the request, from 1.
    pub(super) number: usize,
    /// The image file.
    pub(super) bytes: Bytes,
    /// What images may be, as it was when this one was decoded.
    pub(super) limits: Limits,
    /// What the live version said to it.
    pub(super) live: LiveAnswer,
    /// When it was answered.
    pub(super) at: Instant,
}

/// What the live version said to an image.
pub(super) struct LiveAnswer {
    /// The one that answered the client.
    pub(super) version: u32,
    /// What it said.
    pub(super) answer: ShadowAnswer,
    /// How long its run took.
    pub(super) inference: Duration,
}

/// What a shadow is started with.
pub(super) struct ShadowStart {
    pub(super) settings: ShadowSettings,
    pub(super) stored: StoredModel,
    pub(super) open: Opener,
    /// What it is taken to need in memory.
    pub(super) memory: u64,
    pub(super) store: ModelStore,
    /// How many percentage points of accuracy a faster variant of it may cost.
    pub(super) max_accuracy_drop: f64,
    /// Whether a model has requests in flight.
    pub(super) busy: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(super) metrics: Metrics,
}

impl ShadowSlot {
    /// What was decided about it, if there is one.
    pub(super) fn settings(&self) -> Option<ShadowSettings> {
        match self {
            Self::Absent => None,
            Self::Waiting(settings, _) => Some(*settings),
            Self::Running(shadow) => Some(shadow.settings),
        }
    }

    /// What it takes in memory.
    pub(super) fn memory(&self) -> u64 {
        if let Self::Running(shadow) = self { shadow.memory } else { 0 }
    }

    /// The shadow, if its thread runs.
    pub(super) fn running(&self) -> Option<&Arc<Shadow>> {
        if let Self::Running(shadow) = self { Some(shadow) } else { None }
    }
}

impl Shadow {
    /// Starts the thread, which opens the engine and tests it. It goes on with what an earlier process has counted.
    ///
    /// # Errors
    /// Why there is no thread.
    pub(super) fn start(start: ShadowStart) -> Result<Self, String> {
        let ShadowStart { settings, stored, open, memory, store, max_accuracy_drop, busy, metrics } = start;
        let record = store.shadow_record::<ShadowRecord>(&stored.name).map_err(|error| error.to_string())?;
        let record = record.filter(|record| record.decided == settings.since);
        let record = Mutex::new(record.unwrap_or_else(|| ShadowRecord::new(&settings)));
        let state = Mutex::new((ShadowState::Loading, None));
        let shared = Arc::new(SharedRecord { state, record, variant: OnceLock::new() });
        let (images, queue) = sync_channel(QUEUE);
        let (answers, counts) = (shared.clone(), metrics.clone());
        let worker =
            ShadowWorker { stored, open, store, max_accuracy_drop, busy, queue, shared: answers, metrics: counts };
        let thread = thread::Builder::new().name("shadow".to_owned()).spawn(move || worker.work());
        thread.map_err(|error| format!("its thread does not start: {error}"))?;
        Ok(Self { settings, memory, images, shared, metrics })
    }

    /// Whether the next image is one of its sample.
    pub(super) fn wants_next(&self) -> bool {
        // Each state is seeded anew by the standard library.
        let random = RandomState::new().build_hasher().finish();
        (random as f64 / u64::MAX as f64) < self.settings.share
    }

    /// Queues an image. One that finds no room is dropped and counted; nobody waits.
    pub(super) fn offer(&self, model: &Model, image: ShadowedImage) {
        self.shared.record().counts.sampled += 1;
        match self.images.try_send(image) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.shared.record().counts.dropped += 1;
                self.metrics.shadow_image(model.name().as_str(), ShadowOutcome::Discarded);
            }
        }
    }

    /// What it has counted.
    pub(super) fn report(&self) -> ShadowReport {
        let (state, reason) = self.shared.state().clone();
        ShadowReport { variant: self.shared.variant.get().copied(), ..self.shared.record().report(state, reason) }
    }
}

impl SharedRecord {
    fn record(&self) -> MutexGuard<'_, ShadowRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, (ShadowState, Option<String>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
