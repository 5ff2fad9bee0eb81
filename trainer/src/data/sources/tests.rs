//! Layouts that people have, each with how it is understood or why it is refused.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::data::testing::{picture, write};
use crate::data::{DatasetSummary, Fractions, Omission, OmissionReason, Partition, Subset};

/// A tree of these entries: `a/b*3` is three pictures in `a/b`, `a/x.bmp` one picture, anything else a text file.
fn tree(entries: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let mut number = 0;
    let mut next = || {
        number += 1;
        picture(number)
    };
    for entry in entries {
        match entry.rsplit_once('*') {
            Some((folder, count)) => {
                for at in 0..count.parse::<usize>().unwrap() {
                    write(root.path(), [(format!("{folder}/{at:03}.bmp").as_str(), next())]);
                }
            }
            None if entry.ends_with('/') => std::fs::create_dir_all(root.path().join(entry)).unwrap(),
            None if FileKind::is_picture_name(entry) => write(root.path(), [(*entry, next())]),
            None => write(root.path(), [(*entry, b"text".to_vec())]),
        }
    }
    root
}

fn open(root: &Path, layout: Layout) -> Result<Dataset, DatasetError> {
    DatasetSource::new(layout, root).list()
}

/// `name train/validation/test/unassigned`, a class each.
fn classes(dataset: &Dataset) -> Vec<String> {
    let count = |class: usize, subset: Option<Subset>| {
        dataset.samples.iter().filter(|sample| (sample.class, sample.subset) == (class, subset)).count()
    };
    let subsets = [Some(Subset::Train), Some(Subset::Validation), Some(Subset::Test), None];
    let line = |(class, name): (usize, &String)| {
        format!("{name} {}", subsets.map(|subset| count(class, subset).to_string()).join("/"))
    };
    dataset.labels.names().iter().enumerate().map(line).collect()
}

fn omissions(dataset: &Dataset) -> Vec<(OmissionReason, usize)> {
    dataset.account.omissions().into_iter().map(|Omission { reason, count, .. }| (reason, count)).collect()
}

