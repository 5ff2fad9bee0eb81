//! The model that comes with the program, in a store of an older program.

use super::*;
use crate::store::BuiltInState;

fn publish_built_in(store: &ModelStore, name: &ModelName, checksum: &str) -> u32 {
    let content = &ModelContent::Native(Box::new(network()));
    let artifacts = Artifacts { content, golden: &[], report: None, pictures: &[], quantized: None };
    store.publish_built_in(name, &artifacts, checksum).unwrap()
}

/// A store with version 1 of the model of an older program.
fn older() -> (tempfile::TempDir, ModelStore, ModelName) {
    let (folder, store, name) = store();
    assert_eq!(store.built_in_state(&name, "old").unwrap(), BuiltInState::Missing);
    assert_eq!(publish_built_in(&store, &name, "old"), 1);
    store.finish_built_in(&name, "as it was").unwrap();
    assert_eq!(store.built_in_state(&name, "old").unwrap(), BuiltInState::Settled);
    (folder, store, name)
}

#[test]
fn a_process_that_is_killed_between_publishing_and_letting_in_leaves_that_to_the_next() {
    let (folder, store, name) = older();
    assert_eq!(store.built_in_state(&name, "new").unwrap(), BuiltInState::Missing);
    assert_eq!(publish_built_in(&store, &name, "new"), 2);
    // Here it is killed; another one opens the store.
    let store = ModelStore::open(folder.path()).unwrap();
    assert_eq!(store.resolve(&name, None).unwrap(), 1, "the version before goes on answering");
    assert_eq!(store.built_in_state(&name, "new").unwrap(), BuiltInState::Unfinished);
    store.finish_built_in(&name, "as it is").unwrap();
    let settings = store.settings(&name).unwrap();
    assert_eq!((settings.live, settings.notes.as_deref()), (Some(2), Some("as it is")));
    assert_eq!(store.built_in_state(&name, "new").unwrap(), BuiltInState::Settled);
    assert_eq!(store.versions(&name).unwrap(), [1, 2], "it is not published twice");
}

#[test]
fn a_process_that_is_killed_before_the_rename_leaves_all_of_it_to_the_next() {
    let (folder, store, name) = older();
    publish_built_in(&store, &name, "new");
    // The settings are written before the folder gets its name.
    fs::remove_dir_all(folder.path().join("tiny/2")).unwrap();
    assert_eq!(store.built_in_state(&name, "new").unwrap(), BuiltInState::Missing);
    assert_eq!(store.resolve(&name, None).unwrap(), 1);
    assert_eq!(publish_built_in(&store, &name, "new"), 2);
    store.finish_built_in(&name, "as it is").unwrap();
    assert_eq!(store.resolve(&name, None).unwrap(), 2);
}

#[test]
fn somebody_who_chose_a_version_meanwhile_has_chosen() {
    let (_folder, store, name) = older();
    publish_built_in(&store, &name, "new");
    store.set_live(&name, 1).unwrap();
    assert_eq!(store.built_in_state(&name, "new").unwrap(), BuiltInState::Settled);
    store.finish_built_in(&name, "as it is").unwrap();
    assert_eq!(store.resolve(&name, None).unwrap(), 1);
}

#[test]
fn settings_of_before_have_nothing_left_to_do() {
    let (folder, store, name) = older();
    let path = folder.path().join("tiny/model.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("unfinished"), "{text}");
    fs::write(&path, r#"{"live": 1, "built_in": {"version": 1, "checksum": "old"}}"#).unwrap();
    assert_eq!(store.built_in_state(&name, "old").unwrap(), BuiltInState::Settled);
}
