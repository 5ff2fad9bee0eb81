mod kept;
mod promotion;
mod shadow;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::inference::testing::{
    EngineRecord, GREEN, RED, RecordingEngine, bmp, colors, golden, network, options, publish, request,
};
use crate::inference::{Decoder, InferenceError};

fn registry(store: &ModelStore, watch: &Arc<Mutex<EngineRecord>>) -> Registry {
    let watch = watch.clone();
    Registry::with_opener(store.clone(), Arc::new(move |file| RecordingEngine::set(file, watch.clone())), options(2, 4))
}

fn store() -> (tempfile::TempDir, ModelStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = ModelStore::open(folder.path()).unwrap();
    (folder, store)
}

async fn classifier(registry: &Registry, name: Option<&str>) -> Result<Arc<Model>, LookupError> {
    registry.classifier(name, Instant::now() + Duration::from_secs(60)).await
}

#[tokio::test]
async fn a_version_that_fails_its_self_test_leaves_the_one_before_it() {
    let (_folder, store) = store();
    let registry = registry(&store, &Arc::default());
    assert!(!registry.scanned());
    registry.scan().await.unwrap();
    assert!(registry.scanned() && registry.list().is_empty());

    let network = colors();
    publish(&store, "colors", &network, &golden(&network));
    registry.scan().await.unwrap();
    let status = registry.get("colors").unwrap();
    assert_eq!((status.state, status.serving, status.reason), (ModelState::Ready, Some(1), None));

    let mut wrong = golden(&network);
    wrong[1].logits[1] += 0.01;
    publish(&store, "colors", &network, &wrong);
    registry.scan().await.unwrap();
    let status = registry.get("colors").unwrap();
    assert_eq!((status.state, status.serving), (ModelState::Ready, Some(1)));
    let reason = status.reason.unwrap();
    assert!(reason.contains("version 2: golden image green.bmp: the logits differ by 1.1e-2"), "{reason}");
    assert_eq!(classifier(&registry, None).await.unwrap().version(), 1);

    publish(&store, "colors", &network, &golden(&network));
    registry.scan().await.unwrap();
    let status = registry.get("colors").unwrap();
    assert_eq!((status.serving, status.reason, status.versions), (Some(3), None, vec![1, 2, 3]));
}

#[tokio::test]
async fn the_newest_good_version_serves_also_after_a_restart() {
    let (folder, store) = store();
    let network = colors();
    for _ in 0..4 {
        publish(&store, "colors", &network, &golden(&network));
    }
    publish(&store, "other", &network, &golden(&network));
    std::fs::write(folder.path().join("colors/3/model.onnx"), "damaged").unwrap();
    std::fs::remove_file(folder.path().join("colors/4/golden/golden.json")).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "stray").unwrap();
    let registry = registry(&store, &Arc::default());
    registry.scan().await.unwrap();
    let status = registry.get("colors").unwrap();
    assert_eq!((status.state, status.serving), (ModelState::Ready, Some(2)));
    assert!(status.reason.is_some_and(|reason| reason.starts_with("version 4: ")));
    assert_eq!(registry.get("other").unwrap().serving, Some(1));
}

#[tokio::test]
async fn a_first_version_that_fails_serves_nobody() {
    let (_folder, store) = store();
    let network = colors();
    let mut wrong = golden(&network);
    wrong[0].bytes.truncate(60);
    publish(&store, "colors", &network, &wrong);
    let registry = registry(&store, &Arc::default());
    registry.scan().await.unwrap();
    assert_eq!(registry.get("colors").unwrap().state, ModelState::Failed);
    let Err(LookupError::Failed { reason, .. }) = classifier(&registry, Some("colors")).await else { panic!() };
    assert!(reason.contains("golden image red.bmp: the bmp is truncated"), "{reason}");
}