/// Entries, classes as above, and omissions.
type Understood<'a> = (&'a [&'a str], &'a [&'a str], &'a [(OmissionReason, usize)]);

#[test]
fn layouts_of_tutorials_and_competitions_are_understood() {
    use OmissionReason::{BesideClasses, Litter, OtherFile, OutsideSubsets, Unlabeled};
    let cases: &[Understood<'_>] = &[
        // TensorFlow's flower_photos.
        (
            &["flower_photos/daisy*3", "flower_photos/tulips*4", "flower_photos/LICENSE.txt"],
            &["daisy 0/0/0/3", "tulips 0/0/0/4"],
            &[(OtherFile, 1)],
        ),
        // torchvision's hymenoptera_data.
        (&["h/train/ants*3", "h/train/bees*3", "h/val/ants*2", "h/val/bees*1"], &["ants 3/2/0/0", "bees 3/1/0/0"], &[]),
        // Keras's cats_and_dogs_filtered.
        (
            &["train/cats*3", "train/dogs*3", "validation/cats*1", "validation/dogs*1", "vectorize.py"],
            &["cats 3/1/0/0", "dogs 3/1/0/0"],
            &[(OtherFile, 1)],
        ),
        // Roboflow's folders.
        (
            &[
                "train/a*3",
                "train/b*3",
                "valid/a*1",
                "valid/b*1",
                "test/a*1",
                "test/b*1",
                "README.dataset.txt",
                "README.roboflow.txt",
            ],
            &["a 3/1/1/0", "b 3/1/1/0"],
            &[(OtherFile, 2)],
        ),
        // Intel's scenes.
        (
            &[
                "seg_train/seg_train/sea*3",
                "seg_train/seg_train/street*3",
                "seg_test/seg_test/sea*1",
                "seg_test/seg_test/street*2",
                "seg_pred/seg_pred*5",
            ],
            &["sea 3/0/1/0", "street 3/0/2/0"],
            &[(OutsideSubsets, 5)],
        ),
        // Kaggle's cat-and-dog.
        (
            &[
                "training_set/training_set/cats*3",
                "training_set/training_set/dogs*3",
                "training_set/training_set/_DS_Store",
                "test_set/test_set/cats*1",
                "test_set/test_set/dogs*1",
            ],
            &["cats 3/0/1/0", "dogs 3/0/1/0"],
            &[(Litter, 1)],
        ),
        // Kaggle's chest_xray, with the second copy that its archive has.
        (
            &[
                "train/NORMAL*3",
                "train/PNEUMONIA*4",
                "val/NORMAL*1",
                "val/PNEUMONIA*1",
                "test/NORMAL*1",
                "test/PNEUMONIA*1",
                "chest_xray/train/NORMAL*3",
                "__MACOSX/x.bmp",
            ],
            &["NORMAL 3/1/1/0", "PNEUMONIA 4/1/1/0"],
            &[(OutsideSubsets, 3), (Litter, 1)],
        ),
        // A competition's flat test folder.
        (&["train/maize*3", "train/wheat*3", "test*5"], &["maize 3/0/0/0", "wheat 3/0/0/0"], &[(Unlabeled, 5)]),
        // One stray picture among the class folders.
        (
            &["train/a*3", "train/b*3", "train/overview.bmp", "val/a*1", "val/b*1"],
            &["a 3/1/0/0", "b 3/1/0/0"],
            &[(BesideClasses, 1)],
        ),
        (&["a*3", "b*3", "contact-sheet.bmp"], &["a 0/0/0/3", "b 0/0/0/3"], &[(BesideClasses, 1)]),
        // Caltech-101 has image_0001.jpg in each class.
        (
            &[
                "101_ObjectCategories/crab/image_0001.jpg",
                "101_ObjectCategories/crab/image_0002.jpg",
                "101_ObjectCategories/yin_yang/image_0001.jpg",
            ],
            &["crab 0/0/0/2", "yin_yang 0/0/0/1"],
            &[],
        ),
        // CUB-200 and Stanford Dogs.
        (
            &["CUB/images/001.Albatross*3", "CUB/images/002.Cardinal*3", "CUB/images.txt", "CUB/parts/parts.txt"],
            &["001.Albatross 0/0/0/3", "002.Cardinal 0/0/0/3"],
            &[(OtherFile, 2)],
        ),
        (&["data/data/a*3", "data/data/b*3"], &["a 0/0/0/3", "b 0/0/0/3"], &[]),
        // A class may be called as a subset, and pictures may lie deeper.
        (&["rose*3", "train*3", "iris/wild*1", "iris*2"], &["iris 0/0/0/3", "rose 0/0/0/3", "train 0/0/0/3"], &[]),
    ];
    for (entries, expected, left_out) in cases {
        let root = tree(entries);
        let dataset = open(root.path(), Layout::Auto).unwrap_or_else(|error| panic!("{entries:?}: {error}"));
        assert_eq!(
            (classes(&dataset), omissions(&dataset)),
            (expected.iter().map(|&c| c.to_owned()).collect(), left_out.to_vec()),
            "{entries:?}"
        );
    }
}

#[test]
fn likely_wrong_guesses_are_refused_with_the_way_on() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["train*5", "test*3"], &["`test`, `train` are named for subsets", "--layout class_folders"]),
        (&["train*5", "val*2", "test*3", "other*2"], &["are named for subsets"]),
        (&["training_set*5", "test_set*3"], &["are named for subsets"]),
        (
            &["train/cat.0.jpg", "train/cat.1.jpg", "train/dog.0.jpg", "train/dog.1.jpg", "test/1.jpg"],
            &["begin with `cat`, `dog`", "--layout file_names"],
        ),
        (&["val/a*3", "val/b*3", "test/a*3", "test/b*3"], &["no folder holds images to train on"]),
        (
            &["day/cat*3", "day/dog*3", "night/cat*3", "night/dog*3"],
            &["all hold the folders `cat`, `dog`", "--classes cat,dog"],
        ),
        (
            &["train/day/cat*3", "train/day/dog*3", "train/night/cat*3", "train/night/dog*3"],
            &["`day`, `night` all hold the folders"],
        ),
        (
            &["daisy*3", "tulip*3", "flowers/daisy*3", "flowers/tulip*3"],
            &["`flowers` holds folders named as its siblings", "--classes daisy,tulip"],
        ),
        // Roboflow's and Ultralytics' detection.
        (
            &["train/images*5", "train/labels/000.txt", "valid/images*2", "valid/labels/000.txt", "data.yaml"],
            &["`images`, `labels`", "detection or segmentation"],
        ),
        (&["train/images*5", "val/images*2"], &["`images`", "detection or segmentation"]),
        (&["images*5", "masks*5"], &["detection or segmentation", "--layout class_folders"]),
        (&["images*5", "annotations/a.xml"], &["1 folder(s) of pictures", "`annotations/a.xml` is VOC annotations"]),
        (
            &["a*1", "b*1", "IMG_1.jpg", "IMG_2.jpg", "IMG_3.jpg"],
            &["3 pictures lie beside the class folders and only 2 in them"],
        ),
        (&["roses*5"], &["1 folder(s) of pictures", "at least two classes"]),
        (
            &["Abyssinian_1.jpg", "Abyssinian_2.jpg", "Bengal_1.jpg", "Bengal_2.jpg"],
            &["0 folder(s) of pictures", "--layout file_names"],
        ),
        (&["train.parquet"], &["`train.parquet` is a Parquet file"]),
        (
            &["MNIST/raw/train-images-idx3-ubyte.gz", "MNIST/raw/train-labels-idx1-ubyte.gz"],
            &["train-images-idx3-ubyte.gz` is MNIST's arrays of pictures", "in a folder for each class"],
        ),
        (&["train/a*3", "train/b*3", "val/c*1"], &["class `c` is in `val` but not in `train`"]),
        (&["train/a*3", "train/b*3", "val/a*1", "validation/b*1"], &["two names of the same subset"]),
    ];
    for (entries, expected) in cases {
        let refused = open(tree(entries).path(), Layout::Auto).unwrap_err().to_string();
        assert!(expected.iter().all(|part| refused.contains(part)), "{entries:?}: {refused}, expected {expected:?}");
    }
}

