//! The choices about a model.

use std::fs;

use super::*;
use crate::store::{Availability, DeleteGuard, LONGEST_NOTE};

fn labels(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn a_version_that_is_published_leaves_the_one_that_answers() {
    let (_folder, store, name) = store();
    let live = || store.settings(&name).unwrap().live_of(&store.versions(&name).unwrap());
    publish(&store, &name);
    assert_eq!((live(), store.settings(&name).unwrap()), (Some(1), ModelSettings::default()));
    publish(&store, &name);
    publish(&store, &name);
    assert_eq!((live(), store.resolve(&name, None).unwrap(), store.latest(&name).unwrap()), (Some(1), 1, Some(3)));
    store.set_live(&name, 3).unwrap();
    assert_eq!(live(), Some(3));
    store.set_live(&name, 2).unwrap();
    publish(&store, &name);
    assert_eq!((live(), store.versions(&name).unwrap()), (Some(2), vec![1, 2, 3, 4]));
    assert!(matches!(store.set_live(&name, 9), Err(StoreError::UnknownVersion { version: 9, .. })));
    assert!(matches!(store.set_live(&"nope".parse().unwrap(), 1), Err(StoreError::Unknown { .. })));
    assert_eq!(live(), Some(2), "a refusal changes nothing");
}

#[test]
fn the_first_version_of_a_model_can_be_held_back() {
    let (_folder, store, name) = store();
    let content = &ModelContent::Native(Box::new(network()));
    let artifacts = Artifacts { content, golden: &[], report: None, pictures: &[], quantized: None };
    store.publish_held(&name, &artifacts, None).unwrap();
    assert_eq!(store.settings(&name).unwrap().availability, Availability::Stopped);
    store.set_availability(&name, Availability::Served).unwrap();
    store.publish_held(&name, &artifacts, None).unwrap();
    let settings = store.settings(&name).unwrap();
    assert_eq!((settings.availability, settings.live), (Availability::Served, Some(1)), "the first goes on answering");
}

#[test]
fn the_live_version_is_deleted_only_by_those_who_say_so_and_no_number_is_given_twice() {
    let (_folder, store, name) = store();
    for _ in 0..3 {
        publish(&store, &name);
    }
    let refused = store.delete(&name, 1, DeleteGuard::KeepLive).unwrap_err().to_string();
    assert!(refused.starts_with("version 1 of `tiny` is live; make another version live first"), "{refused}");
    store.delete(&name, 3, DeleteGuard::KeepLive).unwrap();
    assert_eq!(store.versions(&name).unwrap(), [1, 2]);
    assert!(matches!(store.delete(&name, 3, DeleteGuard::AnyVersion), Err(StoreError::UnknownVersion { .. })));
    assert_eq!(publish(&store, &name), 4);
    store.delete(&name, 1, DeleteGuard::AnyVersion).unwrap();
    assert_eq!(store.resolve(&name, None).unwrap(), 4, "the newest of the others answers");
    for version in [2, 4] {
        store.delete(&name, version, DeleteGuard::AnyVersion).unwrap();
    }
    assert_eq!(store.list().unwrap().models, []);
    assert_eq!(publish(&store, &name), 5);
}

#[test]
fn the_live_version_and_its_shadow_are_not_pruned() {
    let (_folder, store, name) = store();
    for _ in 0..6 {
        publish(&store, &name);
    }
    store.set_live(&name, 2).unwrap();
    store.set_shadow(&name, 3, 0.5).unwrap();
    assert_eq!(store.prune(&name, NonZeroU32::MIN, &[]).unwrap(), [1, 4, 5]);
    assert_eq!(store.versions(&name).unwrap(), [2, 3, 6]);
}

#[test]
fn classes_are_called_as_people_say_wherever_a_version_is_read() {
    let (_folder, store, name) = store();
    publish(&store, &name);
    store.set_labels(&name, 1, labels(&["hell", "dunkel"])).unwrap();
    let read = store.read(&name, 1).unwrap().spec.labels.unwrap();
    assert_eq!(read.names(), ["hell", "dunkel"]);
    assert_eq!(store.spec(&name, 1).unwrap().labels.unwrap().names(), ["hell", "dunkel"]);
    let ModelContent::Native(content) = store.content(&name, 1).unwrap() else { panic!("an opaque model") };
    assert_eq!(content.spec.labels.unwrap().names(), ["hell", "dunkel"]);
    for (names, expected) in [
        (&["one"][..], "it has 2 classes, and 1 names were given"),
        (&["same", "same"], "two classes would be called `same`"),
        (&["a", "  "], "`  ` is no name"),
    ] {
        let error = store.set_labels(&name, 1, labels(names)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(store.spec(&name, 1).unwrap().labels.unwrap().names(), ["hell", "dunkel"]);
}

#[test]
fn notes_are_kept_of_models_and_versions_and_removed_by_an_empty_text() {
    let (_folder, store, name) = store();
    publish(&store, &name);
    store.set_notes(&name, " for the shop window\n").unwrap();
    store.set_version_notes(&name, 1, "without March").unwrap();
    let settings = store.settings(&name).unwrap();
    assert_eq!(settings.notes.as_deref(), Some("for the shop window"));
    assert_eq!(settings.versions[&1].notes.as_deref(), Some("without March"));
    store.set_notes(&name, " ").unwrap();
    assert_eq!(store.settings(&name).unwrap().notes, None);
    assert!(matches!(store.set_notes(&name, &"x".repeat(LONGEST_NOTE + 1)), Err(StoreError::Note { length: 16_385 })));
}

#[test]
fn a_shadow_is_another_version_than_the_live_one_and_ends_when_it_is_let_in() {
    let (_folder, store, name) = store();
    publish(&store, &name);
    publish(&store, &name);
    for (version, share) in [(1, 0.5), (2, 0.0), (2, 1.5), (2, f64::NAN)] {
        assert!(matches!(store.set_shadow(&name, version, share), Err(StoreError::Shadow { .. })), "{version} {share}");
    }
    store.set_shadow(&name, 2, 0.25).unwrap();
    let shadow = store.settings(&name).unwrap().shadow.unwrap();
    assert_eq!((shadow.version, shadow.share), (2, 0.25));
    store.save_shadow(&name, shadow.since, &[1, 2]).unwrap();
    assert_eq!(store.shadow_record::<Vec<u32>>(&name).unwrap(), Some(vec![1, 2]));
    store.set_live(&name, 2).unwrap();
    assert_eq!(store.settings(&name).unwrap().shadow, None);
    assert_eq!(store.shadow_record::<Vec<u32>>(&name).unwrap(), None, "what it had counted goes with it");
    store.save_shadow(&name, shadow.since, &[3]).unwrap();
    assert_eq!(store.shadow_record::<Vec<u32>>(&name).unwrap(), None, "a thread that ends late saves nothing");
}

#[test]
fn the_default_model_is_one_that_there_is() {
    let (_folder, store, name) = store();
    assert_eq!(store.default_model().unwrap(), None);
    assert!(matches!(store.set_default_model(Some(&name)), Err(StoreError::Unknown { .. })));
    publish(&store, &name);
    store.set_default_model(Some(&name)).unwrap();
    assert_eq!(store.default_model().unwrap(), Some(name));
    assert_eq!(store.list().unwrap().models.len(), 1, "the choice is no model");
    store.set_default_model(None).unwrap();
    assert_eq!(store.default_model().unwrap(), None);
}

#[test]
fn damaged_choices_are_told_with_their_file_and_cost_no_other_model() {
    let (folder, store, name) = store();
    publish(&store, &name);
    publish(&store, &"other".parse().unwrap());
    fs::write(folder.path().join("tiny/model.json"), "{").unwrap();
    let listing = store.list().unwrap();
    assert_eq!(listing.models.len(), 1);
    let error = listing.unreadable[0].1.to_string();
    assert!(error.contains("tiny/model.json: the settings are damaged"), "{error}");
}

#[test]
fn choices_made_at_once_are_all_kept() {
    let (_folder, store, name) = store();
    for _ in 0..8 {
        publish(&store, &name);
    }
    std::thread::scope(|scope| {
        for version in 1..=8 {
            let (store, name) = (&store, &name);
            scope.spawn(move || store.set_version_notes(name, version, &format!("note {version}")).unwrap());
        }
    });
    let settings = store.settings(&name).unwrap();
    let notes: Vec<_> = settings.versions.values().filter_map(|version| version.notes.clone()).collect();
    assert_eq!(notes, (1..=8).map(|version| format!("note {version}")).collect::<Vec<_>>());
}
