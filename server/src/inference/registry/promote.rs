//! Letting a version answer: it is loaded and tested before the choice is written, so that a failure changes nothing.

use std::sync::Arc;
use std::time::Instant;

use thiserror::Error;

use super::Registry;
use super::demand::{MemoryNeed, OwnVersion, close};
use super::scan::blocking;
use crate::inference::model::Model;
use crate::inference::status::{LoadOutcome, ModelDescription, ModelStatus, Presence, Slot};
use crate::store::{Availability, ModelEntry, ModelName, StoreError};

/// Why a version does not answer. The one before it goes on.
#[derive(Debug, Error)]
pub enum PromoteError {
    /// There is no such version, or the choice cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It does not open, or does not reproduce its golden answers.
    #[error("version {version} of `{name}` cannot serve: {reason}; the version before it goes on answering")]
    Refused {
        /// The model.
        name: ModelName,
        /// The one that was to be live.
        version: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// The memory budget does not hold the version beside the one that answers.
    #[error(
        "the memory budget has no room for version {version} of `{name}` beside the version that answers; raise \
         --memory-budget, or unload the model first with `POST /models/{name}/unload`, which stops its answers until it is \
         loaded again"
    )]
    NoRoom {
        /// The model.
        name: ModelName,
        /// The one that was to be live.
        version: u32,
    },
    /// The version whose place it was to take is not live.
    #[error(
        "version {version} of `{name}` was to take the place of version {replaced}, but version {live} is live and goes on answering"
    )]
    Superseded {
        /// The model.
        name: ModelName,
        /// The one that was to be live.
        version: u32,
        /// The version whose place it was to take.
        replaced: u32,
        /// The live version.
        live: u32,
    },
    /// The work was not done.
    #[error("the promotion was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// A version that is to answer.
struct LiveChoice {
    name: ModelName,
    version: u32,
    /// The version in whose place alone it may.
    replaces: Option<u32>,
}

/// A version that has passed its tests.
enum Candidate {
    /// It answers already.
    Answers,
    /// It has no classes, and nothing to answer.
    Backbone(Arc<ModelDescription>),
    Ready(Model, Arc<ModelDescription>),
}

impl Registry {
    /// Lets a version answer: a newer one, or one from before. It is loaded and passes its self-test while the other answers;
    /// then the choice is written and requests go to it. Requests in flight end with the version that they began with. It
    /// goes on when nobody waits for it any more.
    ///
    /// # Errors
    /// [`PromoteError`]; nothing has changed then.
    pub async fn promote(&self, name: &ModelName, version: u32) -> Result<ModelStatus, PromoteError> {
        self.choose(LiveChoice { name: name.clone(), version, replaces: None }).await
    }

    /// Lets a version answer in the place of another, as [`promote`](Self::promote) does, unless a third is live by then.
    ///
    /// # Errors
    /// [`PromoteError`]; nothing has changed then.
    pub async fn replace(&self, name: &ModelName, live: u32, version: u32) -> Result<ModelStatus, PromoteError> {
        self.choose(LiveChoice { name: name.clone(), version, replaces: Some(live) }).await
    }

    async fn choose(&self, choice: LiveChoice) -> Result<ModelStatus, PromoteError> {
        let registry = self.clone();
        tokio::spawn(async move { registry.promote_now(&choice).await }).await?
    }

    async fn promote_now(&self, choice: &LiveChoice) -> Result<ModelStatus, PromoteError> {
        let LiveChoice { name, version, replaces } = choice;
        let (version, replaces) = (*version, *replaces);
        let _one_at_a_time = self.0.loading.lock().await;
        let (store, known) = (self.0.store.clone(), name.clone());
        let versions = blocking(move || {
            store.resolve(&known, Some(version))?;
            Ok((store.versions(&known)?, store.resolve(&known, None)?))
        });
        let (versions, live) = versions.await?;
        if replaces.is_some_and(|replaced| ![replaced, version].contains(&live)) {
            return Err(choice.superseded(live));
        }
        let started = Instant::now();
        let candidate = self.candidate(name, version).await?;
        let (store, chosen) = (self.0.store.clone(), name.clone());
        let written = blocking(move || {
            let is_live = match replaces {
                Some(replaced) => store.replace_live(&chosen, replaced, version)?,
                None => store.set_live(&chosen, version).map(|()| true)?,
            };
            Ok((is_live, store.settings(&chosen)?))
        });
        let settings = match written.await {
            Ok((true, settings)) => settings,
            refused => {
                if let Candidate::Ready(model, _) = candidate {
                    close(model).await;
                }
                let (_, settings) = refused?;
                return Err(choice.superseded(settings.live.unwrap_or(live)));
            }
        };
        let (status, unused) = self.swap(name, candidate, ModelEntry { name: name.clone(), versions, settings });
        if let Some(model) = unused {
            close(model).await;
        }
        self.0.changes.send_replace(());
        self.follow_shadows().await;
        tracing::info!(%name, version, duration_ms = started.elapsed().as_millis() as u64, "a version is live");
        Ok(status)
    }

