//! Other variants of a model that answers, for those who want to compare.

use std::sync::Arc;

use thiserror::Error;
use trainer::quantize::VariantKind;

use super::Registry;
use super::demand::{MemoryNeed, OwnVersion, close};
use super::scan::blocking;
use crate::inference::model::Model;
use crate::store::{ModelName, StoreError, StoredModel};

/// Why a variant of a model does not answer.
#[derive(Debug, Error)]
pub enum VariantError {
    /// The version has no such variant.
    #[error("model `{name}` version {version} has no variant {asked}; it has {}; `graft quantize` makes them", listed(.known))]
    Unknown {
        /// The model.
        name: ModelName,
        /// The version that answers.
        version: u32,
        /// The variant asked for.
        asked: VariantKind,
        /// The variants that there are.
        known: Vec<VariantKind>,
    },
    /// It cannot serve.
    #[error("variant {variant} of model `{name}` cannot serve: {reason}")]
    Failed {
        /// The model.
        name: ModelName,
        /// The one that was asked for.
        variant: VariantKind,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a variant that finds no room in the memory budget is refused with.
const NO_ROOM: &str =
    "the memory budget has no room for it beside the models that are loaded; raise --memory-budget, or unload a model";

impl Registry {
    /// The same version of a model in this variant, whether or not it is the fastest or good enough. It is loaded when it is first asked
    /// for, which goes on when nobody waits for it any more, and stays as long as the model does.
    ///
    /// # Errors
    /// [`VariantError`].
    pub async fn in_variant(&self, model: &Arc<Model>, kind: VariantKind) -> Result<Arc<Model>, VariantError> {
        if kind == model.plan().variant {
            return Ok(model.clone());
        }
        let mut known: Vec<VariantKind> = model.plan().variants.iter().map(|status| status.variant).collect();
        if !known.contains(&kind) {
            if known.is_empty() {
                known.push(model.plan().variant);
            }
            let (name, version) = (model.name().clone(), model.version());
            return Err(VariantError::Unknown { name, version, asked: kind, known });
        }
        if let Some(other) = model.other_variant(kind) {
            return Ok(other);
        }
        let (registry, own) = (self.clone(), model.clone());
        let loaded = tokio::spawn(async move { registry.load_variant(&own, kind).await }).await;
        let loaded = loaded.unwrap_or_else(|error| Err(error.to_string()));
        loaded.map_err(|reason| VariantError::Failed { name: model.name().clone(), variant: kind, reason })
    }

    /// An error is the reason why the variant does not answer.
    async fn load_variant(&self, model: &Model, kind: VariantKind) -> Result<Arc<Model>, String> {
        let _one_at_a_time = self.0.loading.lock().await;
        if let Some(other) = model.other_variant(kind) {
            return Ok(other);
        }
        let stored = self.stored_variant(model, kind).await.map_err(|error| error.to_string())?;
        // It takes at least its file; how much it takes is measured while it is loaded.
        self.reserve_for(model, stored.onnx.len() as u64).await?;
        let other = Model::start(stored, &self.0.starter).await?;
        if let Err(reason) = self.reserve_for(model, other.memory()).await {
            close(other).await;
            return Err(reason);
        }
        let other = Arc::new(other);
        model.keep_variant(other.clone());
        Ok(other)
    }

    async fn reserve_for(&self, model: &Model, bytes: u64) -> Result<(), String> {
        let need = MemoryNeed { name: model.name(), bytes, own: OwnVersion::Stays };
        if self.make_room(need).await { Ok(()) } else { Err(NO_ROOM.to_owned()) }
    }

    /// A version in one variant, as if it had no other.
    async fn stored_variant(&self, model: &Model, kind: VariantKind) -> Result<StoredModel, StoreError> {
        let (store, name, version) = (self.0.store.clone(), model.name().clone(), model.version());
        blocking(move || {
            let stored = store.read(&name, version)?;
            match stored.variants.iter().find(|record| record.variant == kind) {
                Some(record) => Ok(stored.in_variant(record, store.variant(&name, version, kind)?)),
                None => Ok(StoredModel { variants: vec![], ..stored }),
            }
        })
        .await
    }
}

fn listed(known: &[VariantKind]) -> String {
    known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