#[test]
fn a_file_of_another_kind_of_data_set_is_called_what_it_is() {
    let root = tree(&["train-images-idx3-ubyte", "cifar.tfrecord", "notes.txt"]);
    for (name, expected) in [
        ("train-images-idx3-ubyte", "`train-images-idx3-ubyte` is MNIST's arrays of pictures"),
        ("cifar.tfrecord", "`cifar.tfrecord` is TensorFlow records"),
        ("notes.txt", "holds no data set that graft knows"),
    ] {
        let refused = open(&root.path().join(name), Layout::Auto).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}

#[test]
fn devices_pipes_and_sockets_are_no_data_sets_in_any_layout() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe.csv"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    for path in [Path::new("/dev/zero").to_owned(), at("pipe.csv"), at("socket")] {
        for layout in [Layout::Auto, Layout::Csv, Layout::ClassFolders, Layout::Cifar10] {
            let refused = open(&path, layout).unwrap_err().to_string();
            assert_eq!(refused, format!("cannot read {}: it is a device, pipe or socket, not a file", path.display()));
        }
    }
    let missing = open(&at("missing"), Layout::Auto).unwrap_err().to_string();
    assert!(missing.starts_with(&format!("cannot read {}: No such file", at("missing").display())), "{missing}");
}

#[test]
fn the_user_settles_what_is_in_doubt() {
    let subsets = tree(&["train*5", "test*3"]);
    assert_eq!(classes(&open(subsets.path(), Layout::ClassFolders).unwrap()), ["test 0/0/0/3", "train 0/0/0/5"]);
    let names = tree(&["train/cat.0.jpg", "train/cat.1.jpg", "train/dog.0.jpg", "val/dog.7.jpg", "test/1.jpg"]);
    let dataset = open(names.path(), Layout::FileNames).unwrap();
    assert_eq!(
        (classes(&dataset), omissions(&dataset)),
        (vec!["cat 2/0/0/0".into(), "dog 1/1/0/0".into()], vec![(OmissionReason::Unlabeled, 1)])
    );
    let twice = tree(&["day/cat*3", "day/dog*3", "night/cat*3", "night/dog*3", "sheet.bmp"]);
    let named = |classes: &[&str]| {
        let classes = classes.iter().map(|&class| class.to_owned()).collect();
        DatasetSource { classes, ..DatasetSource::new(Layout::Auto, twice.path()) }.list()
    };
    assert_eq!(classes(&named(&["dog", "cat"]).unwrap()), ["dog 0/0/0/6", "cat 0/0/0/6"]);
    assert_eq!(classes(&named(&["day", "night"]).unwrap()), ["day 0/0/0/6", "night 0/0/0/6"]);
    assert_eq!(omissions(&named(&["cat", "dog"]).unwrap()), [(OmissionReason::OtherClass, 1)]);
    let refused = named(&["cat", "bird"]).unwrap_err().to_string();
    assert!(refused.contains("`bird`, and no folder is called so"), "{refused}");
}

