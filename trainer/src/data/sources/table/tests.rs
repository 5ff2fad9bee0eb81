//! Tables as people write them.

use super::super::{DatasetSource, OpenOptions};
use super::*;
use crate::data::FileAccess;
use crate::data::testing::{picture, write};

fn read(text: &str) -> Result<Dataset, DatasetError> {
    list(Path::new("folder/labels.csv"), text.as_bytes(), |name| Some(Content::File(FileAccess::Everywhere.file(name))))
}

#[test]
fn a_header_may_be_there_and_put_columns_in_any_order() {
    let plain = read("a/1.jpg,rose\na/2.jpg,\"iris, wild\"\n").unwrap();
    assert_eq!(plain.labels.names(), ["iris, wild", "rose"]);
    assert_eq!(plain.samples[0].path, Path::new("folder/a/1.jpg"));
    assert_eq!([plain.samples[0].class, plain.samples[1].class], [1, 0]);
    let named = read("\u{feff}Label;Split;Filename\r\nrose;train;1.jpg\r\niris;val;2.jpg\r\nrose;;3.jpg\r\n").unwrap();
    let subsets: Vec<_> = named.samples.iter().map(|sample| (sample.class, sample.subset)).collect();
    assert_eq!(subsets, [(1, Some(Subset::Train)), (0, Some(Subset::Validation)), (1, None)]);
    assert_eq!(named.samples[2].path, Path::new("folder/3.jpg"));
}

#[test]
fn numbers_are_in_the_order_of_numbers() {
    assert_eq!(read("1.jpg,10\n2.jpg,9\n3.jpg,0\n").unwrap().labels.names(), ["0", "9", "10"]);
    assert_eq!(read("1.jpg,10\n2.jpg,9\n3.jpg,x\n").unwrap().labels.names(), ["10", "9", "x"]);
}

#[test]
fn a_wrong_line_is_named() {
    let cases = [
        ("1.jpg,rose\n2.jpg\n", "labels.csv, line 2: it needs a path and a label"),
        ("1.jpg,rose,train\n2.jpg,rose,holdout\n", "line 2: `holdout` is not a subset"),
        ("1.jpg,rose\n2.jpg,iris\n1.jpg,iris\n", "line 3: `1.jpg` is also on line 1"),
    ];
    for (text, expected) in cases {
        let refused = read(text).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}, expected {expected}");
    }
}

#[test]
fn a_table_beside_one_folder_of_images_is_about_them() {
    let root = tempfile::tempdir().unwrap();
    let images = (0..4).map(|number| (format!("images/{number}.bmp"), picture(number)));
    let files: Vec<_> =
        images.chain([("labels.csv".to_owned(), b"images/2.bmp,b\n./images/0.bmp,a\n".to_vec())]).collect();
    write(root.path(), files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())));
    let limits = models::preprocess::Limits::default();
    for path in [root.path().to_owned(), root.path().join("labels.csv")] {
        let dataset = DatasetSource::Auto { path }.list_in(&OpenOptions::default()).unwrap();
        assert_eq!(dataset.labels.names(), ["a", "b"]);
        let read: Vec<_> = dataset.samples.iter().map(|sample| sample.read(&limits).unwrap()).collect();
        assert_eq!(read, [picture(2), picture(0)]);
    }
    std::fs::write(root.path().join("labels.csv"), "images/9.bmp,a\n").unwrap();
    let refused = DatasetSource::Auto { path: root.path().to_owned() }.list().unwrap_err().to_string();
    assert!(refused.contains("labels.csv, line 1: there is no file `images/9.bmp`"), "{refused}");
}
