//! Which models answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::task::spawn_blocking;

use super::InferenceOptions;
use super::model::{Model, Opener};
use super::status::{LoadOutcome, ModelDescription, ModelState, ModelStatus, Slot};
use crate::runtime::SelectedEngine;
use crate::store::{Listing, ModelEntry, ModelName, ModelStore, StoreError, choices};

/// How soon a version that another process has published is found.
const SCAN_EVERY: Duration = Duration::from_secs(2);

/// The models of a store, the newest version of each that passes its self-test in memory and answering.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    store: ModelStore,
    open: Opener,
    options: InferenceOptions,
    slots: RwLock<Slots>,
    /// Held by the one scan that there is at a time, so that versions are opened one after another: two at once would
    /// need the memory of both.
    scanning: tokio::sync::Mutex<()>,
    scanned: AtomicBool,
    /// What the last scan could not read.
    unreadable: Mutex<Vec<String>>,
}

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
    /// No name was given and there are several classifiers, or none.
    #[error("name the model with `?model=`; {}", choices(None, .known))]
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
        /// Why.
        reason: String,
    },
    /// It has no classes.
    #[error("model `{0}` is a headless backbone; graft a head onto it with `POST /finetune`")]
    Backbone(ModelName),
}

impl Registry {
    /// The models of this store on this engine. Nothing is loaded before the first [`scan`](Self::scan).
    #[must_use]
    pub fn new(store: ModelStore, engine: &SelectedEngine, options: InferenceOptions) -> Self {
        let (kind, threads) = (engine.kind, engine.threads);
        Self::with_opener(store, Arc::new(move |file| onnx::engine::open(kind, file, threads)), options)
    }

    pub(crate) fn with_opener(store: ModelStore, open: Opener, options: InferenceOptions) -> Self {
        Self(Arc::new(Inner {
            store,
            open,
            options,
            slots: RwLock::default(),
            scanning: tokio::sync::Mutex::default(),
            scanned: AtomicBool::new(false),
            unreadable: Mutex::default(),
        }))
    }

    /// Looks for versions that appeared since, opens and tests them, and lets those that pass answer: of each model the
    /// newest version that passes.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be listed.
    pub async fn scan(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.0.scanning.lock().await;
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

    /// The store that the models are in.
    #[must_use]
    pub fn store(&self) -> &ModelStore {
        &self.0.store
    }

    /// The models that answer.
    #[must_use]
    pub fn serving(&self) -> Vec<Arc<Model>> {
        let slots = self.read();
        let ready = slots.values().filter(|slot| slot.state() == ModelState::Ready);
        ready.filter_map(|slot| slot.serving.clone()).collect()
    }

    /// Whether every model of the store has been tried at least once.
    #[must_use]
    pub fn scanned(&self) -> bool {
        self.0.scanned.load(Ordering::Acquire)
    }

    /// All models by name.
    #[must_use]
    pub fn list(&self) -> Vec<ModelStatus> {
        self.read().iter().map(|(name, slot)| slot.status(name)).collect()
    }

    /// One model; `None` when there is none of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<ModelStatus> {
        let name: ModelName = name.parse().ok()?;
        self.read().get(&name).map(|slot| slot.status(&name))
    }

    /// The classifier of this name. Without a name, the only classifier, or the only one that is ready.
    ///
    /// # Errors
    /// [`LookupError`].
    pub fn classifier(&self, name: Option<&str>) -> Result<Arc<Model>, LookupError> {
        let slots = self.read();
        let (name, slot) = match name {
            Some(name) => named(&slots, name)?,
            None => only(&slots)?,
        };
        match (slot.state(), &slot.serving) {
            (ModelState::Ready, Some(model)) => Ok(model.clone()),
            (ModelState::Backbone, _) => Err(LookupError::Backbone(name.clone())),
            (ModelState::Failed, _) => {
                let reason = slot.reason().unwrap_or_else(|| "it has failed".to_owned());
                Err(LookupError::Failed { name: name.clone(), reason })
            }
            (ModelState::Loading | ModelState::Ready, _) => Err(LookupError::Loading(name.clone())),
        }
    }

    /// Takes over what the store holds, and returns the models that have a new version. A model whose folder cannot be
    /// read for now answers on.
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
            let new = || Slot { versions: vec![], attempt: LoadOutcome::Loading(0), serving: None, description: None };
            let slot = slots.entry(name.clone()).or_insert_with(new);
            slot.versions.clone_from(versions);
            if slot.attempt.version() != newest {
                slot.attempt = LoadOutcome::Loading(newest);
                due.push(ModelEntry { name: name.clone(), versions: versions.clone() });
            }
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