#[test]
fn tables_and_folders_that_name_the_same_pictures_agree_or_are_refused() {
    let with_table = |entries: &[&str], table: &str| {
        let root = tree(entries);
        std::fs::write(root.path().join("train.csv"), table).unwrap();
        root
    };
    // A competition: flat folders, and labels for those to train on.
    let flat = with_table(&["train*4", "test*3", "sample_submission.csv"], "id,label\n000,a\n001,b\n002,a\n003,b\n");
    std::fs::write(flat.path().join("sample_submission.csv"), "id,label\n000,a\n001,a\n002,a\n").unwrap();
    let dataset = open(flat.path(), Layout::Auto).unwrap();
    assert_eq!((dataset.layout, classes(&dataset)), (Layout::Csv, vec!["a 0/0/0/2".into(), "b 0/0/0/2".into()]));
    assert_eq!(omissions(&dataset), [(OmissionReason::NotInTable, 3), (OmissionReason::OtherFile, 1)]);
    let folders = ["a*2", "b*2"];
    let agrees = with_table(&folders, "path,label\na/000.bmp,a\nb/001.bmp,B\n");
    let dataset = open(agrees.path(), Layout::Auto).unwrap();
    assert_eq!((dataset.layout, omissions(&dataset)), (Layout::ClassFolders, vec![(OmissionReason::UnusedTable, 1)]));
    let splits = with_table(&folders, "path,label,split\na/000.bmp,a,train\nb/001.bmp,b,test\n");
    assert_eq!(open(splits.path(), Layout::Auto).unwrap().layout, Layout::Csv);
    let disagrees = with_table(&folders, "path,label\na/000.bmp,rose\nb/001.bmp,iris\n");
    let refused = open(disagrees.path(), Layout::Auto).unwrap_err().to_string();
    assert!(
        refused.contains("calls `a/000.bmp` `rose`, and its folder is `a`") && refused.contains("--layout csv"),
        "{refused}"
    );
    assert_eq!(open(disagrees.path(), Layout::Csv).unwrap().labels.names(), ["iris", "rose"]);
    assert_eq!(open(disagrees.path(), Layout::Folder).unwrap().labels.names(), ["a", "b"]);
    // Two tables for two subsets are one data set.
    let two = with_table(
        &["Train/0*3", "Train/1*3", "Test*2"],
        "ClassId,Path\n0,Train/0/000.bmp\n0,Train/0/001.bmp\n0,Train/0/002.bmp\n1,Train/1/000.bmp\n1,Train/1/001.bmp\n",
    );
    std::fs::write(two.path().join("Test.csv"), "ClassId,Path\n0,Test/000.bmp\n1,Test/001.bmp\n").unwrap();
    assert_eq!(classes(&open(two.path(), Layout::Auto).unwrap()), ["0 3/0/1/0", "1 2/0/1/0"]);
}

