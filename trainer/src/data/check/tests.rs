//! Bad files and duplicates.

use super::super::testing::{picture, write};
use super::super::{DatasetSource, Layout, Warning};
use super::*;

#[test]
fn bad_files_are_all_found_and_the_first_few_named() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..10 {
        let good = number < 3;
        let bytes = if good { picture(number) } else { b"no image".to_vec() };
        write(root.path(), [(format!("a/{number}.jpg").as_str(), bytes)]);
        write(root.path(), [(format!("b/{number}.bmp").as_str(), picture(number + 20))]);
    }
    let dataset = DatasetSource::new(Layout::Folder, root.path()).open().unwrap();
    let inspection = dataset.inspect(BadFilePolicy::Skip, &Limits::default()).unwrap();
    assert_eq!(inspection.bad.len(), 7);
    assert_eq!(inspection.images.iter().filter(|image| image.is_none()).count(), 7);
    assert_eq!(inspection.warnings, []);
    let refused = dataset.inspect(BadFilePolicy::Refuse, &Limits::default()).unwrap_err().to_string();
    assert!(refused.starts_with("7 file(s) cannot be used"), "{refused}");
    assert!(refused.contains("--bad-files skip"), "{refused}");
    assert!((3..10).all(|number| refused.contains(&format!("a/{number}.jpg"))), "{refused}");
}

#[test]
fn the_same_bytes_in_two_parts_or_two_classes_are_told() {
    let root = tempfile::tempdir().unwrap();
    let files = [
        ("train/a/1.bmp", 1),
        ("train/a/2.bmp", 2),
        ("train/b/3.bmp", 3),
        ("train/b/4.bmp", 4),
        ("val/a/copy.bmp", 1),
        ("val/b/5.bmp", 5),
        ("test/a/6.bmp", 6),
        ("test/b/7.bmp", 7),
        ("train/b/also.bmp", 2),
    ];
    write(root.path(), files.map(|(name, number)| (name, picture(number))));
    let dataset = DatasetSource::new(Layout::Auto, root.path()).open().unwrap();
    let warnings = dataset.inspect(BadFilePolicy::Refuse, &Limits::default()).unwrap().warnings;
    let path = |name| root.path().join(name);
    assert_eq!(
        warnings,
        [
            Warning::TwoClasses { first: path("train/a/2.bmp"), second: path("train/b/also.bmp") },
            Warning::Duplicate { trains: path("train/a/1.bmp"), measures: path("val/a/copy.bmp") },
        ]
    );
}
