//! Finding the model that a request asks for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use thiserror::Error;

use super::Registry;
use crate::inference::model::Model;
use crate::inference::status::{ModelState, Presence, Slot};
use crate::store::{ModelName, Standing, choices, model_meant};

pub(super) type Slots = BTreeMap<ModelName, Slot>;

/// Why no model can answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LookupError {
    /// No model of this name.
    #[error("there is no model `{name}`; {}", choices(Some(.name.as_str()), .known))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The classifiers that there are.
        known: Vec<ModelName>,
    },
    /// No name was given, and there is no default model and not exactly one classifier.
    #[error("name the model with `?model=`, or choose a default with `PUT /default-model`; {}", choices(None, .known))]
    NotNamed {
        /// The classifiers that there are.
        known: Vec<ModelName>,
    },
    /// It is being opened and tested.
    #[error("model `{0}` is being loaded")]
    Loading(ModelName),
    /// It cannot serve.
    #[error("model `{name}` cannot serve: {reason}")]
    Failed {
        /// The model.
        name: ModelName,
        /// What is wrong with it.
        reason: String,
    },
    /// It was unloaded by hand.
    #[error("model `{0}` is unloaded; `POST /models/{0}/load` or `graft models load {0}` loads it")]
    Stopped(ModelName),
    /// It has no classes.
    #[error("model `{0}` is a headless backbone; graft a head onto it with `POST /finetune`")]
    Backbone(ModelName),
}

/// A classifier that answers, or will once it is loaded.
pub(super) enum Classifier {
    Loaded(Arc<Model>),
    Unloaded(ModelName),
}

impl Registry {
    /// Finds a classifier and notes that it is used.
    pub(super) fn find(&self, name: Option<&str>) -> Result<Classifier, LookupError> {
        let slots = self.read();
        let (name, slot) = match name {
            Some(name) => named(&slots, name)?,
            None => unnamed(&slots, self.default_model().as_ref())?,
        };
        slot.used.store(self.now(), Ordering::Relaxed);
        match (slot.state(), &slot.presence) {
            (ModelState::Ready, Presence::Loaded(model)) => Ok(Classifier::Loaded(model.clone())),
            (ModelState::Backbone, _) => Err(LookupError::Backbone(name.clone())),
            (ModelState::Stopped, _) => Err(LookupError::Stopped(name.clone())),
            (ModelState::Failed, _) => {
                let reason = slot.reason().unwrap_or_else(|| "it has failed".to_owned());
                Err(LookupError::Failed { name: name.clone(), reason })
            }
            (_, Presence::Unloaded(_) | Presence::Loading(_)) => Ok(Classifier::Unloaded(name.clone())),
            (_, Presence::Absent | Presence::Loaded(_)) => Err(LookupError::Loading(name.clone())),
        }
    }
}

fn named<'a>(slots: &'a Slots, name: &str) -> Result<(&'a ModelName, &'a Slot), LookupError> {
    let slot = name.parse::<ModelName>().ok().and_then(|name| slots.get_key_value(&name));
    slot.ok_or_else(|| LookupError::Unknown { name: name.to_owned(), known: classifiers(slots).cloned().collect() })
}

fn unnamed<'a>(slots: &'a Slots, chosen: Option<&ModelName>) -> Result<(&'a ModelName, &'a Slot), LookupError> {
    let models = slots.iter().map(|(name, slot)| (name, &slot.settings));
    let standing = |name: &ModelName| slots.get(name).map_or(Standing::Silent, standing);
    let meant = model_meant(chosen, models, standing).and_then(|name| slots.get_key_value(name));
    meant.ok_or_else(|| LookupError::NotNamed { known: classifiers(slots).cloned().collect() })
}

fn standing(slot: &Slot) -> Standing {
    match slot.state() {
        ModelState::Backbone => Standing::Backbone,
        state if state.answers() => Standing::Answers,
        _ => Standing::Silent,
    }
}

fn classifiers(slots: &Slots) -> impl Iterator<Item = &ModelName> {
    slots.iter().filter(|(_, slot)| standing(slot) != Standing::Backbone).map(|(name, _)| name)
}
