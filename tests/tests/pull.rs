//! `graft pull` from a server that answers as the Hugging Face Hub does, with files under the real names.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::path::PathBuf;

use models::{Params, Tensor, init, weights, zoo};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tests::hub::{Hub, HubFile};
use tests::server::Sandbox;

/// What timm's repositories of torchvision's first and second weights say of themselves.
const V1: &str = r#""input_size": [3, 224, 224], "crop_pct": 0.875"#;
const V2: &str =
    r#""input_size": [3, 176, 176], "test_input_size": [3, 224, 224], "crop_pct": 0.875, "test_crop_pct": 0.965"#;

fn config(architecture: &str, evaluated: &str) -> HubFile {
    let text = format!(
        r#"{{"architecture": "{architecture}", "num_classes": 1000, "num_features": 512, "pretrained_cfg": {{
            "tag": "tv_in1k", "custom_load": false, {evaluated}, "fixed_input_size": false, "interpolation": "bilinear",
            "crop_mode": "center", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "num_classes": 1000,
            "pool_size": [7, 7], "first_conv": "conv1", "classifier": "fc", "license": "bsd-3-clause"}}}}"#
    );
    HubFile::new(text.into_bytes(), &"a1b2".repeat(10))
}

fn weights_file(params: &Params) -> (Vec<u8>, String) {
    let bytes = weights::write_safetensors(params).unwrap();
    let checksum = hex::encode(Sha256::digest(&bytes));
    (bytes, checksum)
}

/// Random weights of a ResNet-18 under torchvision's names, which are timm's too.
fn resnet18() -> Params {
    init::scrambled(&zoo::find("resnet18").unwrap().graph([224; 2], 1000).unwrap(), 4)
}

fn hub(repository: &str, files: Vec<(&str, HubFile)>) -> Hub {
    let path = |name: &str| format!("timm/{repository}/resolve/main/{name}");
    Hub::start(files.into_iter().map(|(name, file)| (path(name), file)).collect::<HashMap<_, _>>())
}

