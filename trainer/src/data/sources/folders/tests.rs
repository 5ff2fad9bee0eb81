//! Folders of classes, plain and in subsets.

use std::path::Path;

use super::*;
use crate::data::testing::{picture, write};
use crate::data::{Counts, DatasetSource, Layout, Partition};

fn open(path: &Path) -> Result<Dataset, DatasetError> {
    DatasetSource::new(Layout::Auto, path).open()
}

/// So many pictures for each of the classes, in folders under the name.
fn fill(root: &Path, classes: &[(&str, usize)]) {
    for (class, count) in classes {
        (0..*count).for_each(|number| {
            write(root, [(format!("{class}/{number}.bmp").as_str(), picture(number + class.len() * 40))]);
        });
    }
}

fn count(dataset: &Dataset, class: usize, subset: Option<Subset>) -> usize {
    dataset.samples.iter().filter(|sample| (sample.class, sample.subset) == (class, subset)).count()
}

#[test]
fn classes_are_folders_with_all_that_is_below_them_and_litter_is_passed_over() {
    let root = tempfile::tempdir().unwrap();
    fill(root.path(), &[("rose", 3), ("iris", 3), ("iris/wild", 1), ("train", 3)]);
    let nothing = ["iris/Thumbs.db", ".ipynb_checkpoints/1.png", "rose/.DS_Store", "__MACOSX/rose/0.bmp"];
    write(root.path(), nothing.map(|name| (name, vec![])));
    write(root.path(), [("rose/notes.txt", b"none".to_vec()), ("readme.txt", vec![])]);
    let dataset = open(root.path()).unwrap();
    // A class may be called `train`: there are images right in it.
    assert_eq!(dataset.labels.names(), ["iris", "rose", "train"]);
    assert_eq!([4, 3, 3], [0, 1, 2].map(|class| count(&dataset, class, None)));
    let omissions: Vec<_> = dataset.account.omissions().into_iter().map(|o| (o.reason, o.count)).collect();
    assert_eq!(omissions, [(OmissionReason::OtherFile, 2), (OmissionReason::Litter, 4)]);
}

#[test]
fn parts_keep_the_classes_of_train_and_say_what_they_lack() {
    let root = tempfile::tempdir().unwrap();
    fill(root.path(), &[("train/iris", 2), ("train/lily", 3), ("train/rose", 2), ("valid/rose", 1), ("test/iris", 2)]);
    std::fs::create_dir(root.path().join("test/lily")).unwrap();
    let dataset = open(root.path()).unwrap();
    assert_eq!(dataset.labels.names(), ["iris", "lily", "rose"]);
    assert_eq!(count(&dataset, 2, Some(Subset::Validation)), 1);
    assert_eq!(count(&dataset, 0, Some(Subset::Test)), 2);
    let said: Vec<String> = dataset.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said.iter().any(|warning| warning.contains("`lily` has no test image")), "{said:?}");
    let split = dataset.split(Partition::Counts(Counts { validation: 1, test: 1 }), 0);
    assert_eq!([7, 1, 2], [split.train.len(), split.validation.len(), split.test.len()]);
}

#[test]
fn what_cannot_be_learnt_or_told_apart_is_refused() {
    let cases: [(&[(&str, usize)], &str); 5] = [
        (&[("train/a", 3), ("train/b", 3), ("val/c", 1)], "class `c` is in `val` but not in `train`"),
        (&[("train/a", 3), ("train/b", 3), ("val/a", 1), ("validation/b", 1)], "both `val` and `validation`"),
        (&[("a", 3)], "1 folder(s) of pictures"),
        (&[("a", 3), ("b", 1)], "needs at least 3 usable image(s)"),
        (&[], "holds no data set that graft knows"),
    ];
    for (classes, expected) in cases {
        let root = tempfile::tempdir().unwrap();
        fill(root.path(), classes);
        let refused = open(root.path()).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}, expected {expected}");
    }
}

#[test]
fn an_empty_folder_is_a_class_that_lacks_images() {
    let root = tempfile::tempdir().unwrap();
    fill(root.path(), &[("a", 3), ("c", 3)]);
    std::fs::create_dir(root.path().join("b")).unwrap();
    let refused = open(root.path()).unwrap_err().to_string();
    assert!(refused.contains("class `b` (0)"), "{refused}");
}

#[test]
fn folders_named_for_several_classes_are_refused_with_advice_and_a_plus_alone_is_a_name() {
    for (folders, named) in [
        (&["rose", "tulip", "rose+tulip"][..], "`rose+tulip`"),
        (&["rose + lily", "Lily+tulip"][..], "`Lily+tulip`, `rose + lily`"),
        (&["train/rose", "train/tulip+Rose"][..], "`tulip+Rose`"),
    ] {
        let root = tempfile::tempdir().unwrap();
        fill(root.path(), &folders.iter().map(|folder| (*folder, 3)).collect::<Vec<_>>());
        let refused = open(root.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("the folders {named} are named for several classes")), "{refused}");
        assert!(refused.contains("write a table") && refused.contains("/1.jpg,"), "{refused}");
    }
    let root = tempfile::tempdir().unwrap();
    fill(root.path(), &[("C++", 3), ("18+", 3), ("salt+pepper", 3)]);
    assert_eq!(open(root.path()).unwrap().labels.names(), ["18+", "C++", "salt+pepper"]);
    // Whoever says so has classes of these names.
    let root = tempfile::tempdir().unwrap();
    fill(root.path(), &[("rose", 3), ("rose+tulip", 3)]);
    let dataset = DatasetSource::new(Layout::ClassFolders, root.path()).open().unwrap();
    assert_eq!(dataset.labels.names(), ["rose", "rose+tulip"]);
}
