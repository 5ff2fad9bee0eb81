//! The thread of a shadow.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use onnx::Engine;
use sha2::{Digest, Sha256};

use super::counts::Disagreement;
use super::record::Comparison;
use super::report::ShadowState;
use super::{LiveAnswer, ShadowAnswer, ShadowedImage, SharedRecord};
use crate::failure::{chain, panic_message};
use crate::inference::admission::Throughput;
use crate::inference::opener::Opener;
use crate::inference::run::logits;
use crate::inference::self_test::self_test;
use crate::inference::variants::{VariantChoice, VariantContext, choose};
use crate::metrics::{Metrics, ShadowOutcome};
use crate::store::{ModelStore, StoredModel};

/// How long an image waits for a moment without requests.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often that moment is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How often what was counted goes to the disk.
const SAVE_EVERY: Duration = Duration::from_secs(2);
/// The lowest priority that there is: a thread with requests to answer gets all of the processor that it can use.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 19;

/// What the thread works with.
pub(super) struct ShadowWorker {
    pub(super) stored: StoredModel,
    pub(super) open: Opener,
    pub(super) store: ModelStore,
    pub(super) max_accuracy_drop: f64,
    pub(super) busy: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(super) queue: Receiver<ShadowedImage>,
    pub(super) shared: Arc<SharedRecord>,
    pub(super) metrics: Metrics,
}

impl ShadowWorker {
    /// Works until nobody can queue anything any more.
    pub(super) fn work(self) {
        // On Linux a thread has a priority of its own.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::warn!(%error, "the thread of a shadow keeps its priority");
        }
        let opened = catch_unwind(AssertUnwindSafe(|| self.ready()));
        let mut engine = match opened {
            Ok(Ok(engine)) => engine,
            Ok(Err(reason)) => return self.fail(reason),
            Err(panic) => return self.fail(format!("the engine panicked: {}", panic_message(&*panic))),
        };
        *self.shared.state() = (ShadowState::Running, None);
        let (mut saved, mut changed) = (Instant::now(), false);
        loop {
            match self.queue.recv_timeout(SAVE_EVERY) {
                Ok(image) => {
                    changed = true;
                    let answered = catch_unwind(AssertUnwindSafe(|| self.answer(&mut *engine, &image)));
                    if let Err(panic) = answered {
                        return self.fail(format!("the engine panicked: {}", panic_message(&*panic)));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if changed && saved.elapsed() >= SAVE_EVERY {
                self.save();
                (saved, changed) = (Instant::now(), false);
            }
        }
        if changed {
            self.save();
        }
    }

    /// Chooses the variant, opens its engine and tests it, as for a version that is to be live.
    fn ready(&self) -> Result<Box<dyn Engine>, String> {
        let Self { stored, open, store, max_accuracy_drop, shared, .. } = self;
        let context = VariantContext { open, store, max_batch: 1, max_accuracy_drop: *max_accuracy_drop };
        let VariantChoice { faster, .. } = choose(stored, &context);
        let stored = faster.as_ref().unwrap_or(stored);
        let mut engine = open(&stored.onnx).map_err(|error| error.to_string())?.wide;
        self_test(&mut *engine, stored, 1, &Throughput::default())?;
        shared.variant.get_or_init(|| stored.variant);
        Ok(engine)
    }

    fn fail(&self, reason: String) {
        let (name, version) = (&self.stored.name, self.stored.version);
        tracing::error!(%name, version, reason, "a shadow cannot answer");
        *self.shared.state() = (ShadowState::Failed, Some(reason));
        self.save();
    }

    /// Waits for a moment without requests, then answers the image and compares.
    fn answer(&self, engine: &mut dyn Engine, image: &ShadowedImage) {
        self.shared.record().compare_with(image.live.version);
        while (self.busy)() {
            if image.at.elapsed() > PATIENCE {
                self.shared.record().counts.dropped += 1;
                return self.count(ShadowOutcome::Discarded);
            }
            sleep(LOOK_EVERY);
        }
        match self.compare(engine, image) {
            Ok(comparison) => {
                let agreed = self.shared.record().add(comparison);
                self.count(if agreed { ShadowOutcome::Agreed } else { ShadowOutcome::Disagreed });
            }
            Err(reason) => {
                tracing::debug!(request_id = image.request_id, reason, "a shadow does not answer an image");
                self.shared.record().counts.failed += 1;
                self.count(ShadowOutcome::Failed);
            }
        }
    }

    fn compare(&self, engine: &mut dyn Engine, image: &ShadowedImage) -> Result<Comparison, String> {
        let ShadowedImage { request_id, number, bytes, limits, live, .. } = image;
        let LiveAnswer { answer, inference, .. } = live;
        let spec = &self.stored.spec;
        let labels = spec.labels.as_ref().ok_or("it has no classes")?;
        let input = spec.preprocess.apply(bytes, limits).map_err(|error| error.to_string())?;
        let started = Instant::now();
        let rows = logits(engine, vec![input], labels.len())?;
        let shadow_ms = millis(started.elapsed());
        let disagreement = Disagreement {
            at: Timestamp::now(),
            request_id: request_id.clone(),
            image: *number,
            sha256: hex::encode(Sha256::digest(bytes)),
            live: answer.clone(),
            shadow: ShadowAnswer::new(&rows[0], &spec.scores, labels),
        };
        Ok(Comparison { disagreement, live_ms: millis(*inference), shadow_ms })
    }

    fn count(&self, outcome: ShadowOutcome) {
        self.metrics.shadow_image(self.stored.name.as_str(), outcome);
    }

    /// Writes what was counted. A full disk costs what is counted until there is room again, if the server is killed before.
    fn save(&self) {
        let record = self.shared.record().clone();
        if let Err(error) = self.store.save_shadow(&self.stored.name, record.decided, &record) {
            tracing::warn!(cause = chain(&error), "what a shadow has counted cannot be saved");
        }
    }
}

fn millis(duration: Duration) -> f32 {
    duration.as_secs_f32() * 1000.0
}
