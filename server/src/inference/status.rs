//! What there is to say about a model.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use models::ModelSpec;
use serde::Serialize;
use trainer::finetune::report::FinetuneReport;
use utoipa::ToSchema;

use super::model::Model;
use super::plan::ServingPlan;
use super::shadow::ShadowSlot;
use crate::store::{Availability, ModelName, ModelSettings};

/// Whether a model answers requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ModelState {
    /// The server is loading and testing its first version.
    Loading,
    /// It answers, and has reproduced its golden answers on this engine.
    Ready,
    /// It answers: the first request that asks for it has it loaded and tested. For servers with a memory budget.
    Unloaded,
    /// It does not answer; `reason` says why.
    Failed,
    /// It has no classes and can only be fine-tuned.
    Backbone,
    /// It was unloaded by hand, and answers when it is loaded again.
    Stopped,
}

impl ModelState {
    /// Whether a request for the model is answered, if need be after a moment.
    #[must_use]
    pub fn answers(self) -> bool {
        matches!(self, Self::Ready | Self::Unloaded)
    }
}

/// A model as the outside sees it.
#[derive(Debug, Clone)]
pub struct ModelStatus {
    /// The model's name.
    pub name: ModelName,
    /// The versions in the store, ascending.
    pub versions: Vec<u32>,
    /// Whether it answers.
    pub state: ModelState,
    /// The version that is to answer: the one that was chosen, or the newest.
    pub live: Option<u32>,
    /// The version that answers; another than the live one while that is being loaded or has failed.
    pub serving: Option<u32>,
    /// Why it does not answer, or why its live version does not.
    pub reason: Option<String>,
    /// The version that answers, or else the last that could be read.
    pub description: Option<Arc<ModelDescription>>,
    /// What people decided about it.
    pub settings: ModelSettings,
    /// How the version that answers runs, while it is loaded.
    pub plan: Option<Arc<ServingPlan>>,
}

/// What a version says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelDescription {
    /// The version's number.
    pub version: u32,
    /// How to use it and where it came from.
    pub spec: ModelSpec,
    /// The report of the run, for a fine-tuned model.
    pub report: Option<FinetuneReport>,
}

/// A model in the registry.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) versions: Vec<u32>,
    /// What people decided about it.
    pub(super) settings: ModelSettings,
    /// What came of the live version.
    pub(super) attempt: LoadOutcome,
    /// Who answers; another version while the live one is loading or has failed.
    pub(super) presence: Presence,
    /// The version that answers copies of requests.
    pub(super) shadow: ShadowSlot,
    pub(super) description: Option<Arc<ModelDescription>>,
    /// When it was last asked for, in microseconds of the registry.
    pub(super) used: AtomicU64,
    /// Requests that wait until it is loaded.
    pub(super) waiters: Arc<AtomicUsize>,
}

/// Where the version that answers is.
#[derive(Default)]
pub(super) enum Presence {
    /// There is none.
    #[default]
    Absent,
    /// In the store; a request has it loaded.
    Unloaded(u32),
    /// A request has asked for it.
    Loading(u32),
    /// In memory.
    Loaded(Arc<Model>),
}

/// What came of a version.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LoadOutcome {
    Loading(u32),
    /// It can be read; its self-test comes when it is loaded.
    Untested(u32),
    Passed(u32),
    Failed(u32, String),
    Backbone(u32),
}

/// There is no version 0: this is due.
impl Default for LoadOutcome {
    fn default() -> Self {
        Self::Loading(0)
    }
}

impl LoadOutcome {
    pub(super) fn version(&self) -> u32 {
        match self {
            LoadOutcome::Loading(version)
            | LoadOutcome::Untested(version)
            | LoadOutcome::Passed(version)
            | LoadOutcome::Failed(version, _)
            | LoadOutcome::Backbone(version) => *version,
        }
    }
}

impl Slot {
    pub(super) fn status(&self, name: &ModelName) -> ModelStatus {
        let state = self.state();
        ModelStatus {
            name: name.clone(),
            versions: self.versions.clone(),
            state,
            live: self.settings.live_of(&self.versions),
            serving: self.version().filter(|_| state.answers()),
            reason: self.reason(),
            description: self.description.clone(),
            settings: self.settings.clone(),
            plan: self.loaded().map(|model| model.plan().clone()),
        }
    }

    pub(super) fn state(&self) -> ModelState {
        match (&self.attempt, &self.presence) {
            (_, Presence::Loaded(model)) if model.failure().is_some() => ModelState::Failed,
            (LoadOutcome::Backbone(_), _) => ModelState::Backbone,
            _ if self.settings.availability == Availability::Stopped => ModelState::Stopped,
            (_, Presence::Loaded(_)) => ModelState::Ready,
            (_, Presence::Unloaded(_)) => ModelState::Unloaded,
            (LoadOutcome::Failed(..), Presence::Absent) => ModelState::Failed,
            (_, Presence::Loading(_) | Presence::Absent) => ModelState::Loading,
        }
    }

    /// Takes over what people decided. Names of classes take effect at once.
    pub(super) fn adopt(&mut self, settings: &ModelSettings) {
        if self.settings == *settings {
            return;
        }
        self.settings.clone_from(settings);
        if let Some(model) = self.loaded()
            && let Some(labels) = settings.labels(model.version())
        {
            model.rename_classes(labels);
        }
        if let Some(description) = &mut self.description
            && let Some(labels) = settings.labels(description.version)
        {
            Arc::make_mut(description).spec.labels = Some(labels);
        }
    }

    /// The model, if it is in memory and has not failed.
    pub(super) fn answering(&self) -> Option<&Arc<Model>> {
        self.loaded().filter(|model| model.failure().is_none())
    }

    /// The model, if it is in memory.
    pub(super) fn loaded(&self) -> Option<&Arc<Model>> {
        match &self.presence {
            Presence::Loaded(model) => Some(model),
            _ => None,
        }
    }

    /// What it takes in memory, with its shadow.
    pub(super) fn memory(&self) -> u64 {
        self.loaded().map_or(0, |model| model.memory()) + self.shadow.memory()
    }

    /// Whether a request waits until it is loaded.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiters.load(Ordering::Relaxed) > 0
    }

    /// Takes the model out of memory, unless a request holds it.
    pub(super) fn unload(&mut self) -> Option<Model> {
        let version = self.loaded()?.version();
        match mem::replace(&mut self.presence, Presence::Unloaded(version)) {
            Presence::Loaded(model) => match Arc::try_unwrap(model) {
                Ok(model) => return Some(model),
                Err(model) => self.presence = Presence::Loaded(model),
            },
            other => self.presence = other,
        }
        None
    }

    /// Leaves a version that found no room to the next request. A version that is loaded serves on.
    pub(super) fn leave_unloaded(&mut self, version: u32) {
        if self.loaded().is_none() {
            self.presence = Presence::Unloaded(version);
        }
    }

    fn version(&self) -> Option<u32> {
        match &self.presence {
            Presence::Absent => None,
            Presence::Unloaded(version) | Presence::Loading(version) => Some(*version),
            Presence::Loaded(model) => Some(model.version()),
        }
    }

    /// Why the model does not answer, or why its live version does not.
    pub(super) fn reason(&self) -> Option<String> {
        match (self.loaded().and_then(|model| model.failure()), &self.attempt) {
            (Some(failure), _) => Some(failure.to_owned()),
            (None, LoadOutcome::Failed(version, reason)) => Some(format!("version {version}: {reason}")),
            (None, _) => None,
        }
    }
}