/// The command, with a cache of its own.
fn pull(sandbox: &Sandbox, hub: &Hub, network: &str) -> Vec<String> {
    let cache = sandbox.path("hub").display().to_string();
    ["pull", network, "--endpoint", hub.url(), "--hub-cache", &cache].map(str::to_owned).to_vec()
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

#[test]
fn a_network_is_fetched_checked_and_stored_with_the_preparation_of_its_weights() {
    let sandbox = Sandbox::default();
    let params = resnet18();
    let (bytes, checksum) = weights_file(&params);
    for (repository, evaluated, shorter) in [("resnet18.tv_in1k", V1, 256), ("resnet18.tv2_in1k", V2, 232)] {
        let files = vec![
            ("config.json", config("resnet18", evaluated)),
            ("model.safetensors", HubFile::new(bytes.clone(), &checksum)),
        ];
        let hub = hub(repository, files);
        let printed = sandbox.succeed(&words(&pull(&sandbox, &hub, &format!("timm/{repository}"))));
        assert!(printed.contains(&format!("shorter side to {shorter}, centre 224x224")), "{printed}");
        assert!(printed.contains("stored `resnet18`"), "{printed}");
    }
    let _live = sandbox.succeed(&["models", "live", "resnet18", "2"]);
    let models: Value = serde_json::from_str(&sandbox.succeed(&["models", "--json"])).unwrap();
    let spec = &models[0]["spec"];
    assert_eq!((&spec["architecture"], &spec["labels"][207]), (&"resnet18".into(), &"golden retriever".into()));
    assert_eq!(spec["preprocess"]["resize"], serde_json::json!({"mode": "shorter_side", "size": 232}));
    let file = std::fs::read(sandbox.path("data/models/resnet18/2/weights.safetensors")).unwrap();
    assert!(weights::read_safetensors(&file).unwrap() == params, "the weights differ");
}

#[test]
fn hub_and_cache_can_be_named_in_the_environment() {
    let sandbox = Sandbox::default();
    let (bytes, checksum) = weights_file(&resnet18());
    let file = HubFile::new(bytes, &checksum);
    let hub = hub("resnet18.tv_in1k", vec![("config.json", config("resnet18", V1)), ("model.safetensors", file)]);
    let mut command = sandbox.command(&["pull", "resnet18", "--name", "mine"]);
    command.env("HF_ENDPOINT", hub.url()).env("HF_HUB_CACHE", sandbox.path("cache"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(sandbox.path(&format!("cache/models--timm--resnet18.tv_in1k/blobs/{checksum}")).is_file());
    assert!(sandbox.path("data/models/mine/1/model.onnx").is_file());
}

#[test]
fn a_transfer_that_breaks_off_goes_on_where_it_was() {
    let sandbox = Sandbox::default();
    let (bytes, checksum) = weights_file(&resnet18());
    let broken = HubFile::new(bytes, &checksum).breaking(10_000_000);
    let hub = hub("resnet18.tv_in1k", vec![("config.json", config("resnet18", V1)), ("model.safetensors", broken)]);
    let _ = sandbox.succeed(&words(&pull(&sandbox, &hub, "resnet18")));
    let resumed = hub.requests().iter().any(|request| request.ends_with("model.safetensors bytes=10000000-"));
    assert!(resumed, "{:#?}", hub.requests());
    // What is there is not fetched again.
    let before = hub.requests().len();
    let _ = sandbox.succeed(&words(&pull(&sandbox, &hub, "resnet18")));
    assert_eq!(hub.requests().len(), before);
}

#[test]
fn what_an_earlier_attempt_left_is_taken_up_or_thrown_away() {
    let (bytes, checksum) = weights_file(&resnet18());
    let whole = bytes.len();
    let start = bytes[..1_000_000].to_vec();
    for (left, why) in [(start, "a part"), (vec![7; 5_000], "another file's part"), (bytes.clone(), "all of it")] {
        let sandbox = Sandbox::default();
        let file = HubFile::new(bytes.clone(), &checksum);
        let hub = hub("resnet18.tv_in1k", vec![("config.json", config("resnet18", V1)), ("model.safetensors", file)]);
        let part: PathBuf = sandbox.path(&format!("hub/models--timm--resnet18.tv_in1k/blobs/{checksum}.part"));
        std::fs::create_dir_all(part.parent().unwrap()).unwrap();
        std::fs::write(&part, left).unwrap();
        let printed = sandbox.succeed(&words(&pull(&sandbox, &hub, "resnet18")));
        assert!(printed.contains("stored `resnet18`"), "{why}: {printed}");
        let blob = part.with_extension("");
        assert_eq!(std::fs::metadata(blob).unwrap().len(), whole as u64, "{why}");
    }
}

#[test]
fn a_file_with_another_checksum_is_refused_and_not_kept() {
    let sandbox = Sandbox::default();
    let (bytes, _) = weights_file(&resnet18());
    let wrong = HubFile::new(bytes, &"0".repeat(64));
    let hub = hub("resnet18.tv_in1k", vec![("config.json", config("resnet18", V1)), ("model.safetensors", wrong)]);
    let error = sandbox.fail(&words(&pull(&sandbox, &hub, "resnet18")));
    assert!(error.contains("does not have the checksum that the hub says"), "{error}");
    assert!(!sandbox.path("data/models/resnet18").exists());
    assert!(!sandbox.path(&format!("hub/models--timm--resnet18.tv_in1k/blobs/{}", "0".repeat(64))).exists());
}

#[test]
fn what_is_not_there_or_not_built_is_named() {
    let sandbox = Sandbox::default();
    let hub = hub("convnext_tiny.in12k", vec![("config.json", config("convnext_tiny", V1))]);
    let error = sandbox.fail(&words(&pull(&sandbox, &hub, "timm/convnext_tiny.in12k")));
    assert!(error.contains("`convnext_tiny`, which graft does not build"), "{error}");
    let error = sandbox.fail(&words(&pull(&sandbox, &hub, "timm/nothing.here")));
    assert!(error.contains("has no config.json"), "{error}");
    let error = sandbox.fail(&words(&pull(&sandbox, &hub, "resnet18")));
    assert!(error.contains("/timm/resnet18.tv_in1k/resolve/main/model.safetensors cannot be fetched"), "{error}");
    assert!(error.contains("there is no such file"), "{error}");
    let error = sandbox.fail(&words(&pull(&sandbox, &hub, "resnet")));
    assert!(error.contains("resnet50.tv2_in1k"), "{error}");
}

/// The names that timm has for the linear layers of a VGG, as convolutions over the whole map. Half a gigabyte of weights.
#[test]
#[ignore = "takes a minute, and two gigabytes of memory and of disk"]
fn a_vgg_of_timms_is_fetched_under_timms_names() {
    let sandbox = Sandbox::default();
    let graph = zoo::find("vgg16").unwrap().graph([224; 2], 1000).unwrap();
    let params = init::scrambled(&graph, 4);
    let renamed: Params = params
        .iter()
        .map(|(name, tensor)| {
            let window = |tensor: &Tensor, shape: &[usize]| Tensor::new(shape, tensor.data().to_vec());
            match name {
                "classifier.0.weight" => ("pre_logits.fc1.weight".to_owned(), window(tensor, &[4096, 512, 7, 7])),
                "classifier.3.weight" => ("pre_logits.fc2.weight".to_owned(), window(tensor, &[4096, 4096, 1, 1])),
                name => {
                    let name = name.replace("classifier.0", "pre_logits.fc1").replace("classifier.3", "pre_logits.fc2");
                    (name.replace("classifier.6", "head.fc"), tensor.clone())
                }
            }
        })
        .collect();
    let (bytes, checksum) = weights_file(&renamed);
    let files = vec![("config.json", config("vgg16", V1)), ("model.safetensors", HubFile::new(bytes, &checksum))];
    let hub = hub("vgg16.tv_in1k", files);
    let printed = sandbox.succeed(&words(&pull(&sandbox, &hub, "vgg16")));
    assert!(printed.contains("with the names of timm, for vgg16"), "{printed}");
    let file = std::fs::read(sandbox.path("data/models/vgg16/1/weights.safetensors")).unwrap();
    assert!(weights::read_safetensors(&file).unwrap() == params, "the weights differ");
}
