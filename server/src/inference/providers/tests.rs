//! What computes inside the engine of a model.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use onnx::EngineKind;

use super::*;
use crate::inference::testing::{SlowEngine, colors, golden, publish};
use crate::store::{ModelStore, StoredModel};

/// A stored model whose first golden answer is right, or not.
fn stored(is_right: bool) -> (tempfile::TempDir, StoredModel) {
    let folder = tempfile::tempdir().unwrap();
    let store = ModelStore::open(folder.path()).unwrap();
    let mut stored = {
        let version = publish(&store, "colors", &colors(), &golden(&colors()));
        store.read(&"colors".parse().unwrap(), version).unwrap()
    };
    if !is_right {
        stored.golden[0].logits[0] += 1.0;
    }
    (folder, stored)
}

/// Opens one engine, whose runs take so many milliseconds.
fn opener(delay: u64) -> Opener {
    Arc::new(move |file| {
        let inner = onnx::engine::open(EngineKind::Tract, file, NonZeroUsize::MIN)?;
        Ok(EngineSet::single(Box::new(SlowEngine { inner, delay: Duration::from_millis(delay) })))
    })
}

/// The status where a run takes so many milliseconds, and one of the rival so many.
fn status(own: u64, rival: Opener) -> ProviderStatus {
    let (_folder, model) = stored(true);
    let first = Some(ProviderStatus { provider: Provider::Cpu, reason: "measured".to_owned() });
    let rival = Some(Rival { provider: Provider::OpenVino, open: rival });
    let providers = Providers { open: opener(own), first, rival };
    opened(&providers, &model).unwrap().provider.unwrap()
}

fn opened(providers: &Providers, model: &StoredModel) -> Result<RehearsedEngines, String> {
    let (profile, throughput) = (RunProfile::Auto, &Throughput::default());
    providers.open(&Rehearsal { model, profile, max_batch: 1, throughput })
}

#[test]
fn the_faster_one_computes() {
    let ProviderStatus { provider, reason } = status(20, opener(1));
    assert_eq!(provider, Provider::OpenVino);
    assert!(reason.starts_with("it is ") && reason.contains(" times as fast as cpu for an image"), "{reason}");
}

#[test]
fn a_rival_that_gains_nothing_or_refuses_the_model_is_passed_over_with_a_reason() {
    let ProviderStatus { provider, reason } = status(5, opener(20));
    assert_eq!(provider, Provider::Cpu);
    assert!(reason.starts_with("openvino is 0."), "{reason}");

    let refusing: Opener = Arc::new(|_| Err(EngineError::NoProvider(Provider::OpenVino)));
    let ProviderStatus { provider, reason } = status(1, refusing);
    assert_eq!(provider, Provider::Cpu);
    assert!(reason.starts_with("openvino does not run it: OpenVINO is not loaded"), "{reason}");
}

#[test]
fn a_rival_answers_only_if_it_gives_the_recorded_answers() {
    // It is the fastest, and runs another network.
    let (_folder, model) = stored(true);
    let mut other = colors();
    other.params.insert("head.bias", models::Tensor::new([3], vec![9.0, 0.0, 0.0]));
    let file = onnx::export(&other, &onnx::ExportOptions::default()).unwrap();
    let open: Opener =
        Arc::new(move |_| Ok(EngineSet::single(onnx::engine::open(EngineKind::Tract, &file, NonZeroUsize::MIN)?)));
    let first = Some(ProviderStatus { provider: Provider::Cpu, reason: String::new() });
    let rival = Some(Rival { provider: Provider::OpenVino, open: open.clone() });
    let ProviderStatus { provider, reason } =
        opened(&Providers { open: opener(20), first, rival }, &model).unwrap().provider.unwrap();
    assert_eq!(provider, Provider::Cpu);
    assert!(reason.starts_with("openvino does not run it: golden image red.bmp: the logits differ by"), "{reason}");

    // Where it was asked for, the model does not serve.
    let first = Some(ProviderStatus { provider: Provider::OpenVino, reason: String::new() });
    let error = opened(&Providers { open, first, rival: None }, &model).err().unwrap();
    assert!(error.starts_with("golden image red.bmp: the logits differ by"), "{error}");
    let (_folder, wrong) = stored(false);
    assert!(opened(&Providers { open: opener(0), first: None, rival: None }, &wrong).is_err());
}

#[test]
fn a_profile_counts_what_it_is_for() {
    let speed = Speed { alone: 2.0, busy: 0.5 };
    let gains = [RunProfile::Auto, RunProfile::Latency, RunProfile::Throughput].map(|profile| speed.gain(profile));
    assert_eq!(gains, [1.0, 2.0, 0.5]);
}
