//! What the store promises.

use std::fs;

use models::ops::{Flatten, GlobalAvgPool, Linear, Shape};
use models::{GraphBuilder, Labels, ModelSpec, Network, Preprocess, init};

use super::{Artifacts, Golden, ModelContent, ModelName, ModelStore, StoreError};

fn network() -> Network {
    let mut graph = GraphBuilder::new("input", Shape::image(3, 8, 8));
    let x = graph.push("pool", GlobalAvgPool, &[graph.input()]).unwrap();
    let x = graph.push("flatten", Flatten, &[x]).unwrap();
    let x = graph.push("fc", Linear::new(3, 2), &[x]).unwrap();
    let graph = graph.finish(x);
    let labels = Labels::new(vec!["light".into(), "dark".into()]);
    let preprocess = Preprocess::torchvision(8, 8);
    let spec = ModelSpec { architecture: "tiny".into(), labels: Some(labels), preprocess, training: None };
    Network::new(graph.clone(), &init::he(&graph, 1), spec).unwrap()
}

fn store() -> (tempfile::TempDir, ModelStore, ModelName) {
    let folder = tempfile::tempdir().unwrap();
    let store = ModelStore::open(folder.path()).unwrap();
    (folder, store, "tiny".parse().unwrap())
}

fn publish(store: &ModelStore, name: &ModelName) -> u32 {
    let golden = [Golden { file_name: "0.png".into(), bytes: vec![1, 2, 3], logits: vec![0.5, -0.5] }];
    let content = &ModelContent::Native(Box::new(network()));
    store.publish(name, &Artifacts { content, golden: &golden, report: None }).unwrap()
}

#[test]
fn what_is_published_is_read_back() {
    let (_folder, store, name) = store();
    assert_eq!([publish(&store, &name), publish(&store, &name)], [1, 2]);
    assert_eq!(store.list().unwrap()[0].versions, [1, 2]);
    assert_eq!(store.latest(&name).unwrap(), Some(2));
    let model = store.read(&name, 1).unwrap();
    assert_eq!((model.spec, model.golden[0].bytes.as_slice()), (network().spec, &[1, 2, 3][..]));
    let ModelContent::Native(stored) = store.content(&name, 2).unwrap() else { panic!("an opaque model") };
    assert_eq!(*stored, network());
}

#[test]
fn an_opaque_file_is_stored_as_it_is() {
    let (_folder, store, name) = store();
    let file = onnx::export(&network(), &onnx::ExportOptions::default()).unwrap();
    let content = ModelContent::Opaque(file.clone());
    let artifacts = Artifacts { content: &content, golden: &[], report: None };
    let version = store.publish(&name, &artifacts).unwrap();
    assert_eq!(store.read(&name, version).unwrap().onnx, file);
    assert!(store.is_opaque(&name, version).unwrap());
    let ModelContent::Opaque(stored) = store.content(&name, version).unwrap() else { panic!("a network") };
    assert_eq!(stored, file);
    assert!(!store.is_opaque(&name, publish(&store, &name)).unwrap());
}

#[test]
fn versions_published_at_once_all_get_a_number() {
    let (_folder, store, name) = store();
    let mut versions: Vec<u32> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| publish(&store, &name))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_version_that_was_never_finished_is_not_seen() {
    let (folder, store, name) = store();
    fs::create_dir_all(folder.path().join("tiny/.staging-killed")).unwrap();
    assert_eq!(store.list().unwrap(), []);
    assert_eq!(publish(&store, &name), 1);
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let (_folder, store, name) = store();
    publish(&store, &name);
    let error = store.resolve(&"other".parse().unwrap(), None).unwrap_err().to_string();
    assert_eq!(error, "there is no model `other`; there are tiny");
    let error = store.resolve(&name, Some(9)).unwrap_err().to_string();
    assert_eq!(error, "model `tiny` has no version 9; it has [1]");
}

#[test]
fn a_damaged_version_is_an_error() {
    let (folder, store, name) = store();
    publish(&store, &name);
    let version = folder.path().join("tiny/1");
    let weights = version.join("weights.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(store.content(&name, 1), Err(StoreError::Damaged { .. })));
    fs::write(version.join("golden/golden.json"), r#"[{"file": "../../secret", "logits": []}]"#).unwrap();
    assert!(matches!(store.read(&name, 1), Err(StoreError::Damaged { .. })));
}