    /// The newest version that passes its self-test answers. What came of the newest of all is what the model's status
    /// tells.
    async fn load(&self, ModelEntry { name, versions }: ModelEntry) {
        let serving = self.read().get(&name).and_then(|slot| slot.serving.as_ref().map(|model| model.version()));
        let mut newest = None;
        for version in versions.into_iter().rev().take_while(|version| Some(*version) != serving) {
            let outcome = self.load_version(&name, version).await;
            let failed = matches!(outcome, LoadOutcome::Failed(..));
            newest.get_or_insert(outcome);
            if !failed {
                break;
            }
        }
        if let Some(outcome) = newest {
            self.update(&name, |slot| slot.attempt = outcome);
        }
    }

    async fn load_version(&self, name: &ModelName, version: u32) -> LoadOutcome {
        let started = Instant::now();
        match self.open(name, version).await {
            Ok(Some((model, description))) => {
                let duration_ms = started.elapsed().as_millis() as u64;
                tracing::info!(%name, version, duration_ms, "a model is ready");
                self.update(name, |slot| (slot.serving, slot.description) = (Some(Arc::new(model)), Some(description)));
                LoadOutcome::Serving(version)
            }
            Ok(None) => LoadOutcome::Backbone(version),
            Err(reason) => {
                tracing::error!(%name, version, reason, "a model cannot serve");
                LoadOutcome::Failed(version, reason)
            }
        }
    }

