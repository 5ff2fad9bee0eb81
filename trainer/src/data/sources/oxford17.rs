//! The Oxford 17 Category Flowers.

use std::collections::HashMap;

use models::Labels;

use super::matlab::{self, Array};
use super::tree::{SourceFile, Tree};
use crate::data::account::OmissionReason;
use crate::data::dataset::FileUse;
use crate::data::files::TABLE_BYTES;
use crate::data::text::quoted;
use crate::data::{Dataset, DatasetError, Layout, Sample, Subset};

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
/// Images of all classes.
const IMAGES: usize = CLASSES.len() * PER_CLASS;
/// Missing images that a message names.
const NAMED: usize = 5;
/// The file of the official splits.
const DATASPLITS: &str = "datasplits.mat";

/// The official splits, by the names that they have in `datasplits.mat`.
const SPLITS: [u8; 3] = [1, 2, 3];
const SUBSETS: [(&str, Subset); 3] = [("trn", Subset::Train), ("val", Subset::Validation), ("tst", Subset::Test)];

/// Whether the images are there: the first and the last in one folder, and pictures in no other. A Caltech data set has an
/// `image_0001.jpg` in each class.
pub(super) fn is(tree: &Tree) -> bool {
    let mut pictures = tree.files.iter().filter(|file| file.is_picture());
    let Some(folder) = pictures.next().map(SourceFile::folders) else { return false };
    let has = |name: &str| tree.files.iter().any(|file| file.name() == name);
    pictures.all(|file| file.folders() == folder) && has("image_0001.jpg") && has("image_1360.jpg")
}

/// The images, and the official splits where `datasplits.mat` is among the files or beside the archive or folder.
pub(super) fn list(tree: Tree) -> Result<Dataset, DatasetError> {
    let refused = |reason: String| DatasetError::Oxford17 { path: tree.root.clone(), reason };
    let files: HashMap<&str, &SourceFile> = tree.files.iter().map(|entry| (entry.name(), entry)).collect();
    let missing: Vec<String> = (0..IMAGES).map(name).filter(|name| !files.contains_key(name.as_str())).collect();
    if !missing.is_empty() {
        let missing = quoted(&missing, NAMED);
        return Err(refused(format!(
            "it should hold image_0001.jpg to image_1360.jpg, and these are missing: {missing}"
        )));
    }
    let mut splits = vec![];
    if let Some(bytes) = datasplits(&tree, &files)? {
        let arrays = matlab::read(&bytes).map_err(|error| refused(format!("datasplits.mat: {error}")))?;
        for split in SPLITS {
            splits.push(subsets(&arrays, split).map_err(refused)?);
        }
    }
    let labels = Labels::new(CLASSES.iter().map(|&class| class.to_owned()).collect());
    let numbers: HashMap<String, usize> = (0..IMAGES).map(|index| (name(index), index)).collect();
    let mut dataset = Dataset::sort_out(tree, labels, |file| match numbers.get(file.name()) {
        Some(index) => FileUse::sample(index / PER_CLASS),
        None if file.name() == DATASPLITS => FileUse::Read,
        None => FileUse::Omitted(OmissionReason::NotInDataset),
    });
    let number = |sample: &Sample| sample.path.file_name().and_then(|name| numbers.get(name.to_str()?)).copied();
    dataset.samples.sort_by_key(number);
    dataset.splits = splits;
    let dataset = dataset.understood(Layout::Oxford17, "image_0001.jpg to image_1360.jpg are there".to_owned());
    let with_split = dataset.clone().with_split(0);
    Ok(with_split.unwrap_or(dataset))
}

/// The file of an image, whose index counts from zero.
fn name(index: usize) -> String {
    format!("image_{:04}.jpg", index + 1)
}

fn datasplits(tree: &Tree, files: &HashMap<&str, &SourceFile>) -> Result<Option<Vec<u8>>, DatasetError> {
    if let Some(entry) = files.get(DATASPLITS) {
        return tree.read(entry).map(Some);
    }
    let beside = tree.root.with_file_name(DATASPLITS);
    if tree.access.is_file(&beside) {
        let file = tree.access.file(&beside);
        return file.read(TABLE_BYTES).map(Some).map_err(|source| DatasetError::read(&beside, source));
    }
    Ok(None)
}

/// The subset of each image, from the arrays `trn1`, `val1` and `tst1` of image numbers, or those of another split.
fn subsets(arrays: &[Array], split: u8) -> Result<Vec<Subset>, String> {
    let mut subsets = vec![None; IMAGES];
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
