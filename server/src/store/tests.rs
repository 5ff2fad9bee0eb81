//! What the store promises.

mod built_in;
mod settings;

use std::fs;
use std::num::NonZeroU32;

use models::ops::{Flatten, GlobalAvgPool, Linear, Shape};
use models::{GraphBuilder, Labels, ModelSpec, Network, Preprocess, init};

use super::{
    Artifacts, Golden, JobOrigin, ModelContent, ModelEntry, ModelName, ModelSettings, ModelStore, Publication,
    StoreError,
};

fn network() -> Network {
    let mut graph = GraphBuilder::new("input", Shape::image(3, 8, 8));
    let x = graph.push("pool", GlobalAvgPool, &[graph.input()]).unwrap();
    let x = graph.push("flatten", Flatten, &[x]).unwrap();
    let x = graph.push("fc", Linear::new(3, 2), &[x]).unwrap();
    let graph = graph.finish(x);
    let labels = Labels::new(vec!["light".into(), "dark".into()]);
    let preprocess = Preprocess::torchvision(8, 8);
    let spec = ModelSpec::new("tiny", Some(labels), preprocess);
    Network::new(graph.clone(), &init::he(&graph, 1), spec).unwrap()
}

fn store() -> (tempfile::TempDir, ModelStore, ModelName) {
    let folder = tempfile::tempdir().unwrap();
    let store = ModelStore::open(folder.path()).unwrap();
    (folder, store, "tiny".parse().unwrap())
}

fn publish(store: &ModelStore, name: &ModelName) -> u32 {
    let golden = [Golden { file_name: "0.png".into(), bytes: vec![1, 2, 3], logits: vec![0.5, -0.5], noise: 0.0 }];
    let content = &ModelContent::Native(Box::new(network()));
    store.publish(name, &Artifacts { content, golden: &golden, report: None, pictures: &[], quantized: None }).unwrap()
}

#[test]
fn what_is_published_is_read_back() {
    let (_folder, store, name) = store();
    assert_eq!([publish(&store, &name), publish(&store, &name)], [1, 2]);
    assert_eq!(store.list().unwrap().models[0].versions, [1, 2]);
    assert_eq!(store.latest(&name).unwrap(), Some(2));
    let model = store.read(&name, 1).unwrap();
    assert_eq!((model.spec, model.golden[0].bytes.as_slice()), (network().spec, &[1, 2, 3][..]));
    let ModelContent::Native(content) = store.content(&name, 2).unwrap() else { panic!("an opaque model") };
    assert_eq!(*content, network());
}

#[test]
fn an_opaque_file_is_stored_as_it_is() {
    let (_folder, store, name) = store();
    let file = onnx::export(&network(), &onnx::ExportOptions::default()).unwrap();
    let content = ModelContent::Opaque(file.clone());
    let artifacts = Artifacts { content: &content, golden: &[], report: None, pictures: &[], quantized: None };
    let version = store.publish(&name, &artifacts).unwrap();
    assert_eq!(store.read(&name, version).unwrap().onnx, file);
    assert!(store.is_opaque(&name, version).unwrap());
    let ModelContent::Opaque(bytes) = store.content(&name, version).unwrap() else { panic!("a network") };
    assert_eq!(bytes, file);
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
    assert_eq!(store.list().unwrap().models, []);
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

#[test]
fn a_pipe_in_the_place_of_a_file_is_an_error_and_is_not_waited_for() {
    let (folder, store, name) = store();
    publish(&store, &name);
    for file in ["1/model.onnx", "1/golden/golden.json", "1/report.json", "model.json"] {
        let path = folder.path().join("tiny").join(file);
        fs::remove_file(&path).ok();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }
    for error in [store.read(&name, 1).err(), store.settings(&name).err(), store.report(&name, 1).err()] {
        let text = error.unwrap().to_string();
        assert!(text.contains("it is a device, pipe or socket, not a file"), "{text}");
    }
}

#[test]
fn a_file_with_the_name_of_a_model_takes_the_name() {
    let (folder, store, _) = store();
    fs::write(folder.path().join("taken"), "notes").unwrap();
    assert!(matches!(store.settings(&"taken".parse().unwrap()), Err(StoreError::Taken(_))));
}

#[test]
fn stray_files_and_unreadable_folders_cost_no_other_model() {
    let (folder, store, name) = store();
    publish(&store, &name);
    fs::write(folder.path().join("README.txt"), "notes").unwrap();
    fs::write(folder.path().join("tiny/notes"), "notes").unwrap();
    fs::create_dir(folder.path().join("tiny/007")).unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let listing = store.list().unwrap();
    assert_eq!(
        listing.models,
        [ModelEntry { name: name.clone(), versions: vec![1], settings: ModelSettings::default() }]
    );
    let strays: Vec<&str> = listing.unreadable.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(strays, ["README.txt"]);
    assert!(listing.unreadable[0].1.to_string().contains("README.txt"));
}

fn publish_once(
    store: &ModelStore,
    name: &ModelName,
    job: &str,
    permitted: &dyn Fn() -> bool,
) -> Result<u32, StoreError> {
    let content = &ModelContent::Native(Box::new(network()));
    let artifacts = Artifacts { content, golden: &[], report: None, pictures: &[], quantized: None };
    let origin = JobOrigin { id: job.to_owned(), attempt: 1 };
    store.publish_once(name, &artifacts, &Publication { origin, permitted })
}

#[test]
fn a_job_publishes_one_version_however_often_and_from_however_many_processes() {
    let (_folder, store, name) = store();
    publish(&store, &name);
    let versions: Vec<u32> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| publish_once(&store, &name, "job", &|| true).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(versions, [2; 8]);
    assert_eq!(publish_once(&store, &name, "another job", &|| true).unwrap(), 3);
    assert_eq!(publish_once(&store, &name, "job", &|| false).unwrap(), 2, "it is published already");
    assert_eq!(store.published_by(&name, "job").unwrap(), Some(2));
    assert_eq!(store.published_by(&name, "a third").unwrap(), None);
}

#[test]
fn a_job_that_may_not_publish_any_more_leaves_nothing() {
    let (folder, store, name) = store();
    let error = publish_once(&store, &name, "job", &|| false).unwrap_err();
    assert!(matches!(error, StoreError::Withdrawn), "{error}");
    assert_eq!(store.latest(&name).unwrap(), None);
    let names: Vec<_> =
        fs::read_dir(folder.path().join("tiny")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [".lock"]);
}

#[test]
fn old_versions_are_removed_but_the_newest_good_and_the_served_ones_stay() {
    let (folder, store, name) = store();
    let below = |name: &str| folder.path().join("tiny").join(name);
    let keep = |number| NonZeroU32::new(number).unwrap();
    for _ in 0..6 {
        publish(&store, &name);
    }
    store.set_live(&name, 6).unwrap();
    fs::create_dir(below(".removed-9")).unwrap();
    assert_eq!(store.prune(&name, keep(5), &[]).unwrap(), [1]);
    assert!(!below(".removed-9").exists(), "what an interrupted run left is removed too");
    for version in [4, 5, 6] {
        fs::write(below(&version.to_string()).join("model.onnx"), "damaged").unwrap();
    }
    assert_eq!(store.prune(&name, keep(1), &[4]).unwrap(), [2, 5]);
    assert_eq!(store.list().unwrap().models[0].versions, [3, 4, 6]);
    assert_eq!(publish(&store, &name), 7, "no number is given twice");
    assert_eq!(store.prune(&"nobody".parse().unwrap(), keep(1), &[]).unwrap(), [0_u32; 0]);
}
