//! The Oxford 17 Category Flowers.

use std::collections::HashMap;

use models::Labels;

use super::matlab::{self, Array};
use super::tree::{SourceFile, Tree};
use crate::data::files::TABLE_BYTES;
use crate::data::{Dataset, DatasetError, Sample, Subset};

/// The classes in the order of the files.
const CLASSES: [&str; 17] = [
    "daffodil",
    "snowdrop",
    "lily valley",
    "bluebell",
    "crocus",
    "iris",
    "tigerlily",
    "tulip",
    "fritillary",
    "sunflower",
    "daisy",
    "colts' foot",
    "dandelion",
    "cowslip",
    "buttercup",
    "windflower",
    "pansy",
];
/// Images of each class.
const PER_CLASS: usize = 80;

/// The official splits, by the names that they have in `datasplits.mat`.
const SPLITS: [u8; 3] = [1, 2, 3];
const SUBSETS: [(&str, Subset); 3] = [("trn", Subset::Train), ("val", Subset::Validation), ("tst", Subset::Test)];

/// Whether the first of the images is there.
pub(super) fn is(tree: &Tree) -> bool {
    tree.files.iter().any(|entry| entry.name() == "image_0001.jpg")
}

/// The images, and the official splits where `datasplits.mat` is among the files or beside the archive or folder.
pub(super) fn list(tree: &Tree) -> Result<Dataset, DatasetError> {
    let refused = |reason: String| DatasetError::Oxford17 { path: tree.root.clone(), reason };
    let files: HashMap<&str, &SourceFile> = tree.files.iter().map(|entry| (entry.name(), entry)).collect();
    let mut dataset = Dataset::empty(Labels::new(CLASSES.iter().map(|&class| class.to_owned()).collect()));
    for index in 0..CLASSES.len() * PER_CLASS {
        let name = format!("image_{:04}.jpg", index + 1);
        let entry = files
            .get(name.as_str())
            .ok_or_else(|| refused(format!("{name} is missing; it should hold image_0001.jpg to image_1360.jpg")))?;
        dataset.samples.push(Sample::new(tree.display_path(entry), index / PER_CLASS, entry.content.clone()));
    }
    if let Some(bytes) = datasplits(tree, &files)? {
        let arrays = matlab::read(&bytes).map_err(|error| refused(format!("datasplits.mat: {error}")))?;
        for split in SPLITS {
            dataset.splits.push(subsets(&arrays, split).map_err(refused)?);
        }
    }
    let with_split = dataset.clone().with_split(0);
    Ok(with_split.unwrap_or(dataset))
}

fn datasplits(tree: &Tree, files: &HashMap<&str, &SourceFile>) -> Result<Option<Vec<u8>>, DatasetError> {
    if let Some(entry) = files.get("datasplits.mat") {
        return tree.read(entry).map(Some);
    }
    let beside = tree.root.with_file_name("datasplits.mat");
    if tree.access.is_file(&beside) {
        let file = tree.access.file(&beside);
        return file.read(TABLE_BYTES).map(Some).map_err(|source| DatasetError::read(&beside, source));
    }
    Ok(None)
}

/// The subset of each image, from the arrays `trn1`, `val1` and `tst1` of image numbers, or those of another split.
fn subsets(arrays: &[Array], split: u8) -> Result<Vec<Subset>, String> {
    let mut subsets = vec![None; CLASSES.len() * PER_CLASS];
    for (prefix, subset) in SUBSETS {
        let name = format!("{prefix}{split}");
        let array = arrays.iter().find(|array| array.name == name);
        for &number in &array.ok_or_else(|| format!("datasplits.mat has no array `{name}`"))?.values {
            // Image numbers count from one.
            let index = (number as usize).wrapping_sub(1);
            let place = subsets.get_mut(index).filter(|_| number.fract() == 0.0);
            match place.ok_or_else(|| format!("`{name}` in datasplits.mat holds {number}, which is no image"))? {
                Some(_) => return Err(format!("datasplits.mat has image {number} twice in split {split}")),
                place => *place = Some(subset),
            }
        }
    }
    let missing = subsets.iter().position(Option::is_none).map(|index| index + 1);
    let complete: Option<Vec<Subset>> = subsets.into_iter().collect();
    complete.ok_or_else(|| format!("datasplits.mat leaves image {} out of split {split}", missing.unwrap_or(0)))
}

#[cfg(test)]
mod tests;
