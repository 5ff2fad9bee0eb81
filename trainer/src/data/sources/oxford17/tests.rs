//! The flowers and their official splits.

use super::*;
use crate::data::testing::write;
use crate::data::{Counts, DatasetSource, Layout, Partition};

const DATASPLITS: &[u8] = include_bytes!("../../../../tests/data/datasets/datasplits_packed.mat");

fn flowers(root: &std::path::Path, folder: &str) {
    let name = |number: usize| format!("{folder}image_{number:04}.jpg");
    (1..=1360).for_each(|number| write(root, [(name(number).as_str(), vec![])]));
}

#[test]
fn eighty_of_each_class_come_in_order() {
    let root = tempfile::tempdir().unwrap();
    flowers(root.path(), "jpg/");
    let dataset = DatasetSource::new(Layout::Auto, root.path()).open().unwrap();
    assert_eq!(dataset.labels.names()[16], "pansy");
    assert_eq!([79, 80, 1359].map(|index| dataset.samples[index].class), [0, 1, 16]);
    assert_eq!(dataset.samples[80].path, root.path().join("jpg/image_0081.jpg"));
    assert!(dataset.samples.iter().all(|sample| sample.subset.is_none()));
    std::fs::remove_file(root.path().join("jpg/image_0700.jpg")).unwrap();
    let refused = DatasetSource::new(Layout::Auto, root.path()).open().unwrap_err().to_string();
    assert!(refused.contains("these are missing: `image_0700.jpg`"), "{refused}");
}

#[test]
fn the_official_divisions_are_kept_and_the_first_is_used() {
    let root = tempfile::tempdir().unwrap();
    flowers(root.path(), "");
    write(root.path(), [("datasplits.mat", DATASPLITS.to_vec())]);
    let dataset = DatasetSource::new(Layout::Oxford17, root.path()).open().unwrap();
    // By the rule in trainer/reference/datasets.py, image i, from 1, is in `tst` of split d where i % 4 == d.
    let rule = |index: usize, split: usize| match ((index + 1) % 4 + 4 - split) % 4 {
        0 => Subset::Test,
        1 => Subset::Validation,
        _ => Subset::Train,
    };
    for split in 0..3 {
        let with_split = dataset.clone().with_split(split).unwrap();
        let wrong = (0..1360).find(|&index| with_split.samples[index].subset != Some(rule(index, split + 1)));
        assert_eq!(wrong, None, "split {split}");
    }
    assert!((0..1360).all(|index| dataset.samples[index].subset == Some(rule(index, 1))));
    assert!(dataset.clone().with_split(3).is_none());
    let split = dataset.without_subsets().split(Partition::Counts(Counts { validation: 0, test: 20 }), 0);
    assert_eq!([split.train.len(), split.test.len()], [60 * 17, 20 * 17]);
}

#[test]
fn arrays_are_those_that_scipy_wrote() {
    let plain = matlab::read(include_bytes!("../../../../tests/data/datasets/datasplits_plain.mat")).unwrap();
    let expected = [("trn1", vec![1.0, 2.0, 300.0]), ("x", vec![0.5])];
    let expected = expected.map(|(name, values)| Array { name: name.to_owned(), values });
    assert_eq!(plain, expected);
    assert_eq!(matlab::read(DATASPLITS).unwrap().len(), 9);
    assert_eq!(matlab::read(&DATASPLITS[..400]), Err(matlab::MatlabError::Damaged));
    assert!(matlab::read(b"no MATLAB file").unwrap_err().to_string().contains("scipy.io.savemat"));
}

#[test]
fn the_real_flowers() {
    let Some(folder) = fixtures::real_data("oxford17") else { return };
    let dataset = DatasetSource::new(Layout::Auto, folder).open().unwrap();
    let inspection =
        dataset.inspect(crate::data::BadFilePolicy::Refuse, &models::preprocess::Limits::default()).unwrap();
    assert_eq!((dataset.samples.len(), inspection.bad.len()), (1360, 0));
}
