//! Answers that are kept.

use super::*;
use crate::inference::AnswerCache;

#[tokio::test]
async fn an_image_that_comes_again_is_answered_without_a_run_until_another_version_answers() {
    let (_folder, store) = store();
    let network = colors();
    publish(&store, "colors", &network, &golden(&network));
    let watch: Arc<Mutex<EngineRecord>> = Arc::default();
    let opened = watch.clone();
    let options = crate::inference::InferenceOptions { answers: AnswerCache::new(Some(1 << 20)), ..options(2, 4) };
    let open = Arc::new(move |file: &[u8]| RecordingEngine::set(file, opened.clone()));
    let registry = Registry::with_opener(store.clone(), open, options);
    registry.scan().await.unwrap();
    let decoder = Decoder::new(std::num::NonZeroUsize::MIN, models::preprocess::Limits::default(), 1_000_000);
    let runs = || watch.lock().unwrap().batches.len();
    let ask = async |color| {
        let model = classifier(&registry, None).await.unwrap();
        let asked = request(vec![bmp(color)], Instant::now() + Duration::from_secs(60));
        let result = model.run(&decoder, asked).await.unwrap();
        (result.logits[0].clone().unwrap(), result.batch)
    };

    let before = runs();
    let (logits, batch) = ask(RED).await;
    assert_eq!((batch, runs()), (1, before + 1));
    assert_eq!(ask(RED).await, (logits.clone(), 0));
    assert_eq!(runs(), before + 1, "no run");
    assert_ne!(ask(GREEN).await.0, logits);
    assert_eq!(runs(), before + 2);

    publish(&store, "colors", &network, &golden(&network));
    registry.scan().await.unwrap();
    let before = runs();
    assert_eq!(ask(RED).await, (logits, 1));
    assert_eq!(runs(), before + 1, "another version has its own answers");
    let counted = registry.0.starter.options.metrics.encode(|_| {});
    assert!(counted.contains("graft_images_answered_again_total{model=\"colors\",engine=\"tract\"} 1"), "{counted}");
}
