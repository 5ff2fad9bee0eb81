//! Loading and unloading models by hand.

use std::time::Instant;

use super::Registry;
use super::lookup::LookupError;
use super::scan::blocking;
use crate::inference::status::{LoadOutcome, ModelState, ModelStatus, Presence};
use crate::store::{Availability, ModelName, StoreError};

impl Registry {
    /// Serves a model that was unloaded, tries one again that has failed, and waits until it is in memory.
    ///
    /// # Errors
    /// [`StoreError::Unknown`]. Whether it answers then is what its status says.
    pub async fn load_by_hand(&self, name: &ModelName, deadline: Instant) -> Result<Option<ModelStatus>, StoreError> {
        self.decide(name, Availability::Served).await?;
        self.update(name, |slot| {
            if slot.state() == ModelState::Failed {
                (slot.presence, slot.attempt) = (Presence::Absent, LoadOutcome::default());
            }
        });
        self.scan().await?;
        if let Err(error) = self.classifier(Some(name.as_str()), deadline).await
            && !matches!(error, LookupError::Failed { .. } | LookupError::Backbone(_))
        {
            tracing::warn!(%name, %error, "a model is not loaded yet");
        }
        Ok(self.get(name.as_str()))
    }

    /// Takes a model out of memory. It does not answer until it is loaded again; requests in flight are answered.
    ///
    /// # Errors
    /// [`StoreError::Unknown`].
    pub async fn unload_by_hand(&self, name: &ModelName) -> Result<Option<ModelStatus>, StoreError> {
        self.decide(name, Availability::Stopped).await?;
        self.scan().await?;
        Ok(self.get(name.as_str()))
    }

    async fn decide(&self, name: &ModelName, availability: Availability) -> Result<(), StoreError> {
        let (store, name) = (self.0.store.clone(), name.clone());
        blocking(move || store.set_availability(&name, availability)).await
    }
}