#[tokio::test]
async fn the_only_classifier_needs_no_name() {
    let (_folder, store) = store();
    let network = colors();
    let registry = registry(&store, &Arc::default());
    assert_eq!(classifier(&registry, None).await.err(), Some(LookupError::NotNamed { known: vec![] }));

    publish(&store, "only", &network, &golden(&network));
    publish(&store, "bones", &crate::inference::testing::network(None), &[]);
    registry.scan().await.unwrap();
    assert_eq!(classifier(&registry, None).await.unwrap().name().as_str(), "only");
    assert_eq!(registry.get("bones").unwrap().state, ModelState::Backbone);
    let backbone = classifier(&registry, Some("bones")).await.err();
    assert_eq!(backbone, Some(LookupError::Backbone("bones".parse().unwrap())));

    publish(&store, "second", &network, &[]);
    registry.scan().await.unwrap();
    let error = classifier(&registry, None).await.err().unwrap();
    let expected =
        "name the model with `?model=`, or choose a default with `PUT /default-model`; there are only, second";
    assert_eq!(error.to_string(), expected);
    assert_eq!(classifier(&registry, Some("second")).await.unwrap().version(), 1);
    let error = classifier(&registry, Some("../only")).await.err().unwrap();
    assert_eq!(error.to_string(), "there is no model `../only`; there are only, second");
}

#[tokio::test]
async fn a_model_that_panics_has_failed_and_says_so() {
    let (_folder, store) = store();
    let network = colors();
    publish(&store, "colors", &network, &golden(&network));
    // Two golden images alone, one batch, two runs that are timed, and one that gives its memory back; then the request.
    let watch = Arc::new(Mutex::new(EngineRecord { panics: Some(6), ..EngineRecord::default() }));
    let registry = registry(&store, &watch);
    registry.scan().await.unwrap();
    let model = classifier(&registry, None).await.unwrap();
    let decoder = Decoder::new(std::num::NonZeroUsize::MIN, models::preprocess::Limits::default(), 1_000_000);
    let deadline = Instant::now() + Duration::from_secs(60);
    let answer = model.run(&decoder, request(vec![bmp(RED)], deadline)).await;
    assert!(matches!(answer, Err(InferenceError::Failed(_))), "{answer:?}");
    assert_eq!(registry.get("colors").unwrap().state, ModelState::Failed);
    assert!(matches!(classifier(&registry, None).await, Err(LookupError::Failed { .. })));
    // Who has found the model before it failed.
    let answer = model.run(&decoder, request(vec![bmp(RED)], deadline)).await;
    assert!(matches!(answer, Err(InferenceError::Stopped(_))), "{answer:?}");
}

#[tokio::test]
async fn a_request_of_more_images_than_are_decoded_at_a_time_is_answered_in_order() {
    let (_folder, store) = store();
    publish(&store, "colors", &colors(), &[]);
    let open = Arc::new(|file: &[u8]| RecordingEngine::set(file, Arc::default()));
    let registry = Registry::with_opener(store, open, options(1, 64));
    registry.scan().await.unwrap();
    let model = classifier(&registry, None).await.unwrap();
    let decoder = Decoder::new(std::num::NonZeroUsize::MIN, models::preprocess::Limits::default(), 1_000_000);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut images = vec![bmp(RED); 20];
    images[13] = b"no image".to_vec();
    images[17] = bmp(GREEN);
    let answer = model.run(&decoder, request(images, deadline)).await.unwrap();
    let top = |logits: &Vec<f32>| (0..3).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
    let classes: Vec<_> = answer.logits.iter().map(|logits| logits.as_ref().ok().map(top)).collect();
    let mut expected = vec![Some(0); 20];
    expected[13] = None;
    expected[17] = Some(1);
    assert_eq!(classes, expected);
    assert_eq!(model.waiting(), 0);
}

#[tokio::test]
async fn a_model_that_is_removed_is_gone() {
    let (folder, store) = store();
    let network = network(Some(&["a", "b", "c"]));
    publish(&store, "colors", &network, &[]);
    let registry = registry(&store, &Arc::default());
    registry.scan().await.unwrap();
    assert!(registry.get("colors").is_some());
    std::fs::remove_dir_all(folder.path().join("colors")).unwrap();
    registry.scan().await.unwrap();
    assert!(registry.get("colors").is_none());
}
