//! Following the store: versions that appear are opened and tested, newest first.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use super::Registry;
use crate::inference::model::Model;
use crate::inference::status::{LoadOutcome, ModelDescription, Presence, Slot};
use crate::store::{Listing, ModelEntry, ModelName, StoreError, StoredModel};

/// How soon a version that another process has published is found.
const SCAN_EVERY: Duration = Duration::from_secs(2);

/// What became of a version that was opened.
enum Opened {
    Backbone,
    /// It is loaded when a request asks for it.
    Unloaded,
    /// The memory budget has no room for it now.
    NoRoom,
    Ready(Model, Arc<ModelDescription>),
}

impl Registry {
    /// Looks for versions that appeared since, opens and tests them, and lets those that pass answer: of each model the
    /// newest version that passes. With a memory budget, models that are not loaded are only read.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be listed.
    pub async fn scan(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.0.loading.lock().await;
        let store = self.0.store.clone();
        let listing = blocking(move || store.list()).await?;
        for entry in self.note(&listing) {
            self.load(entry).await;
        }
        self.0.scanned.store(true, Ordering::Release);
        Ok(())
    }

    /// Scans again and again, until the future is dropped.
    pub async fn watch(&self) {
        let mut last_error = None;
        loop {
            let error = self.scan().await.err().map(|error| error.to_string());
            if let Some(error) = error.as_ref().filter(|_| error != last_error) {
                tracing::error!(error, "the model store cannot be read");
            }
            last_error = error;
            tokio::time::sleep(SCAN_EVERY).await;
        }
    }

    /// Takes over what the store holds, and returns the models that have a new version, or one that found no room the last
    /// time. A model whose folder cannot be read for now answers on.
    fn note(&self, listing: &Listing) -> Vec<ModelEntry> {
        self.warn(listing);
        let mut slots = self.write();
        let names = listing.models.iter().map(|entry| &entry.name);
        let unreadable = listing.unreadable.iter().map(|(name, _)| name);
        slots.retain(|name, _| {
            names.clone().any(|other| other == name) || unreadable.clone().any(|other| other == name)
        });
        let mut due = Vec::new();
        for ModelEntry { name, versions } in &listing.models {
            let Some(&newest) = versions.last() else { continue };
            let slot = slots.entry(name.clone()).or_default();
            slot.versions.clone_from(versions);
            if slot.attempt != LoadOutcome::Loading(newest) && slot.attempt.version() == newest {
                continue;
            }
            slot.attempt = LoadOutcome::Loading(newest);
            due.push(ModelEntry { name: name.clone(), versions: versions.clone() });
        }
        due
    }

    /// Tells the log what is no model, once.
    fn warn(&self, listing: &Listing) {
        let problems: Vec<String> = listing.unreadable.iter().map(|(_, error)| error.to_string()).collect();
        let mut known = self.0.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        for problem in problems.iter().filter(|problem| !known.contains(problem)) {
            tracing::warn!(problem, "this is not a model, or it cannot be read; the other models are not touched");
        }
        *known = problems;
    }

    /// The newest of these versions that passes its self-test answers. What came of the newest of all is what the model's
    /// status tells.
    pub(super) async fn load(&self, ModelEntry { name, versions }: ModelEntry) {
        let (mut newest, mut found) = (None, false);
        for version in versions.into_iter().rev() {
            found = self.read().get(&name).and_then(Slot::loaded).is_some_and(|model| model.version() == version);
            if found {
                break;
            }
            let outcome = self.load_version(&name, version).await;
            found = !matches!(outcome, LoadOutcome::Failed(..));
            newest.get_or_insert(outcome);
            if found {
                break;
            }
        }
        self.update(&name, |slot| {
            if let Some(outcome) = newest.filter(|outcome| outcome.version() == slot.attempt.version()) {
                slot.attempt = outcome;
            }
            if !found && slot.loaded().is_none() {
                slot.presence = Presence::Absent;
            }
        });
        self.0.changes.send_replace(());
    }

    async fn load_version(&self, name: &ModelName, version: u32) -> LoadOutcome {
        let started = Instant::now();
        match self.open(name, version).await {
            Ok(Opened::Ready(model, description)) => {
                let (duration_ms, memory) = (started.elapsed().as_millis() as u64, model.memory());
                tracing::info!(%name, version, duration_ms, memory, "a model is ready");
                self.0.starter.options.metrics.model_loaded(name.as_str());
                self.update(name, |slot| {
                    (slot.presence, slot.description) = (Presence::Loaded(Arc::new(model)), Some(description));
                });
                LoadOutcome::Passed(version)
            }
            Ok(Opened::Backbone) => LoadOutcome::Backbone(version),
            Ok(Opened::Unloaded) => LoadOutcome::Untested(version),
            Ok(Opened::NoRoom) => {
                self.update(name, |slot| slot.leave_unloaded(version));
                LoadOutcome::Loading(version)
            }
            Err(reason) => {
                tracing::error!(%name, version, reason, "a model cannot serve");
                LoadOutcome::Failed(version, reason)
            }
        }
    }

    /// An error is the reason why the version cannot serve.
    async fn open(&self, name: &ModelName, version: u32) -> Result<Opened, String> {
        let wanted = self.is_wanted(name);
        if wanted && !self.reserve(name, version).await? {
            return Ok(Opened::NoRoom);
        }
        let mut stored = self.stored(name, version).await?;
        let description =
            Arc::new(ModelDescription { version, spec: stored.spec.clone(), report: stored.report.take() });
        let backbone = description.spec.labels.is_none();
        self.update(name, |slot| {
            if backbone {
                slot.presence = Presence::Absent;
            }
            if slot.loaded().is_none() {
                slot.description = Some(description.clone());
            }
        });
        if backbone {
            return Ok(Opened::Backbone);
        }
        if !wanted {
            self.check_size(name, version, stored.onnx.len() as u64)?;
            self.update(name, |slot| slot.presence = Presence::Unloaded(version));
            return Ok(Opened::Unloaded);
        }
        let model = Model::start(stored, &self.0.starter).await?;
        match self.accept(model).await? {
            Some(model) => Ok(Opened::Ready(model, description)),
            None => Ok(Opened::NoRoom),
        }
    }

    async fn stored(&self, name: &ModelName, version: u32) -> Result<StoredModel, String> {
        let (store, name) = (self.0.store.clone(), name.clone());
        let read = blocking(move || store.read(&name, version)).await;
        read.map_err(|error| error.to_string())
    }
}

/// Runs what waits for the disk off the threads that answer requests.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(StoreError::Io { path: "models".into(), source: std::io::Error::other(error.to_string()) })
    })
}
