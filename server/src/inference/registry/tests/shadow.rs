//! A shadow beside the live version.

use bytes::Bytes;

use super::*;
use crate::inference::testing::publish_only;
use crate::inference::{ShadowReport, ShadowState};
use crate::store::ModelName;

fn name() -> ModelName {
    "colors".parse().unwrap()
}

/// Two versions of one network. The second calls green blue, and blue green.
fn versions(store: &ModelStore) {
    let (network, swapped) = (colors(), network(Some(&["red", "blue", "green"])));
    publish_only(store, "colors", &network, &golden(&network));
    publish_only(store, "colors", &swapped, &golden(&swapped));
}

fn decoder() -> Decoder {
    Decoder::new(std::num::NonZeroUsize::MIN, models::preprocess::Limits::default(), 1_000_000)
}

/// Has images answered as a request does.
async fn ask(registry: &Registry, images: Vec<Vec<u8>>) {
    let (decoder, model) = (decoder(), classifier(registry, None).await.unwrap());
    let images: Vec<Bytes> = images.into_iter().map(Bytes::from).collect();
    let sample = registry.shadow_sample(&model, &images, &decoder);
    let deadline = Instant::now() + Duration::from_secs(60);
    let result = model.run(&decoder, request(images, deadline)).await.unwrap();
    if let Some(sample) = sample {
        sample.answered(&model, &result, "request");
    }
}

/// Waits until the shadow has done with so many images.
async fn done(registry: &Registry, images: u64) -> ShadowReport {
    loop {
        let report = registry.shadow(&name()).unwrap();
        let counts = report.images;
        if counts.compared + counts.dropped + counts.failed == images {
            return report;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_agreement_is_what_paper_says() {
    let (_folder, store) = store();
    versions(&store);
    let registry = registry(&store, &Arc::default());
    store.set_shadow(&name(), 2, 1.0).unwrap();
    registry.scan().await.unwrap();
    // Both call red red. Of green the second says that it is blue: six of ten agree.
    for _ in 0..2 {
        ask(&registry, vec![bmp(RED), bmp(GREEN), bmp(RED), bmp(GREEN)]).await;
    }
    ask(&registry, vec![bmp(RED), b"no image".to_vec(), bmp(RED)]).await;
    let report = done(&registry, 10).await;
    assert_eq!((report.state, report.version, report.live), (ShadowState::Running, 2, Some(1)));
    assert_eq!((report.images.sampled, report.images.compared, report.images.agreed), (10, 10, 6));
    assert_eq!(report.agreement, Some(0.6));
    assert_eq!(report.disagreements.len(), 4);
    let last = &report.disagreements[0];
    assert_eq!((&last.live.labels[..], &last.shadow.labels[..]), (&["green".to_owned()][..], &["blue".to_owned()][..]));
    assert_eq!((last.request_id.as_str(), last.image), ("request", 4));
    // By Python's hashlib, of the green picture.
    assert_eq!(last.sha256, "8dab2ffbd6206f47eaa993d86a654e09331a3a46467f2e49591fbd318c4d68a4");
    let latency = report.latency_ms;
    assert!(latency.live.unwrap().p50 > 0.0 && latency.shadow.unwrap().p95 > 0.0);
    let text = registry.0.starter.options.metrics.encode(|_| {});
    for line in [
        "graft_shadow_images_total{model=\"colors\",outcome=\"agreed\"} 6",
        "graft_shadow_images_total{model=\"colors\",outcome=\"disagreed\"} 4",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn a_shadow_waits_for_a_moment_without_requests_and_gives_up_what_waits_too_long() {
    let (_folder, store) = store();
    versions(&store);
    let registry = registry(&store, &Arc::default());
    store.set_shadow(&name(), 2, 1.0).unwrap();
    registry.scan().await.unwrap();
    let held = classifier(&registry, None).await.unwrap();
    // While a request holds the model, one image waits with the thread, 16 in the queue, and what comes then is dropped.
    for _ in 0..5 {
        ask(&registry, vec![bmp(RED); 4]).await;
    }
    let report = registry.shadow(&name()).unwrap();
    assert_eq!((report.images.sampled, report.images.compared), (20, 0));
    assert!(report.images.dropped >= 3, "{report:?}");
    let report = done(&registry, 20).await;
    assert_eq!((report.images.compared, report.images.dropped), (0, 20), "nothing was answered within two seconds");
    drop(held);
    ask(&registry, vec![bmp(RED)]).await;
    assert_eq!(done(&registry, 21).await.images.compared, 1);
}

#[tokio::test]
async fn what_a_shadow_has_counted_survives_the_server_and_ends_with_its_promotion() {
    let (_folder, store) = store();
    versions(&store);
    let first = registry(&store, &Arc::default());
    store.set_shadow(&name(), 2, 1.0).unwrap();
    first.scan().await.unwrap();
    ask(&first, vec![bmp(RED), bmp(GREEN)]).await;
    let counted = done(&first, 2).await;
    // The thread saves when the last reference to its shadow is gone.
    drop(first);
    while store.shadow_record::<serde_json::Value>(&name()).unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = registry(&store, &Arc::default());
    second.scan().await.unwrap();
    let report = second.shadow(&name()).unwrap();
    assert_eq!(
        (report.images, report.agreement, report.disagreements),
        (counted.images, Some(0.5), counted.disagreements)
    );
    second.promote(&name(), 2).await.unwrap();
    second.scan().await.unwrap();
    assert_eq!((second.shadow(&name()), second.get("colors").unwrap().serving), (None, Some(2)));
}

#[tokio::test]
async fn a_shadow_that_fails_its_self_test_says_why_and_costs_the_live_version_nothing() {
    let (_folder, store) = store();
    let network = colors();
    publish_only(&store, "colors", &network, &golden(&network));
    let mut wrong = golden(&network);
    wrong[0].logits[0] += 0.1;
    publish_only(&store, "colors", &network, &wrong);
    let registry = registry(&store, &Arc::default());
    store.set_shadow(&name(), 2, 1.0).unwrap();
    registry.scan().await.unwrap();
    let report = loop {
        let report = registry.shadow(&name()).unwrap();
        if report.state != ShadowState::Loading {
            break report;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(report.state, ShadowState::Failed);
    assert!(report.reason.unwrap().starts_with("golden image red.bmp: the logits differ"));
    ask(&registry, vec![bmp(RED)]).await;
    store.clear_shadow(&name()).unwrap();
    registry.scan().await.unwrap();
    assert_eq!(registry.shadow(&name()), None);
}
