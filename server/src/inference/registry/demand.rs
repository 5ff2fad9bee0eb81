//! Models within a memory budget: loaded when a request asks for them, unloaded when others need the room.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout_at};

use super::Registry;
use super::lookup::{Classifier, LookupError};
use super::scan::{LoadOrder, blocking};
use crate::allocator;
use crate::inference::model::Model;
use crate::inference::status::{Presence, Slot};
use crate::store::ModelName;

/// How often a load that finds no room looks whether a model has become idle.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A client that is told to come back does so within this time; a load for others comes too late.
const STALE: Duration = Duration::from_secs(10);

/// The memory that a version needs.
#[derive(Clone, Copy)]
pub(super) struct MemoryNeed<'a> {
    pub(super) name: &'a ModelName,
    pub(super) bytes: u64,
    /// Of the version of the same model that is loaded.
    pub(super) own: OwnVersion,
}

/// Whether the version of the same model that is loaded makes room too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnVersion {
    /// It does, after all others.
    Goes,
    /// It answers until the other does.
    Stays,
}

/// What there is to do for a model that needs room.
enum Room {
    Enough,
    Unload(Model),
    /// Every model that is loaded has requests in flight.
    InUse,
}

impl Registry {
    /// Loads a model and waits for it.
    pub(super) async fn load_on_demand(&self, name: &ModelName, deadline: Instant) -> Result<Arc<Model>, LookupError> {
        let deadline = deadline.min(Instant::now() + self.0.starter.options.memory.load_wait);
        let _waiter = self.read().get(name).map(|slot| Waiter::new(&slot.waiters));
        let mut changes = self.0.changes.subscribe();
        loop {
            match self.find(Some(name.as_str()))? {
                Classifier::Loaded(model) => return Ok(model),
                Classifier::Unloaded(_) => self.request_load(name),
            }
            if timeout_at(deadline.into(), changes.changed()).await.is_err() {
                return Err(LookupError::Loading(name.clone()));
            }
        }
    }

    /// Begins to load a model, unless that has begun. The load goes on when the request that asked for it is given up.
    fn request_load(&self, name: &ModelName) {
        let mut requested = false;
        self.update(name, |slot| {
            if let Presence::Unloaded(version) = slot.presence {
                (slot.presence, requested) = (Presence::Loading(version), true);
            }
        });
        if requested {
            let (registry, name) = (self.clone(), name.clone());
            tokio::spawn(async move { registry.load_requested(&name).await });
        }
    }

    /// Loads the version that was loaded last, or one before it. A model that nobody has asked for in the meantime
    /// is left alone, so that loads which come too late do not push out what others use.
    async fn load_requested(&self, name: &ModelName) {
        let _one_at_a_time = self.0.loading.lock().await;
        let (mut due, now) = (None, self.now());
        self.update(name, |slot| {
            if let Presence::Loading(newest) = slot.presence {
                let age = now.saturating_sub(slot.used.load(Ordering::Relaxed));
                if slot.is_awaited() || u128::from(age) < STALE.as_micros() {
                    due = Some(slot.versions.iter().copied().filter(|version| *version <= newest).collect());
                } else {
                    slot.presence = Presence::Unloaded(newest);
                }
            }
        });
        match due {
            Some(candidates) => self.load(LoadOrder { name: name.clone(), candidates }).await,
            None => {
                self.0.changes.send_replace(());
            }
        }
    }

    /// Whether the model's versions are to be loaded now. Within a budget, only where a request waits for the model or an
    /// older version is loaded.
    pub(super) fn is_wanted(&self, name: &ModelName) -> bool {
        let wanted = |slot: &Slot| matches!(slot.presence, Presence::Loading(_) | Presence::Loaded(_));
        self.0.budget.is_none() || self.read().get(name).is_some_and(wanted)
    }

    /// Makes room for a version. `false` when there is none for now.
    pub(super) async fn reserve(&self, name: &ModelName, version: u32) -> Result<bool, String> {
        let Some(budget) = &self.0.budget else { return Ok(true) };
        let (store, stored_name) = (self.0.store.clone(), name.clone());
        let size = blocking(move || store.file_size(&stored_name, version)).await.map_err(|error| error.to_string())?;
        budget.check(name, version, size)?;
        let bytes = budget.expected(name, version, size);
        Ok(self.make_room(MemoryNeed { name, bytes, own: OwnVersion::Goes }).await)
    }

    /// Refuses a version that the whole budget could not hold.
    pub(super) fn check_size(&self, name: &ModelName, version: u32, file: u64) -> Result<(), String> {
        self.0.budget.as_ref().map_or(Ok(()), |budget| budget.check(name, version, file))
    }

    /// Takes a model that is loaded at what it was measured to take. `None` when there turns out to be no room for now.
    pub(super) async fn accept(&self, model: Model) -> Result<Option<Model>, String> {
        let Some(budget) = &self.0.budget else { return Ok(Some(model)) };
        let (name, version, bytes) = (model.name().clone(), model.version(), model.memory());
        budget.note(&name, version, bytes);
        let checked = budget.check(&name, version, bytes);
        if checked.is_ok() && self.make_room(MemoryNeed { name: &name, bytes, own: OwnVersion::Goes }).await {
            return Ok(Some(model));
        }
        close(model).await;
        checked.map(|()| None)
    }

    /// Unloads the models that were used the longest ago until so many bytes fit. Waits for models with requests in flight
    /// while somebody waits for this one.
    pub(super) async fn make_room(&self, need: MemoryNeed<'_>) -> bool {
        loop {
            match self.room(need) {
                Room::Enough => return true,
                Room::Unload(model) => {
                    tracing::info!(name = %model.name(), version = model.version(), "a model is unloaded");
                    self.0.starter.options.metrics.model_unloaded(model.name().as_str());
                    close(model).await;
                }
                Room::InUse if self.read().get(need.name).is_some_and(Slot::is_awaited) => sleep(LOOK_EVERY).await,
                Room::InUse => return false,
            }
        }
    }

    /// A model is idle when nobody but the registry holds it: requests hold it from their admission to their answer. An older
    /// version of the model that needs the room comes last.
    fn room(&self, MemoryNeed { name, bytes, own }: MemoryNeed<'_>) -> Room {
        let Some(budget) = &self.0.budget else { return Room::Enough };
        let mut slots = self.write();
        let used: u64 = slots.values().map(Slot::memory).sum();
        if used.saturating_add(bytes) <= budget.limit() {
            return Room::Enough;
        }
        let idle = slots.iter_mut().filter(|(other, slot)| {
            let may_go = own == OwnVersion::Goes || *other != name;
            may_go && slot.loaded().is_some_and(|model| Arc::strong_count(model) == 1)
        });
        let oldest = idle.min_by_key(|(other, slot)| (*other == name, slot.used.load(Ordering::Relaxed)));
        oldest.and_then(|(_, slot)| slot.unload()).map_or(Room::InUse, Room::Unload)
    }
}

/// Ends a model and gives its memory back to the system.
pub(super) async fn close(model: Model) {
    model.close().await;
    allocator::trim();
}

/// A request that waits for a model.
struct Waiter(Arc<AtomicUsize>);

impl Waiter {
    fn new(waiters: &Arc<AtomicUsize>) -> Self {
        waiters.fetch_add(1, Ordering::Relaxed);
        Self(waiters.clone())
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
