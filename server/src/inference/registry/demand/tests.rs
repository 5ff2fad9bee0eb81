use std::sync::Mutex;

use super::*;
use crate::inference::testing::{EngineRecord, RED, RecordingEngine, bmp, colors, golden, options, publish, request};
use crate::inference::{Decoder, InferenceOptions, MemoryOptions, ModelState};
use crate::store::ModelStore;

const MB: u64 = 1 << 20;
/// What an engine of these tests takes.
const ENGINE: u64 = 100 * MB;

/// A store with these models, and a registry with this budget whose engines take 100 MB each.
struct Shop {
    _folder: tempfile::TempDir,
    store: ModelStore,
    registry: Registry,
    record: Arc<Mutex<EngineRecord>>,
}

impl Shop {
    async fn open(budget: u64, names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = ModelStore::open(folder.path()).unwrap();
        let network = colors();
        for name in names {
            publish(&store, name, &network, &golden(&network));
        }
        let record: Arc<Mutex<EngineRecord>> = Arc::default();
        let [counted, opened] = [record.clone(), record.clone()];
        let memory = MemoryOptions {
            budget: Some(budget),
            load_wait: Duration::from_secs(30),
            resident: Arc::new(move || counted.lock().unwrap().open * ENGINE),
        };
        let open = Arc::new(move |file: &[u8]| RecordingEngine::set(file, opened.clone()));
        let registry = Registry::with_opener(store.clone(), open, InferenceOptions { memory, ..options(2, 4) });
        registry.scan().await.unwrap();
        Self { _folder: folder, store, registry, record }
    }

    async fn ask(&self, name: &str) -> Result<Arc<Model>, LookupError> {
        self.registry.classifier(Some(name), Instant::now() + Duration::from_secs(30)).await
    }

    /// The same, given up soon.
    async fn ask_briefly(&self, name: &str) -> Result<Arc<Model>, LookupError> {
        self.registry.classifier(Some(name), Instant::now() + Duration::from_millis(200)).await
    }

    fn states(&self) -> Vec<ModelState> {
        self.registry.list().iter().map(|status| status.state).collect()
    }

    fn engines(&self) -> u64 {
        self.record.lock().unwrap().open
    }
}

const READY: ModelState = ModelState::Ready;
const UNLOADED: ModelState = ModelState::Unloaded;

#[tokio::test]
async fn models_are_known_from_the_start_and_the_least_recently_used_makes_room() {
    let shop = Shop::open(294 * MB, &["a", "b", "c"]).await;
    assert_eq!((shop.states(), shop.engines()), (vec![UNLOADED; 3], 0));
    let status = shop.registry.get("b").unwrap();
    assert_eq!((status.serving, status.reason), (Some(1), None));
    assert_eq!(status.description.unwrap().spec.labels.as_ref().map(models::Labels::len), Some(3));

    for name in ["a", "b", "a"] {
        assert_eq!(shop.ask(name).await.unwrap().name().as_str(), name);
    }
    assert_eq!((shop.states(), shop.engines()), (vec![READY, READY, UNLOADED], 2));
    shop.ask("c").await.unwrap();
    assert_eq!((shop.states(), shop.engines()), (vec![READY, UNLOADED, READY], 2));
    shop.ask("b").await.unwrap();
    assert_eq!((shop.states(), shop.engines()), (vec![UNLOADED, READY, READY], 2));
    let record = shop.record.lock().unwrap();
    assert_eq!((record.opened, record.most_open), (4, 2), "the room is made before the model is opened");
}

#[tokio::test]
async fn a_model_with_requests_in_flight_stays() {
    let shop = Shop::open(294 * MB, &["a", "b", "c"]).await;
    let [a, b] = [shop.ask("a").await.unwrap(), shop.ask("b").await.unwrap()];
    assert_eq!(shop.ask_briefly("c").await.err(), Some(LookupError::Loading("c".parse().unwrap())));
    assert_eq!(shop.states()[..2], [READY, READY]);

    let decoder = Decoder::new(std::num::NonZeroUsize::MIN, models::preprocess::Limits::default(), 1_000_000);
    let deadline = Instant::now() + Duration::from_secs(30);
    let answer = a.run(&decoder, request(vec![bmp(RED)], deadline)).await.unwrap();
    assert_eq!(answer.logits.len(), 1);
    // While `c` waits for room, the request for `b` ends.
    let waiting = shop.ask("c");
    let end = async {
        sleep(Duration::from_millis(50)).await;
        drop(b);
    };
    let (c, ()) = tokio::join!(waiting, end);
    assert_eq!(c.unwrap().name().as_str(), "c");
    assert_eq!(shop.states(), [READY, UNLOADED, READY]);
}

#[tokio::test]
async fn a_model_that_the_budget_cannot_hold_is_refused_by_name() {
    let shop = Shop::open(144 * MB, &["large"]).await;
    let Err(LookupError::Failed { name, reason }) = shop.ask("large").await else { panic!("it was loaded") };
    assert_eq!(name.as_str(), "large");
    assert!(reason.contains("it takes at least 100 MB, and the memory budget of 144 MB leaves 80 MB"), "{reason}");
    assert_eq!((shop.states(), shop.engines()), (vec![ModelState::Failed], 0));
    // It is not tried again for every request.
    assert!(matches!(shop.ask("large").await, Err(LookupError::Failed { .. })));
    assert_eq!(shop.record.lock().unwrap().opened, 1);
}

#[tokio::test]
async fn requests_for_the_same_model_wait_for_one_load() {
    let shop = Shop::open(314 * MB, &["a"]).await;
    let (first, second) = tokio::join!(shop.ask("a"), shop.ask("a"));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(shop.record.lock().unwrap().opened, 1);
}

#[tokio::test]
async fn a_new_version_takes_the_room_of_the_old_one() {
    let shop = Shop::open(214 * MB, &["a"]).await;
    let network = colors();
    assert_eq!(shop.ask("a").await.unwrap().version(), 1);
    publish(&shop.store, "a", &network, &golden(&network));
    shop.registry.scan().await.unwrap();
    assert_eq!(shop.ask("a").await.unwrap().version(), 2);
    assert_eq!(shop.record.lock().unwrap().most_open, 1);

    // A request in flight keeps the old version, and the new one comes once it has ended.
    let held = shop.ask("a").await.unwrap();
    publish(&shop.store, "a", &network, &golden(&network));
    shop.registry.scan().await.unwrap();
    assert_eq!(shop.ask("a").await.unwrap().version(), 2);
    drop(held);
    shop.registry.scan().await.unwrap();
    assert_eq!(shop.ask("a").await.unwrap().version(), 3);
}

#[tokio::test]
async fn a_version_that_fails_when_it_is_loaded_leaves_the_one_before_it() {
    let shop = Shop::open(314 * MB, &["a"]).await;
    let network = colors();
    let mut wrong = golden(&network);
    wrong[1].logits[1] += 0.01;
    publish(&shop.store, "a", &network, &wrong);
    shop.registry.scan().await.unwrap();
    assert_eq!(shop.registry.get("a").unwrap().serving, Some(2), "nobody has asked for it yet");
    assert_eq!(shop.ask("a").await.unwrap().version(), 1);
    let status = shop.registry.get("a").unwrap();
    assert_eq!((status.state, status.serving), (READY, Some(1)));
    assert!(status.reason.unwrap().starts_with("version 2: golden image green.bmp"));
}
