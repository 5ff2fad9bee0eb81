//! Which models answer.

mod comparison;
mod demand;
mod lookup;
mod manage;
mod promote;
mod scan;
mod shadowing;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use onnx::{EngineKind, EngineSet, Provider};
use tokio::sync::watch;

use super::InferenceOptions;
use super::memory::MemoryBudget;
use super::model::{Model, ModelStarter};
use super::opener::Opener;
use super::providers::{ProviderStatus, Providers, Rival};
use super::status::{ModelState, ModelStatus, Slot};
use super::turns::ModelTurns;
use crate::runtime::{SelectedEngine, SelectedProviders};
use crate::store::{ModelName, ModelStore};
use lookup::{Classifier, Slots};

pub use comparison::VariantError;
pub use lookup::LookupError;
pub use promote::PromoteError;
pub use shadowing::ShadowSample;

/// Models that run at a time. The system shares the processors among them, so that a slow one does not hold up the
/// others; beyond this they take turns, so that a hundred models do not mean a hundred threads.
const MOST_RUNS: usize = 16;

/// The models of a store, the live version of each in memory and answering once it has passed its self-test. The live version
/// is the one that was chosen, or the newest; if it fails, one before it answers.
///
/// With a memory budget, models are known from the start and loaded when a request asks for them; those that nobody has
/// asked for the longest make room for others.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    store: ModelStore,
    starter: ModelStarter,
    budget: Option<MemoryBudget>,
    slots: RwLock<Slots>,
    /// The model that answers where a request names none.
    default: RwLock<Option<ModelName>>,
    /// Held while a model is loaded, so that versions are opened one after another: two at once would need the memory of
    /// both, and neither could be measured.
    loading: tokio::sync::Mutex<()>,
    /// Tells requests that wait for a model to look again.
    changes: watch::Sender<()>,
    /// From when on the uses of models are timed.
    epoch: Instant,
    scanned: AtomicBool,
    /// What the last scan could not read.
    unreadable: Mutex<Vec<String>>,
}

impl Registry {
    /// The models of this store on this engine. Nothing is loaded before the first [`scan`](Self::scan).
    #[must_use]
    pub fn new(store: ModelStore, engine: &SelectedEngine, options: InferenceOptions) -> Self {
        let (kind, threads) = (engine.kind, engine.threads);
        let SelectedProviders { first, rival, reason } = engine.providers.clone();
        let opener = |provider, threads| -> Opener {
            Arc::new(move |file| match provider {
                Provider::Cpu => onnx::engine::open_set(kind, file, threads),
                provider => onnx::engine::open_set_in(provider, file, threads),
            })
        };
        let providers = Providers {
            open: opener(first, threads),
            first: (kind == EngineKind::Ort).then_some(ProviderStatus { provider: first, reason }),
            rival: rival.map(|provider| Rival { provider, open: opener(provider, threads) }),
        };
        let open_wide: Opener = Arc::new(move |file| {
            Ok(EngineSet::single(match first {
                Provider::Cpu => onnx::engine::open(kind, file, threads)?,
                provider => onnx::engine::open_in(provider, file, threads)?,
            }))
        });
        let (open_alone, turns) = (opener(first, NonZeroUsize::MIN), ModelTurns::new(MOST_RUNS));
        Self::with_starter(ModelStarter { providers, open_wide, open_alone, store, options, turns })
    }

    #[cfg(test)]
    pub(crate) fn with_opener(store: ModelStore, open: Opener, options: InferenceOptions) -> Self {
        let (open_wide, open_alone, turns) = (open.clone(), open.clone(), ModelTurns::new(MOST_RUNS));
        let providers = Providers { open, first: None, rival: None };
        Self::with_starter(ModelStarter { providers, open_wide, open_alone, store, options, turns })
    }

    fn with_starter(starter: ModelStarter) -> Self {
        Self(Arc::new(Inner {
            store: starter.store.clone(),
            budget: MemoryBudget::new(&starter.options.memory),
            starter,
            slots: RwLock::default(),
            default: RwLock::default(),
            loading: tokio::sync::Mutex::default(),
            changes: watch::Sender::default(),
            epoch: Instant::now(),
            scanned: AtomicBool::new(false),
            unreadable: Mutex::default(),
        }))
    }

    /// The store that the models are in.
    #[must_use]
    pub fn store(&self) -> &ModelStore {
        &self.0.store
    }

    /// The models that are in memory and answer.
    #[must_use]
    pub fn serving(&self) -> Vec<Arc<Model>> {
        let slots = self.read();
        let ready = slots.values().filter(|slot| slot.state() == ModelState::Ready);
        ready.filter_map(|slot| slot.loaded().cloned()).collect()
    }

    /// What loaded models may take together, in bytes, if there is a budget.
    #[must_use]
    pub fn memory_limit(&self) -> Option<u64> {
        self.0.budget.as_ref().map(MemoryBudget::limit)
    }

    /// Whether every model of the store has been tried, or with a budget read, at least once.
    #[must_use]
    pub fn scanned(&self) -> bool {
        self.0.scanned.load(Ordering::Acquire)
    }

    /// All models by name.
    #[must_use]
    pub fn list(&self) -> Vec<ModelStatus> {
        self.read().iter().map(|(name, slot)| slot.status(name)).collect()
    }

    /// The model that answers where a request names none, if one was chosen.
    #[must_use]
    pub fn default_model(&self) -> Option<ModelName> {
        self.0.default.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One model; `None` when there is none of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<ModelStatus> {
        let name: ModelName = name.parse().ok()?;
        self.read().get(&name).map(|slot| slot.status(&name))
    }

    /// The classifier of this name. Without a name, the default model, or the only classifier, or the only one that answers. A
    /// model that has to be loaded first is waited for, up to the deadline or `--max-load-ms`.
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn classifier(&self, name: Option<&str>, deadline: Instant) -> Result<Arc<Model>, LookupError> {
        match self.find(name)? {
            Classifier::Loaded(model) => Ok(model),
            Classifier::Unloaded(name) => self.load_on_demand(&name, deadline).await,
        }
    }

    /// Microseconds since the registry was made.
    fn now(&self) -> u64 {
        self.0.epoch.elapsed().as_micros() as u64
    }

    fn update(&self, name: &ModelName, change: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.write().get_mut(name) {
            change(slot);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Slots> {
        self.0.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Slots> {
        self.0.slots.write().unwrap_or_else(PoisonError::into_inner)
    }
}
