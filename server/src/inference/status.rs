//! What there is to say about a model.

use std::sync::Arc;

use models::ModelSpec;
use serde_json::Value;

use super::model::Model;
use crate::store::ModelName;

/// Whether a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelState {
    /// Its first version is being opened and tested.
    Loading,
    /// It answers.
    Ready,
    /// It does not.
    Failed,
    /// It has no classes and can only be grafted upon.
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
    /// What was done and measured.
    pub report: Option<Value>,
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
        let stopped = self.serving.as_ref().and_then(|model| model.failure());
        let newest = match &self.attempt {
            LoadOutcome::Failed(version, reason) => Some(format!("version {version}: {reason}")),
            _ => None,
        };
        let (state, reason) = match (&self.attempt, &self.serving, stopped) {
            (_, _, Some(stopped)) => (ModelState::Failed, Some(stopped.to_owned())),
            (LoadOutcome::Backbone(_), _, _) => (ModelState::Backbone, None),
            (_, Some(_), None) => (ModelState::Ready, newest),
            (LoadOutcome::Failed(..), None, None) => (ModelState::Failed, newest),
            (LoadOutcome::Loading(_) | LoadOutcome::Serving(_), None, None) => (ModelState::Loading, None),
        };
        ModelStatus {
            name: name.clone(),
            versions: self.versions.clone(),
            state,
            serving: self.serving.as_ref().filter(|_| state == ModelState::Ready).map(|model| model.version()),
            reason,
            description: self.description.clone(),
        }
    }
}
