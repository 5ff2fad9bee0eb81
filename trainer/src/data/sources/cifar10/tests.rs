//! Both versions of CIFAR-10.

use std::path::Path;

use models::preprocess::Limits;

use super::*;
use crate::data::testing::{planes, write};
use crate::data::{Counts, DatasetSource, Layout, Partition};

fn open(path: &Path) -> Result<Dataset, DatasetError> {
    DatasetSource::new(Layout::Auto, path).list()
}

/// A batch of the binary version: images of these classes.
fn batch(classes: &[u8]) -> Vec<u8> {
    let record = |(number, class): (usize, &u8)| [&[*class][..], &planes(number)].concat();
    classes.iter().enumerate().flat_map(record).collect()
}

/// The pixels of a sample, channels first.
fn pixels(sample: &Sample) -> Vec<u8> {
    let image = sample.decode(&Limits::default()).unwrap();
    (0..3).flat_map(|channel| image.data().iter().skip(channel).step_by(3).copied().collect::<Vec<_>>()).collect()
}

#[test]
fn binary_batches_are_records_of_a_class_and_three_planes() {
    let root = tempfile::tempdir().unwrap();
    let names = CLASSES.map(|class| format!("{class}s")).join("\n") + "\n\n";
    let files = [
        ("data_batch_1.bin", batch(&[3, 9])),
        ("data_batch_2.bin", batch(&[0])),
        ("test_batch.bin", batch(&[7])),
        ("batches.meta.txt", names.into_bytes()),
        ("readme.html", vec![]),
    ];
    write(root.path(), files);
    let dataset = open(root.path()).unwrap();
    let found: Vec<_> = dataset.samples.iter().map(|sample| (sample.class, sample.subset)).collect();
    let [train, test] = [Subset::Train, Subset::Test].map(Some);
    assert_eq!(found, [(3, train), (9, train), (0, train), (7, test)]);
    assert_eq!(dataset.labels.names()[3], "cats");
    assert_eq!(pixels(&dataset.samples[1]), planes(1));
    assert_eq!(dataset.samples[1].path, root.path().join("data_batch_1.bin/00001.bmp"));
}

#[test]
fn pickled_batches_hold_what_numpy_put_in_them() {
    let root = tempfile::tempdir().unwrap();
    let pickled = include_bytes!("../../../../tests/data/datasets/cifar10_batch.pickle").to_vec();
    let meta = include_bytes!("../../../../tests/data/datasets/cifar10_meta.pickle").to_vec();
    let folder = "cifar-10-batches-py";
    write(
        root.path(),
        [("data_batch_1", pickled), ("batches.meta", meta)]
            .map(|(n, b)| (format!("{folder}/{n}"), b))
            .iter()
            .map(|(n, b)| (n.as_str(), b.clone())),
    );
    let dataset = open(root.path()).unwrap();
    assert_eq!(dataset.labels.names(), CLASSES);
    assert_eq!(dataset.samples.iter().map(|sample| sample.class).collect::<Vec<_>>(), [6, 9, 0, 4]);
    for (number, sample) in dataset.samples.iter().enumerate() {
        let expected: Vec<u8> = (0..3072).map(|byte| (7 * byte + 31 * number) as u8).collect();
        assert_eq!(pixels(sample), expected);
    }
}

#[test]
fn what_is_no_batch_is_refused() {
    let cases = [
        ("data_batch_1.bin", vec![0; 3072], "no multiple of 3073"),
        ("data_batch_1.bin", batch(&[1, 10]), "image 1 is of class 10"),
        ("test_batch", b"\x80\x02}q\x00.".to_vec(), "no array `data`"),
        ("test_batch", b"\x80\x02}q\x00".to_vec(), "at byte 5"),
    ];
    for (name, bytes, expected) in cases {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), [(name, bytes)]);
        let refused = open(root.path()).unwrap_err().to_string();
        assert!(refused.contains(expected) && refused.contains(name), "{refused}, expected {expected}");
    }
    let root = tempfile::tempdir().unwrap();
    let refused = DatasetSource::new(Layout::Cifar10, root.path()).list().unwrap_err().to_string();
    assert!(refused.contains("data_batch_1.bin to data_batch_5.bin"), "{refused}");
}

#[test]
fn a_sample_of_the_real_one() {
    let Some(folder) = fixtures::real_data("cifar10/cifar-10-batches-bin") else { return };
    let dataset = DatasetSource::new(Layout::Auto, folder.clone()).open().unwrap();
    assert_eq!(dataset.labels.names(), CLASSES);
    let split = dataset.split(Partition::Counts(Counts { validation: 50, test: 0 }), 0);
    assert_eq!([split.train.len(), split.validation.len(), split.test.len()], [3500, 500, 1000]);
    let bytes = std::fs::read(folder.join("test_batch.bin")).unwrap();
    let sample = dataset.samples.iter().filter(|sample| sample.subset == Some(Subset::Test)).nth(17).unwrap();
    assert_eq!((sample.class, pixels(sample)), (bytes[17 * 3073].into(), bytes[17 * 3073 + 1..][..3072].to_vec()));
}
