//! Which variant answers.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use onnx::export::WeightPrecision;
use onnx::{EngineKind, EngineSet, ExportOptions};
use trainer::evaluate::EvaluatedSubset;
use trainer::finetune::ModelContent;
use trainer::quantize::{QuantizationReport, Quantized, QuantizedImages, Variant};

use super::*;
use crate::inference::testing::{SlowEngine, colors, golden, options, publish};
use crate::inference::{InferenceOptions, MemoryOptions, Model, Registry, ShadowState, VariantError};
use crate::store::Artifacts;

/// A stored version whose variant has these shares of right answers, and this file.
fn published(accuracy: [f64; 2], file: Option<Vec<u8>>) -> (tempfile::TempDir, ModelStore, StoredModel) {
    let folder = tempfile::tempdir().unwrap();
    let store = ModelStore::open(folder.path()).unwrap();
    let (network, golden) = (colors(), golden(&colors()));
    let halves = ExportOptions { weights: WeightPrecision::Half, ..ExportOptions::default() };
    let [accuracy, reference] = accuracy;
    let variant = Variant {
        kind: VariantKind::Fp16,
        onnx: file.unwrap_or_else(|| onnx::export(&network, &halves).unwrap()),
        golden: golden.iter().map(|golden| golden.logits.clone()).collect(),
        tolerance: 1e-4,
        accuracy: VariantAccuracy { images: 200, accuracy, reference, agreement: 1.0 },
    };
    let images = QuantizedImages { subset: EvaluatedSubset::Test, images: 200 };
    let report = QuantizationReport {
        model: "colors".to_owned(),
        version: None,
        calibration: images,
        test: images,
        quantized_nodes: 1,
        weight_bits: 8,
        variants: vec![],
        layers: vec![],
        threads: 1,
        seconds: 1.0,
    };
    let quantized = Quantized { variants: vec![variant], report };
    let content = &ModelContent::Native(Box::new(network));
    let artifacts = Artifacts { content, golden: &golden, report: None, pictures: &[], quantized: Some(&quantized) };
    let name = "colors".parse().unwrap();
    let version = store.publish(&name, &artifacts).unwrap();
    let stored = store.read(&name, version).unwrap();
    (folder, store, stored)
}

/// Opens engines of which one for this file takes so many milliseconds for a run, and one for another file so many.
fn opener(f32_file: &[u8], [single, variant]: [u64; 2]) -> Opener {
    let f32_file = f32_file.to_vec();
    Arc::new(move |file| {
        let inner = onnx::engine::open(EngineKind::Tract, file, NonZeroUsize::MIN)?;
        let delay = Duration::from_millis(if file == f32_file { single } else { variant });
        Ok(EngineSet::single(Box::new(SlowEngine { inner, delay })))
    })
}

/// The choice where a run of the version in `f32` takes so many milliseconds, and one of its variant so many.
fn chosen(store: &ModelStore, stored: &StoredModel, [single, variant]: [u64; 2]) -> VariantChoice {
    let open = opener(&stored.onnx, [single, variant]);
    choose(stored, &VariantContext { open: &open, store, max_batch: 1, max_accuracy_drop: 0.5 })
}

#[test]
fn the_faster_variant_answers_if_it_is_good_enough() {
    // Half a point of 200 images is one image.
    let (_folder, store, stored) = published([0.950, 0.955], None);
    let choice = chosen(&store, &stored, [20, 1]);
    let faster = choice.faster.unwrap();
    assert_eq!((faster.variant, faster.onnx != stored.onnx), (VariantKind::Fp16, true));
    let [single, variant] = &choice.statuses[..] else { panic!("{:?}", choice.statuses) };
    assert_eq!((single.serving, variant.serving), (false, true));
    assert_eq!(single.reason, "fp16 is faster");
    assert!(variant.reason.ends_with("times as fast as f32"), "{}", variant.reason);
    assert!(single.milliseconds > Some(19.0) && variant.milliseconds < single.milliseconds);
}

#[test]
fn a_variant_that_costs_more_than_it_may_or_gains_nothing_does_not_answer() {
    let (_folder, store, stored) = published([0.949, 0.955], None);
    let choice = chosen(&store, &stored, [20, 1]);
    assert!(choice.faster.is_none());
    let reason = &choice.statuses[1].reason;
    assert!(reason.ends_with("but it costs 0.60 points of accuracy, and --max-accuracy-drop allows 0.5"), "{reason}");

    let (_folder, store, stored) = published([0.955, 0.955], None);
    let choice = chosen(&store, &stored, [5, 20]);
    assert!(choice.faster.is_none());
    assert!(choice.statuses[0].serving && !choice.statuses[1].serving);
    assert!(choice.statuses[1].reason.starts_with("0."), "{}", choice.statuses[1].reason);
}

#[test]
fn a_loss_of_three_images_of_340_is_refused_however_fast_the_variant_is() {
    // What ResNet-50 lost on the 340 test images of Oxford-17 with one of the seeds: 334 right became 331.
    let (_folder, store, stored) = published([331.0 / 340.0, 334.0 / 340.0], None);
    let choice = chosen(&store, &stored, [20, 1]);
    assert!(choice.faster.is_none());
    let [single, variant] = &choice.statuses[..] else { panic!("{:?}", choice.statuses) };
    assert_eq!((single.serving, variant.serving), (true, false));
    assert_eq!(single.reason, "no other variant is good enough and 1.1 times as fast");
    let (speed, cost) = variant.reason.split_once(", but ").unwrap();
    assert_eq!(cost, "it costs 0.88 points of accuracy, and --max-accuracy-drop allows 0.5");
    assert!(speed.ends_with("times as fast as f32") && variant.milliseconds < single.milliseconds, "{variant:?}");
}

