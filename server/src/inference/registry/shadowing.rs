//! Shadows: started and ended as people decide, and given a sample of the images that their models answer.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Instant;

use bytes::Bytes;
use models::preprocess::Limits;

use super::scan::blocking;
use super::{Inner, Registry};
use crate::inference::model::Model;
use crate::inference::shadow::{LiveAnswer, Shadow, ShadowSlot, ShadowStart, ShadowedImage};
use crate::inference::status::Slot;
use crate::inference::{Decoder, InferenceResult, ShadowAnswer, ShadowReport};
use crate::store::{Availability, ModelName, ShadowSettings};

/// The images of a request that a shadow is to be given, once the live version has answered them.
pub struct ShadowSample {
    shadow: Arc<Shadow>,
    /// With their places in the request, from 0.
    images: Vec<(usize, Bytes)>,
    /// What images may be.
    limits: Limits,
}

impl Registry {
    /// What the shadow of a model has counted; `None` where there is no shadow.
    #[must_use]
    pub fn shadow(&self, name: &ModelName) -> Option<ShadowReport> {
        let slots = self.read();
        match &slots.get(name)?.shadow {
            ShadowSlot::Absent => None,
            ShadowSlot::Running(shadow) => Some(shadow.report()),
            ShadowSlot::Waiting(settings, reason) => Some(ShadowReport::waiting(settings, reason)),
        }
    }

    /// Chooses those of a request's images that the shadow of its model is to answer too, decoded within the same limits. A variant that
    /// a request asked for by name is no measure of the live version.
    #[must_use]
    pub fn shadow_sample(&self, model: &Model, images: &[Bytes], decoder: &Decoder) -> Option<ShadowSample> {
        let shadow = {
            let slots = self.read();
            let slot = slots.get(model.name())?;
            let is_live = slot.loaded().is_some_and(|live| std::ptr::eq(&raw const **live, model));
            slot.shadow.running().filter(|_| is_live)?.clone()
        };
        let chosen = images.iter().enumerate().filter(|_| shadow.wants_next());
        let images: Vec<(usize, Bytes)> = chosen.map(|(place, image)| (place, image.clone())).collect();
        (!images.is_empty()).then(|| ShadowSample { shadow, images, limits: decoder.limits() })
    }

    /// Starts the shadows that were decided, and ends those that were not.
    pub(super) async fn follow_shadows(&self) {
        let mut due = Vec::new();
        for (name, slot) in self.write().iter_mut() {
            let served = slot.settings.availability == Availability::Served;
            let decided = slot.settings.shadow.filter(|_| served);
            match decided {
                None => slot.shadow = ShadowSlot::Absent,
                Some(decided) if slot.shadow.running().is_some() && slot.shadow.settings() == Some(decided) => {}
                Some(decided) => {
                    slot.shadow = ShadowSlot::Absent;
                    due.push((name.clone(), decided));
                }
            }
        }
        for (name, decided) in due {
            let slot = match self.start_shadow(&name, decided).await {
                Ok(shadow) => ShadowSlot::Running(Arc::new(shadow)),
                Err(reason) => ShadowSlot::Waiting(decided, reason),
            };
            self.update(&name, |found| found.shadow = slot);
        }
    }

    async fn start_shadow(&self, name: &ModelName, settings: ShadowSettings) -> Result<Shadow, String> {
        let memory = self.shadow_memory(name, settings.version).await?;
        let stored = self.stored(name, settings.version).await?;
        let registry = Arc::downgrade(&self.0);
        let start = ShadowStart {
            settings,
            stored,
            open: self.0.starter.open_alone.clone(),
            memory,
            store: self.0.store.clone(),
            max_accuracy_drop: self.0.starter.options.max_accuracy_drop,
            busy: Arc::new(move || is_busy(&registry)),
            metrics: self.0.starter.options.metrics.clone(),
        };
        Shadow::start(start)
    }

    /// What the shadow will take in memory. It unloads no model to make room.
    async fn shadow_memory(&self, name: &ModelName, version: u32) -> Result<u64, String> {
        let (store, stored_name) = (self.0.store.clone(), name.clone());
        let size = blocking(move || store.file_size(&stored_name, version)).await.map_err(|error| error.to_string())?;
        let Some(budget) = &self.0.budget else { return Ok(size) };
        let needed = budget.expected(name, version, size);
        let used: u64 = self.read().values().map(Slot::memory).sum();
        match used.saturating_add(needed) <= budget.limit() {
            true => Ok(needed),
            false => Err(format!(
                "the memory budget has no room for it beside the models that are loaded: it takes about {} MB; raise \
                 --memory-budget, or unload a model",
                needed.div_ceil(1 << 20)
            )),
        }
    }
}

/// Whether a model has requests in flight: they hold it from their admission to their answer.
fn is_busy(registry: &Weak<Inner>) -> bool {
    let Some(inner) = registry.upgrade() else { return false };
    let slots = inner.slots.read().unwrap_or_else(PoisonError::into_inner);
    slots.values().filter_map(Slot::loaded).any(|model| Arc::strong_count(model) > 1)
}

impl ShadowSample {
    /// Queues the images with what the live version said to them. Those that it could not use are passed over.
    pub fn answered(self, model: &Model, result: &InferenceResult, request_id: &str) {
        let labels = model.labels();
        for (place, bytes) in self.images {
            let Some(Ok(logits)) = result.logits.get(place) else { continue };
            let answer = ShadowAnswer::new(logits, model.scores(), &labels);
            let image = ShadowedImage {
                request_id: request_id.to_owned(),
                number: place + 1,
                bytes,
                limits: self.limits,
                live: LiveAnswer { version: model.version(), answer, inference: result.inference },
                at: Instant::now(),
            };
            self.shadow.offer(model, image);
        }
    }
}