#[test]
fn every_entry_of_a_walk_is_used_or_named_with_a_reason() {
    let root = tree(&[
        "a*2",
        "b*2",
        "a/@eaDir/000.bmp/SYNOPHOTO_THUMB_S.jpg",
        "a/.hidden.bmp",
        "b/._000.bmp",
        "b/photo.jpg.crdownload",
        "b/notes.docx",
        "lost+found/1.bmp",
    ]);
    let at = |name: &str| root.path().join(name);
    symlink(".", at("loop")).unwrap();
    symlink("..", at("a/up")).unwrap();
    symlink("/nowhere/1.jpg", at("a/gone.jpg")).unwrap();
    symlink("/nowhere/c", at("c")).unwrap();
    symlink("/nowhere/readme.txt", at("readme.txt")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("b/pipe.png"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    std::fs::write(at("a/scan.tif"), b"II*\0").unwrap();
    std::fs::write(at("a/really-a-bitmap.tif"), picture(90)).unwrap();
    std::fs::write(at("b/without-ending"), picture(91)).unwrap();
    std::fs::write(at("b/portrait.jfif"), picture(92)).unwrap();
    let bytes: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9.jpg");
    std::fs::write(at("a").join(bytes), picture(93)).unwrap();
    let dataset = open(root.path(), Layout::Auto).unwrap();
    use OmissionReason::{BrokenLink, Hidden, LinkLoop, Litter, OtherFile, Unfinished};
    assert_eq!(classes(&dataset), ["a 0/0/0/3", "b 0/0/0/4"]);
    let expected = [(OtherFile, 1), (LinkLoop, 2), (BrokenLink, 1), (Unfinished, 1), (Hidden, 1), (Litter, 3)];
    assert_eq!(omissions(&dataset), expected);
    let mut faults: Vec<String> = dataset.account.faults().iter().map(|fault| fault.reason.clone()).collect();
    faults.sort();
    let expected = [
        "caf\\xe9.jpg\": the name is not UTF-8",
        "gone.jpg: it is a link whose target is gone",
        "scan.tif: TIFF is not",
        "pipe.png: it is a device, pipe or socket",
        "/c: it is a link whose target is gone",
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:?}");
    for part in expected {
        assert!(faults.iter().any(|fault| fault.contains(part)), "{faults:?}, expected {part}");
    }
    let refused = dataset.check(BadFilePolicy::Refuse).unwrap_err().to_string();
    assert!(refused.starts_with("5 file(s) cannot be used") && refused.contains("--bad-files skip"), "{refused}");
}

#[test]
fn a_folder_that_may_not_be_read_is_a_fault_and_no_class() {
    let root = tree(&["a*3", "b*3", "secret*3"]);
    let secret = root.path().join("secret");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    // Root may read everything.
    if std::fs::read_dir(&secret).is_err() {
        let dataset = open(root.path(), Layout::Auto).unwrap();
        assert!(dataset.account.faults()[0].reason.contains("secret: the folder cannot be read"));
    }
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn names_are_compared_as_text() {
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    let both = tree(&[&format!("{composed}*2"), &format!("{decomposed}*2"), "tea*2", "tea *2"]);
    let dataset = open(both.path(), Layout::Auto).unwrap();
    assert_eq!(classes(&dataset), [format!("{composed} 0/0/0/4"), "tea 0/0/0/4".to_owned()]);
    let warnings: Vec<String> = dataset.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    let split = tree(&[&format!("train/{composed}*2"), "train/tea*2", &format!("val/{decomposed}*1"), "val/Tea*1"]);
    let dataset = open(split.path(), Layout::Auto).unwrap();
    assert_eq!(classes(&dataset), [format!("{composed} 2/1/0/0"), "tea 2/1/0/0".to_owned()]);
    let warnings: Vec<String> = dataset.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["`tea` and `val/Tea` differ in upper and lower case alone; check that this is meant"]);
}

#[test]
fn a_summary_counts_classes_in_subsets_and_names_what_is_left_out() {
    let root = tree(&["train/a*8", "train/b*8", "test/a*2", "test/b*2", "train/overview.bmp"]);
    let dataset = open(root.path(), Layout::Auto).unwrap();
    let split = dataset.split(Partition::Fractions(Fractions { validation: 0.25, test: 0.25 }), 0);
    let summary = DatasetSummary::new(&dataset, &split);
    let counts: Vec<_> = summary.classes.iter().map(|c| (c.name.as_str(), c.train, c.validation, c.test)).collect();
    assert_eq!(counts, [("a", 6, 2, 2), ("b", 6, 2, 2)]);
    assert_eq!(
        (summary.layout, summary.images, &summary.given_subsets[..]),
        (Layout::SubsetFolders, 20, &["train".to_owned(), "test".to_owned()][..])
    );
    assert_eq!(summary.evidence, "the folders `train`, `test` hold a folder for each class");
    assert_eq!(summary.omissions[0].examples, [root.path().join("train/overview.bmp").display().to_string()]);
}
