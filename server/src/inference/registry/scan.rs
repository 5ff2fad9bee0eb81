//! Following the store: versions that are to answer are opened and tested.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use super::Registry;
use crate::inference::model::Model;
use crate::inference::status::{LoadOutcome, ModelDescription, ModelState, Presence, Slot};
use crate::store::{Availability, Listing, ModelEntry, ModelName, StoreError, StoredModel};

/// How soon a version that another process has published is found.
const SCAN_EVERY: Duration = Duration::from_secs(2);

/// Versions of a model of which one is to answer.
pub(super) struct LoadOrder {
    pub(super) name: ModelName,
    /// The last that passes its self-test answers.
    pub(super) candidates: Vec<u32>,
}

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
    /// Looks for what was published and decided since, opens and tests the versions that are to answer, and lets those that
    /// pass answer. With a memory budget, models that are not loaded are only read.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be listed.
    pub async fn scan(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.0.loading.lock().await;
        let store = self.0.store.clone();
        let (listing, default) = blocking(move || Ok((store.list()?, store.default_model()?))).await?;
        *self.0.default.write().unwrap_or_else(PoisonError::into_inner) = default;
        for order in self.note(&listing) {
            self.load(order).await;
        }
        for name in self.undescribed() {
            self.describe(&name).await;
        }
        self.follow_shadows().await;
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

    /// Takes over what the store holds, and returns the models whose live version is another, or found no room the last time. A
    /// model whose folder cannot be read for now answers on.
    fn note(&self, listing: &Listing) -> Vec<LoadOrder> {
        self.warn(listing);
        let mut slots = self.write();
        let names = listing.models.iter().map(|entry| &entry.name);
        let unreadable = listing.unreadable.iter().map(|(name, _)| name);
        slots.retain(|name, _| {
            names.clone().any(|other| other == name) || unreadable.clone().any(|other| other == name)
        });
        let orders = listing.models.iter().filter_map(|entry| {
            let slot = slots.entry(entry.name.clone()).or_default();
            let candidates = slot.follow(entry)?;
            Some(LoadOrder { name: entry.name.clone(), candidates })
        });
        orders.collect()
    }

    /// Stopped models about which nothing is known yet.
    fn undescribed(&self) -> Vec<ModelName> {
        let slots = self.read();
        let undescribed = |slot: &Slot| {
            let described = slot.description.as_ref().map(|description| description.version);
            slot.state() == ModelState::Stopped && described != slot.settings.live_of(&slot.versions)
        };
        slots.iter().filter(|(_, slot)| undescribed(slot)).map(|(name, _)| name.clone()).collect()
    }

    /// Reads what the live version of a model that is not served says of itself.
    async fn describe(&self, name: &ModelName) {
        let Some(version) = self.read().get(name).and_then(|slot| slot.settings.live_of(&slot.versions)) else {
            return;
        };
        match self.stored(name, version).await {
            Ok(stored) => self.update(name, |slot| {
                let (spec, report) = (stored.spec, stored.report);
                slot.description = Some(Arc::new(ModelDescription { version, spec, report }));
            }),
            Err(reason) => tracing::warn!(%name, version, reason, "a model that is not served cannot be read"),
        }
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

    /// The last of these versions that passes its self-test answers. What came of the very last is what the model's status
    /// tells.
    pub(super) async fn load(&self, LoadOrder { name, candidates }: LoadOrder) {
        let (mut newest, mut found) = (None, false);
        for version in candidates.into_iter().rev() {
            found = self.read().get(&name).and_then(Slot::answering).is_some_and(|model| model.version() == version);
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

    pub(super) async fn stored(&self, name: &ModelName, version: u32) -> Result<StoredModel, String> {
        let (store, name) = (self.0.store.clone(), name.clone());
        let read = blocking(move || store.read(&name, version)).await;
        read.map_err(|error| error.to_string())
    }
}

impl Slot {
    /// Takes over what the store holds of the model. The versions of which one is to answer from now on, if that is not settled.
    fn follow(&mut self, ModelEntry { versions, settings, .. }: &ModelEntry) -> Option<Vec<u32>> {
        let live = settings.live_of(versions)?;
        self.versions.clone_from(versions);
        self.adopt(settings);
        if settings.availability == Availability::Stopped {
            // Requests in flight hold the model until they are answered.
            (self.presence, self.attempt) = (Presence::Absent, LoadOutcome::default());
            return None;
        }
        if self.attempt != LoadOutcome::Loading(live) && self.attempt.version() == live {
            return None;
        }
        self.attempt = LoadOutcome::Loading(live);
        // A version that was chosen and fails leaves the one that answers, whichever it is.
        let answers = settings.live.is_some() && self.answering().is_some();
        let before = versions.iter().copied().filter(|version| *version < live && !answers);
        Some(before.chain([live]).collect())
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