    /// `None` for a backbone. An error is the reason why the version cannot serve.
    async fn open(&self, name: &ModelName, version: u32) -> Result<Option<(Model, Arc<ModelDescription>)>, String> {
        let (store, stored_name) = (self.0.store.clone(), name.clone());
        let read = blocking(move || store.read(&stored_name, version)).await;
        let mut stored = read.map_err(|error| error.to_string())?;
        let description =
            Arc::new(ModelDescription { version, spec: stored.spec.clone(), report: stored.report.take() });
        let backbone = description.spec.labels.is_none();
        self.update(name, |slot| {
            if backbone || slot.serving.is_none() {
                (slot.serving, slot.description) = (None, Some(description.clone()));
            }
        });
        if backbone {
            return Ok(None);
        }
        let model = Model::start(stored, self.0.open.clone(), self.0.options.clone()).await?;
        Ok(Some((model, description)))
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

type Slots = BTreeMap<ModelName, Slot>;

fn named<'a>(slots: &'a Slots, name: &str) -> Result<(&'a ModelName, &'a Slot), LookupError> {
    let slot = name.parse::<ModelName>().ok().and_then(|name| slots.get_key_value(&name));
    slot.ok_or_else(|| LookupError::Unknown { name: name.to_owned(), known: classifiers(slots).cloned().collect() })
}

/// The only classifier. Where there are several, the only one that is ready: the others are no choice.
fn only(slots: &Slots) -> Result<(&ModelName, &Slot), LookupError> {
    let ready = |name: &&ModelName| slots.get(*name).is_some_and(|slot| slot.state() == ModelState::Ready);
    let mut all = classifiers(slots);
    let mut choices = classifiers(slots).filter(ready);
    let name = match (all.next(), all.next()) {
        (Some(name), None) => Some(name),
        _ => choices.next().filter(|_| choices.next().is_none()),
    };
    let slot = name.and_then(|name| slots.get_key_value(name));
    slot.ok_or_else(|| LookupError::NotNamed { known: classifiers(slots).cloned().collect() })
}

fn classifiers(slots: &Slots) -> impl Iterator<Item = &ModelName> {
    slots.iter().filter(|(_, slot)| slot.state() != ModelState::Backbone).map(|(name, _)| name)
}

/// Runs what waits for the disk off the threads that answer requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(StoreError::Io { path: "models".into(), source: std::io::Error::other(error.to_string()) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::testing::{
        EngineRecord, RED, RecordingEngine, bmp, colours, golden, network, options, publish,
    };
    use crate::inference::{Decoder, InferenceError};

    fn registry(store: &ModelStore, watch: &Arc<Mutex<EngineRecord>>) -> Registry {
        let watch = watch.clone();
        Registry::with_opener(
            store.clone(),
            Arc::new(move |file| RecordingEngine::open(file, watch.clone())),
            options(2, 4),
        )
    }

    fn store() -> (tempfile::TempDir, ModelStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = ModelStore::open(folder.path()).unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn a_version_that_fails_its_self_test_leaves_the_one_before_it() {
        let (_folder, store) = store();
        let registry = registry(&store, &Arc::default());
        assert!(!registry.scanned());
        registry.scan().await.unwrap();
        assert!(registry.scanned() && registry.list().is_empty());

        let network = colours();
        publish(&store, "colours", &network, &golden(&network));
        registry.scan().await.unwrap();
        let status = registry.get("colours").unwrap();
        assert_eq!((status.state, status.serving, status.reason), (ModelState::Ready, Some(1), None));

        let mut wrong = golden(&network);
        wrong[1].logits[1] += 0.01;
        publish(&store, "colours", &network, &wrong);
        registry.scan().await.unwrap();
        let status = registry.get("colours").unwrap();
        assert_eq!((status.state, status.serving), (ModelState::Ready, Some(1)));
        let reason = status.reason.unwrap();
        assert!(reason.contains("version 2: golden image green.bmp: the logits differ by 1.1e-2"), "{reason}");
        assert_eq!(registry.classifier(None).unwrap().version(), 1);

        publish(&store, "colours", &network, &golden(&network));
        registry.scan().await.unwrap();
        let status = registry.get("colours").unwrap();
        assert_eq!((status.serving, status.reason, status.versions), (Some(3), None, vec![1, 2, 3]));
    }

    #[tokio::test]
    async fn the_newest_good_version_serves_also_after_a_restart() {
        let (folder, store) = store();
        let network = colours();
        for _ in 0..4 {
            publish(&store, "colours", &network, &golden(&network));
        }
        publish(&store, "other", &network, &golden(&network));
        std::fs::write(folder.path().join("colours/3/model.onnx"), "damaged").unwrap();
        std::fs::remove_file(folder.path().join("colours/4/golden/golden.json")).unwrap();
        std::fs::write(folder.path().join("notes.txt"), "stray").unwrap();
        let registry = registry(&store, &Arc::default());
        registry.scan().await.unwrap();
        let status = registry.get("colours").unwrap();
        assert_eq!((status.state, status.serving), (ModelState::Ready, Some(2)));
        assert!(status.reason.is_some_and(|reason| reason.starts_with("version 4: ")));
        assert_eq!(registry.get("other").unwrap().serving, Some(1));
    }

    #[tokio::test]
    async fn a_first_version_that_fails_serves_nobody() {
        let (_folder, store) = store();
        let network = colours();
        let mut wrong = golden(&network);
        wrong[0].bytes.truncate(60);
        publish(&store, "colours", &network, &wrong);
        let registry = registry(&store, &Arc::default());
        registry.scan().await.unwrap();
        assert_eq!(registry.get("colours").unwrap().state, ModelState::Failed);
        let Err(LookupError::Failed { reason, .. }) = registry.classifier(Some("colours")) else { panic!() };
        assert!(reason.contains("golden image red.bmp: the bmp is truncated"), "{reason}");
    }

    #[tokio::test]
    async fn the_only_classifier_needs_no_name() {
        let (_folder, store) = store();
        let network = colours();
        let registry = registry(&store, &Arc::default());
        assert_eq!(registry.classifier(None).err(), Some(LookupError::NotNamed { known: vec![] }));

        publish(&store, "only", &network, &golden(&network));
        publish(&store, "bones", &super::super::testing::network(None), &[]);
        registry.scan().await.unwrap();
        assert_eq!(registry.classifier(None).unwrap().name().as_str(), "only");
        assert_eq!(registry.get("bones").unwrap().state, ModelState::Backbone);
        let backbone = registry.classifier(Some("bones")).err();
        assert_eq!(backbone, Some(LookupError::Backbone("bones".parse().unwrap())));

        publish(&store, "second", &network, &[]);
        registry.scan().await.unwrap();
        let error = registry.classifier(None).err().unwrap();
        assert_eq!(error.to_string(), "name the model with `?model=`; there are only, second");
        assert_eq!(registry.classifier(Some("second")).unwrap().version(), 1);
        let error = registry.classifier(Some("../only")).err().unwrap();
        assert_eq!(error.to_string(), "there is no model `../only`; there are only, second");
    }

    #[tokio::test]
    async fn a_model_that_panics_has_failed_and_says_so() {
        let (_folder, store) = store();
        let network = colours();
        publish(&store, "colours", &network, &golden(&network));
        // Two golden images alone and one batch, then the request.
        let watch = Arc::new(Mutex::new(EngineRecord { panics: Some(3), ..EngineRecord::default() }));
        let registry = registry(&store, &watch);
        registry.scan().await.unwrap();
        let model = registry.classifier(None).unwrap();
        let decoder = Decoder::new(std::num::NonZeroUsize::MIN, models::preprocess::Limits::default(), 1_000_000);
        let deadline = Instant::now() + Duration::from_secs(60);
        let answer = model.run(&decoder, vec![bmp(RED)], deadline).await;
        assert!(matches!(answer, Err(InferenceError::Failed(_))), "{answer:?}");
        assert_eq!(registry.get("colours").unwrap().state, ModelState::Failed);
        assert!(matches!(registry.classifier(None), Err(LookupError::Failed { .. })));
        // Who has found the model before it failed.
        let answer = model.run(&decoder, vec![bmp(RED)], deadline).await;
        assert!(matches!(answer, Err(InferenceError::Stopped(_))), "{answer:?}");
    }

    #[tokio::test]
    async fn a_model_that_is_removed_is_gone() {
        let (folder, store) = store();
        let network = network(Some(&["a", "b", "c"]));
        publish(&store, "colours", &network, &[]);
        let registry = registry(&store, &Arc::default());
        registry.scan().await.unwrap();
        assert!(registry.get("colours").is_some());
        std::fs::remove_dir_all(folder.path().join("colours")).unwrap();
        registry.scan().await.unwrap();
        assert!(registry.get("colours").is_none());
    }
}