    /// Lets the candidate answer from now on. A model that is not to be served is given back.
    fn swap(&self, name: &ModelName, candidate: Candidate, found: ModelEntry) -> (ModelStatus, Option<Model>) {
        let mut slots = self.write();
        let slot = slots.entry(name.clone()).or_default();
        let served = found.settings.availability == Availability::Served;
        (slot.versions, slot.settings) = (found.versions, found.settings);
        let unused = match candidate {
            Candidate::Answers => {
                if let Some(version) = slot.loaded().map(|model| model.version()) {
                    slot.attempt = LoadOutcome::Passed(version);
                }
                None
            }
            Candidate::Backbone(description) => {
                slot.attempt = LoadOutcome::Backbone(description.version);
                (slot.presence, slot.description) = (Presence::Absent, Some(description));
                None
            }
            Candidate::Ready(model, description) => {
                slot.description = Some(description);
                match served {
                    true => {
                        slot.attempt = LoadOutcome::Passed(model.version());
                        slot.presence = Presence::Loaded(Arc::new(model));
                        self.0.starter.options.metrics.model_loaded(name.as_str());
                        None
                    }
                    false => Some(model),
                }
            }
        };
        (slot.status(name), unused)
    }

    /// Opens and tests a version beside the one that answers.
    async fn candidate(&self, name: &ModelName, version: u32) -> Result<Candidate, PromoteError> {
        let refused = |reason: String| PromoteError::Refused { name: name.clone(), version, reason };
        let answers = |slot: &Slot| slot.answering().is_some_and(|model| model.version() == version);
        if self.read().get(name).is_some_and(answers) {
            return Ok(Candidate::Answers);
        }
        self.reserve_beside(name, version).await?;
        let mut stored = self.stored(name, version).await.map_err(refused)?;
        let report = stored.report.take();
        let description = Arc::new(ModelDescription { version, spec: stored.spec.clone(), report });
        if stored.spec.labels.is_none() {
            return Ok(Candidate::Backbone(description));
        }
        let model = Model::start(stored, &self.0.starter).await.map_err(refused)?;
        if let Some(budget) = &self.0.budget {
            budget.note(name, version, model.memory());
            let need = MemoryNeed { name, bytes: model.memory(), own: OwnVersion::Stays };
            if !self.make_room(need).await {
                close(model).await;
                return Err(PromoteError::NoRoom { name: name.clone(), version });
            }
        }
        Ok(Candidate::Ready(model, description))
    }

    /// Makes room for a version beside the one that answers.
    async fn reserve_beside(&self, name: &ModelName, version: u32) -> Result<(), PromoteError> {
        let Some(budget) = &self.0.budget else { return Ok(()) };
        let (store, stored_name) = (self.0.store.clone(), name.clone());
        let size = blocking(move || store.file_size(&stored_name, version)).await?;
        let checked = budget.check(name, version, size);
        checked.map_err(|reason| PromoteError::Refused { name: name.clone(), version, reason })?;
        let bytes = budget.expected(name, version, size);
        match self.make_room(MemoryNeed { name, bytes, own: OwnVersion::Stays }).await {
            true => Ok(()),
            false => Err(PromoteError::NoRoom { name: name.clone(), version }),
        }
    }
}

impl LiveChoice {
    fn superseded(&self, live: u32) -> PromoteError {
        let (name, version, replaced) = (self.name.clone(), self.version, self.replaces.unwrap_or(live));
        PromoteError::Superseded { name, version, replaced, live }
    }
}
