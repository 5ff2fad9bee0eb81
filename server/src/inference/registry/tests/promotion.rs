//! Promotion, roll-back, loading and unloading.

use super::*;
use crate::inference::testing::publish_only;
use crate::inference::{MemoryOptions, PromoteError};
use crate::store::{Availability, DeleteGuard, StoreError};

const MB: u64 = 1 << 20;

fn name() -> crate::store::ModelName {
    "colors".parse().unwrap()
}

/// A store with three good versions of which the first answers, and its registry.
async fn three() -> (tempfile::TempDir, ModelStore, Registry, Arc<Mutex<EngineRecord>>) {
    let (folder, store) = store();
    let network = colors();
    for _ in 0..3 {
        publish_only(&store, "colors", &network, &golden(&network));
    }
    let record = Arc::default();
    let registry = registry(&store, &record);
    registry.scan().await.unwrap();
    (folder, store, registry, record)
}

/// Waits until so many engines are open: those of versions that nobody waits for any more end by themselves.
async fn engines(record: &Arc<Mutex<EngineRecord>>, open: u64) {
    while record.lock().unwrap().open != open {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn serving(registry: &Registry) -> Option<u32> {
    registry.get("colors").unwrap().serving
}

#[tokio::test]
async fn a_new_version_answers_when_it_is_promoted_and_the_old_one_when_it_is_rolled_back() {
    let (_folder, store, registry, record) = three().await;
    assert_eq!(serving(&registry), Some(1));
    let status = registry.promote(&name(), 3).await.unwrap();
    assert_eq!((status.live, status.serving, status.reason), (Some(3), Some(3), None));
    assert_eq!(classifier(&registry, None).await.unwrap().version(), 3);
    registry.promote(&name(), 2).await.unwrap();
    assert_eq!((serving(&registry), store.settings(&name()).unwrap().live), (Some(2), Some(2)));
    let opened = record.lock().unwrap().opened;
    registry.promote(&name(), 2).await.unwrap();
    registry.scan().await.unwrap();
    assert_eq!((serving(&registry), record.lock().unwrap().opened), (Some(2), opened), "it answers already");
    engines(&record, 1).await;
    let error = registry.promote(&name(), 9).await.unwrap_err();
    assert!(matches!(error, PromoteError::Store(StoreError::UnknownVersion { .. })), "{error}");
}

#[tokio::test]
async fn a_request_in_flight_ends_with_the_version_that_it_began_with() {
    let (_folder, _store, registry, record) = three().await;
    let gate = Arc::new(Mutex::new(()));
    let model = classifier(&registry, None).await.unwrap();
    let runs = record.lock().unwrap().batches.len();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (closed, closes) = std::sync::mpsc::channel();
    std::thread::spawn({
        let gate = gate.clone();
        move || {
            let _held = gate.lock().unwrap();
            closed.send(()).unwrap();
            // Until the other end is gone.
            released.recv().ok();
        }
    });
    closes.recv().unwrap();
    record.lock().unwrap().gate = Some(gate);
    let decoder = Decoder::new(std::num::NonZeroUsize::MIN, models::preprocess::Limits::default(), 1_000_000);
    let deadline = Instant::now() + Duration::from_secs(60);
    let version = model.version();
    let running = tokio::spawn(async move { model.run(&decoder, request(vec![bmp(RED)], deadline)).await });
    while record.lock().unwrap().batches.len() == runs {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    record.lock().unwrap().gate = None;
    registry.promote(&name(), 2).await.unwrap();
    assert_eq!((version, serving(&registry)), (1, Some(2)));
    drop(release);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_version_that_does_not_pass_changes_nothing() {
    let (_folder, store, registry, record) = three().await;
    let network = colors();
    let mut wrong = golden(&network);
    wrong[1].logits[1] += 0.01;
    assert_eq!(publish_only(&store, "colors", &network, &wrong), 4);
    let error = registry.promote(&name(), 4).await.unwrap_err().to_string();
    assert!(
        error.starts_with("version 4 of `colors` cannot serve: golden image green.bmp: the logits differ by"),
        "{error}"
    );
    assert!(error.ends_with("the version before it goes on answering"), "{error}");
    assert_eq!((serving(&registry), store.settings(&name()).unwrap().live), (Some(1), Some(1)));
    assert_eq!(record.lock().unwrap().open, 1);

    // Chosen behind the server's back, by somebody who did not test it: the one that answers goes on.
    store.set_live(&name(), 4).unwrap();
    registry.scan().await.unwrap();
    let status = registry.get("colors").unwrap();
    assert_eq!((status.state, status.live, status.serving), (ModelState::Ready, Some(4), Some(1)));
    assert!(status.reason.unwrap().starts_with("version 4: golden image green.bmp"));
    // After a restart nothing answers yet, and the newest version before it does.
    let restarted = super::registry(&store, &Arc::default());
    restarted.scan().await.unwrap();
    assert_eq!(restarted.get("colors").unwrap().serving, Some(3));
}

#[tokio::test]
async fn what_the_command_line_changes_is_followed() {
    let (_folder, store, registry, _record) = three().await;
    store.set_live(&name(), 2).unwrap();
    registry.scan().await.unwrap();
    assert_eq!(serving(&registry), Some(2));
    store.set_labels(&name(), 2, ["rot", "grün", "blau"].map(str::to_owned).to_vec()).unwrap();
    registry.scan().await.unwrap();
    let model = classifier(&registry, None).await.unwrap();
    assert_eq!(model.labels().names(), ["rot", "grün", "blau"]);
    let described = registry.get("colors").unwrap().description.unwrap();
    assert_eq!(described.spec.labels.as_ref().unwrap().names(), ["rot", "grün", "blau"]);
    drop(model);
    store.delete(&name(), 2, DeleteGuard::AnyVersion).unwrap();
    registry.scan().await.unwrap();
    assert_eq!(serving(&registry), Some(3), "the newest of the others");
}

#[tokio::test]
async fn a_model_that_is_unloaded_answers_when_it_is_loaded_again() {
    let (_folder, store, registry, record) = three().await;
    let status = registry.unload_by_hand(&name()).await.unwrap().unwrap();
    assert_eq!((status.state, status.serving, status.live), (ModelState::Stopped, None, Some(1)));
    let error = classifier(&registry, Some("colors")).await.err().unwrap();
    assert!(matches!(error, LookupError::Stopped(_)) && error.to_string().contains("graft models load colors"));
    engines(&record, 0).await;
    let restarted = super::registry(&store, &record);
    restarted.scan().await.unwrap();
    let status = restarted.get("colors").unwrap();
    assert_eq!(status.state, ModelState::Stopped, "the choice survives a restart");
    assert_eq!(status.description.unwrap().version, 1, "and it is described all the same");
    restarted.promote(&name(), 2).await.unwrap();
    let state = restarted.get("colors").unwrap().state;
    assert_eq!((state, record.lock().unwrap().open), (ModelState::Stopped, 0), "a promotion does not load it");

    let deadline = Instant::now() + Duration::from_secs(60);
    let status = restarted.load_by_hand(&name(), deadline).await.unwrap().unwrap();
    assert_eq!((status.state, status.serving), (ModelState::Ready, Some(2)));
    assert_eq!(store.settings(&name()).unwrap().availability, Availability::Served);
}

#[tokio::test]
async fn a_model_whose_engine_panicked_is_tried_again_when_it_is_loaded() {
    let (_folder, store) = store();
    let network = colors();
    publish(&store, "colors", &network, &golden(&network));
    let record = Arc::new(Mutex::new(EngineRecord { panics: Some(6), ..EngineRecord::default() }));
    let registry = registry(&store, &record);
    registry.scan().await.unwrap();
    let decoder = Decoder::new(std::num::NonZeroUsize::MIN, models::preprocess::Limits::default(), 1_000_000);
    let deadline = Instant::now() + Duration::from_secs(60);
    let model = classifier(&registry, None).await.unwrap();
    model.run(&decoder, request(vec![bmp(RED)], deadline)).await.unwrap_err();
    assert_eq!(registry.get("colors").unwrap().state, ModelState::Failed);
    let status = registry.load_by_hand(&name(), deadline).await.unwrap().unwrap();
    assert_eq!((status.state, status.serving), (ModelState::Ready, Some(1)));
}

#[tokio::test]
async fn the_default_model_answers_where_none_is_named() {
    let (_folder, store, registry, _record) = three().await;
    publish(&store, "other", &colors(), &[]);
    registry.scan().await.unwrap();
    assert!(matches!(classifier(&registry, None).await, Err(LookupError::NotNamed { .. })));
    store.set_default_model(Some(&"other".parse().unwrap())).unwrap();
    registry.scan().await.unwrap();
    assert_eq!(classifier(&registry, None).await.unwrap().name().as_str(), "other");
    assert_eq!(registry.default_model().unwrap().as_str(), "other");
}

/// Engines take 100 MB each.
fn budgeted(store: &ModelStore, budget: u64, record: &Arc<Mutex<EngineRecord>>) -> Registry {
    let [counted, opened] = [record.clone(), record.clone()];
    let resident = Arc::new(move || counted.lock().unwrap().open * 100 * MB);
    let memory = MemoryOptions { budget: Some(budget), load_wait: Duration::from_secs(30), resident };
    let open = Arc::new(move |file: &[u8]| RecordingEngine::set(file, opened.clone()));
    let options = crate::inference::InferenceOptions { memory, ..options(2, 4) };
    Registry::with_opener(store.clone(), open, options)
}

#[tokio::test]
async fn a_budget_that_does_not_hold_both_versions_refuses_the_second_and_the_first_goes_on() {
    let (_folder, store) = store();
    let network = colors();
    for _ in 0..2 {
        publish_only(&store, "colors", &network, &golden(&network));
    }
    let record = Arc::default();
    // 64 MB of it are the program's: one engine fits, and not two.
    let registry = budgeted(&store, 214 * MB, &record);
    registry.scan().await.unwrap();
    assert_eq!(classifier(&registry, None).await.unwrap().version(), 1);
    let error = registry.promote(&name(), 2).await.unwrap_err();
    assert!(matches!(error, PromoteError::NoRoom { version: 2, .. }), "{error}");
    assert!(error.to_string().contains("unload the model first with `POST /models/colors/unload`"), "{error}");
    assert_eq!((serving(&registry), store.settings(&name()).unwrap().live), (Some(1), Some(1)));
    assert_eq!(record.lock().unwrap().open, 1, "the one that answers was not unloaded for the try");

    registry.unload_by_hand(&name()).await.unwrap();
    registry.promote(&name(), 2).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    registry.load_by_hand(&name(), deadline).await.unwrap();
    assert_eq!(classifier(&registry, None).await.unwrap().version(), 2);
}

#[tokio::test]
async fn a_budget_unloads_an_idle_model_to_hold_both_versions_of_another() {
    let (_folder, store) = store();
    let network = colors();
    for _ in 0..2 {
        publish_only(&store, "colors", &network, &golden(&network));
    }
    publish(&store, "idle", &network, &golden(&network));
    let record = Arc::default();
    let registry = budgeted(&store, 294 * MB, &record);
    registry.scan().await.unwrap();
    for name in ["idle", "colors"] {
        classifier(&registry, Some(name)).await.unwrap();
    }
    registry.promote(&name(), 2).await.unwrap();
    assert_eq!(serving(&registry), Some(2));
    assert_eq!(registry.get("idle").unwrap().state, ModelState::Unloaded);
}