#[test]
fn a_variant_that_does_not_open_or_answers_otherwise_is_passed_over() {
    let (_folder, store, stored) = published([1.0, 1.0], Some(b"junk".to_vec()));
    let choice = chosen(&store, &stored, [1, 1]);
    assert!(choice.faster.is_none());
    assert!(choice.statuses[1].reason.contains("tract cannot open the model"), "{}", choice.statuses[1].reason);

    let (_folder, store, mut stored) = published([1.0, 1.0], None);
    stored.variants[0].golden[0][1] += 0.5;
    let choice = chosen(&store, &stored, [20, 1]);
    assert!(choice.faster.is_none());
    assert!(
        choice.statuses[1].reason.starts_with("golden image red.bmp: the logits differ"),
        "{}",
        choice.statuses[1].reason
    );
}

#[test]
fn a_version_of_one_variant_is_not_measured() {
    let (_folder, store, mut stored) = published([1.0, 1.0], None);
    stored.variants.clear();
    let choice = chosen(&store, &stored, [1, 1]);
    assert!(choice.faster.is_none() && choice.statuses.is_empty());
}

async fn served(registry: &Registry) -> Arc<Model> {
    registry.classifier(None, Instant::now() + Duration::from_secs(60)).await.unwrap()
}

#[tokio::test]
async fn a_request_may_name_another_variant_of_the_version_that_answers() {
    let (_folder, store, stored) = published([1.0, 1.0], None);
    let registry = Registry::with_opener(store, opener(&stored.onnx, [20, 1]), options(1, 4));
    registry.scan().await.unwrap();
    let model = served(&registry).await;
    assert_eq!(model.plan().variant, VariantKind::Fp16);
    assert!(Arc::ptr_eq(&registry.in_variant(&model, VariantKind::Fp16).await.unwrap(), &model));
    let alone = model.memory();
    let (first, second) =
        tokio::join!(registry.in_variant(&model, VariantKind::F32), registry.in_variant(&model, VariantKind::F32));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.plan().variant, first.version()), (VariantKind::F32, model.version()));
    assert!(Arc::ptr_eq(&first, &second), "requests that come together load it once");
    assert_eq!(model.memory(), alone + first.memory(), "what it takes counts as its version's");
    let error = registry.in_variant(&model, VariantKind::Int8).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "model `colors` version 1 has no variant int8; it has f32, fp16; `graft quantize` makes them"
    );
}

#[tokio::test]
async fn a_variant_that_the_memory_budget_has_no_room_for_is_refused() {
    let (_folder, store, stored) = published([1.0, 1.0], None);
    let file = stored.onnx.len() as u64;
    // 64 MB are kept for the program. What is left holds one of the files, and not both.
    let budget = Some((64 << 20) + file + file / 2);
    let options = options(1, 4);
    let options = InferenceOptions { memory: MemoryOptions { budget, ..options.memory.clone() }, ..options };
    let registry = Registry::with_opener(store, opener(&stored.onnx, [20, 1]), options);
    registry.scan().await.unwrap();
    let model = served(&registry).await;
    let error = registry.in_variant(&model, VariantKind::F32).await.err().unwrap();
    assert!(
        matches!(error, VariantError::Failed { .. }) && error.to_string().contains("raise --memory-budget"),
        "{error}"
    );
}

#[tokio::test]
async fn a_shadow_is_the_variant_that_would_answer() {
    let (_folder, store, stored) = published([1.0, 1.0], None);
    assert_eq!(publish(&store, "colors", &colors(), &golden(&colors())), 2);
    store.set_shadow(&stored.name, 1, 1.0).unwrap();
    let registry = Registry::with_opener(store, opener(&stored.onnx, [20, 1]), options(1, 4));
    registry.scan().await.unwrap();
    assert_eq!(served(&registry).await.plan().variant, VariantKind::F32, "version 2 has one variant");
    let report = loop {
        let report = registry.shadow(&stored.name).unwrap();
        if report.state != ShadowState::Loading {
            break report;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!((report.state, report.version, report.variant), (ShadowState::Running, 1, Some(VariantKind::Fp16)));
}

#[tokio::test]
async fn a_version_takes_the_place_of_the_one_it_was_made_of_and_of_no_other() {
    let (_folder, store, stored) = published([1.0, 1.0], None);
    let registry = Registry::with_opener(store.clone(), opener(&stored.onnx, [1, 1]), options(1, 4));
    let (name, network) = (&stored.name, colors());
    for _ in 0..2 {
        let _version = publish(&store, "colors", &network, &golden(&network));
    }
    registry.scan().await.unwrap();
    let error = registry.replace(name, 1, 2).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "version 2 of `colors` was to take the place of version 1, but version 3 is live and goes on answering"
    );
    assert!(!store.replace_live(name, 1, 2).unwrap());
    assert_eq!(registry.get("colors").unwrap().serving, Some(3));
    // A server that goes on with another's job does it again.
    for _ in 0..2 {
        assert_eq!(registry.replace(name, 3, 2).await.unwrap().serving, Some(2));
    }
    assert!(store.replace_live(name, 2, 1).unwrap());
    registry.scan().await.unwrap();
    assert_eq!(registry.get("colors").unwrap().serving, Some(1));
}
