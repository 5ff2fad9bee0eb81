//! What there is to say about a model.

use std::sync::Arc;

use models::ModelSpec;
use serde::Serialize;
use trainer::finetune::report::FinetuneReport;
use utoipa::ToSchema;

use super::model::Model;
use crate::store::ModelName;

/// Whether a model answers requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ModelState {
    /// The server is loading and testing its first version.
    Loading,
    /// It answers, and has reproduced its golden answers on this engine.
    Ready,
    /// It does not answer; `reason` says why.
    Failed,
    /// It has no classes and can only be fine-tuned.
    Backbone,
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
    /// The version that answers.
    pub serving: Option<u32>,
    /// Why it does not answer, or why a newer version does not.
    pub reason: Option<String>,
    /// The version that answers, or else the newest that could be read.
    pub description: Option<Arc<ModelDescription>>,
}

/// What a version says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelDescription {
    /// Which version.
    pub version: u32,
    /// How to use it and where it came from.
    pub spec: ModelSpec,
    /// The report of the run, for a fine-tuned model.
    pub report: Option<FinetuneReport>,
}

/// A model in the registry.
pub(super) struct Slot {
    pub(super) versions: Vec<u32>,
    /// What came of the newest version.
    pub(super) attempt: LoadOutcome,
    /// Who answers; an older version while the newest is loading or has failed.
    pub(super) serving: Option<Arc<Model>>,
    pub(super) description: Option<Arc<ModelDescription>>,
}

/// What came of a version.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LoadOutcome {
    Loading(u32),
    Serving(u32),
    Failed(u32, String),
    Backbone(u32),
}

impl LoadOutcome {
    pub(super) fn version(&self) -> u32 {
        match self {
            LoadOutcome::Loading(version)
            | LoadOutcome::Serving(version)
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
            serving: self.serving.as_ref().filter(|_| state == ModelState::Ready).map(|model| model.version()),
            reason: self.reason(),
            description: self.description.clone(),
        }
    }

    pub(super) fn state(&self) -> ModelState {
        match (&self.attempt, &self.serving) {
            (_, Some(model)) if model.failure().is_some() => ModelState::Failed,
            (LoadOutcome::Backbone(_), _) => ModelState::Backbone,
            (_, Some(_)) => ModelState::Ready,
            (LoadOutcome::Failed(..), None) => ModelState::Failed,
            (LoadOutcome::Loading(_) | LoadOutcome::Serving(_), None) => ModelState::Loading,
        }
    }

    /// Why the model does not answer, or why its newest version does not.
    pub(super) fn reason(&self) -> Option<String> {
        match (self.serving.as_ref().and_then(|model| model.failure()), &self.attempt) {
            (Some(failure), _) => Some(failure.to_owned()),
            (None, LoadOutcome::Failed(version, reason)) => Some(format!("version {version}: {reason}")),
            (None, _) => None,
        }
    }
}
