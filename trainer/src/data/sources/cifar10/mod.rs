//! CIFAR-10 (Krizhevsky 2009): 60,000 images of 32x32 pixels in ten classes.

mod binary;
mod pickle;

use std::sync::Arc;

use models::Labels;

use super::content::Content;
use super::tree::{SourceFile, Tree};
use crate::data::account::OmissionReason;
use crate::data::dataset::FileUse;
use crate::data::{Dataset, DatasetError, Layout, Sample, Subset};

/// The classes in the order of their numbers.
const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
/// Files that name the classes, in either version.
const META: [&str; 2] = ["batches.meta", "batches.meta.txt"];

/// Images with their classes: for each, where its 3072 bytes begin.
struct Batch {
    bytes: Arc<[u8]>,
    records: Vec<(usize, u8)>,
}

/// Whether a batch is there, and no picture.
pub(super) fn is(tree: &Tree) -> bool {
    tree.files.iter().any(|entry| subset(entry).is_some()) && !tree.files.iter().any(SourceFile::is_picture)
}

/// The images of all batches that are there: `data_batch_*` train, `test_batch` measures. Batches are kept in memory, 3
/// kB an image, 184 MB for all of them.
pub(super) fn list(tree: Tree) -> Result<Dataset, DatasetError> {
    let labels = Labels::new(classes(&tree)?);
    let mut samples = vec![];
    for entry in &tree.files {
        let Some(subset) = subset(entry) else { continue };
        let path = tree.display_path(entry);
        let refused = |reason: String| DatasetError::Cifar10 { path: path.clone(), reason };
        let bytes = tree.read(entry)?;
        let batch = if is_binary(entry) { binary::read(bytes) } else { pickle::read(bytes) };
        let batch = batch.map_err(refused)?;
        for (number, &(offset, class)) in batch.records.iter().enumerate() {
            if usize::from(class) >= labels.len() {
                return Err(refused(format!("image {number} is of class {class}, and there are ten, from 0")));
            }
            let content = Content::Record { batch: batch.bytes.clone(), offset };
            let sample = Sample::new(path.join(format!("{number:05}.bmp")), class.into(), content);
            samples.push(sample.within(Some(subset)));
        }
    }
    if samples.is_empty() {
        let reason =
            "it should hold data_batch_1.bin to data_batch_5.bin and test_batch.bin, or the same without `.bin`";
        return Err(DatasetError::Cifar10 { path: tree.root.clone(), reason: reason.to_owned() });
    }
    let dataset = Dataset::sort_out(tree, labels, |file| match subset(file) {
        None if !META.contains(&file.name()) => FileUse::Omitted(OmissionReason::NotInDataset),
        _ => FileUse::Read,
    });
    let dataset = Dataset { samples, ..dataset };
    Ok(dataset.understood(Layout::Cifar10, "the files are CIFAR-10's batches".to_owned()))
}

fn is_binary(entry: &SourceFile) -> bool {
    entry.name().ends_with(".bin")
}

fn subset(entry: &SourceFile) -> Option<Subset> {
    let name = entry.name().strip_suffix(".bin").unwrap_or(entry.name());
    let number = name.strip_prefix("data_batch_").is_some_and(|number| number.parse::<u8>().is_ok());
    if number { Some(Subset::Train) } else { (name == "test_batch").then_some(Subset::Test) }
}

/// The names in the data set's own file, which are the well-known ones if it is not there.
fn classes(tree: &Tree) -> Result<Vec<String>, DatasetError> {
    let Some(entry) = tree.files.iter().find(|entry| META.contains(&entry.name())) else {
        return Ok(CLASSES.map(str::to_owned).to_vec());
    };
    let path = tree.display_path(entry);
    let bytes = tree.read(entry)?;
    let names = if entry.name().ends_with(".txt") {
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    } else {
        pickle::names(&bytes)
    };
    let names: Vec<String> = names.map_err(|reason| DatasetError::Cifar10 { path: path.clone(), reason })?;
    if names.len() != CLASSES.len() {
        let reason = format!("it names {} classes, and there are ten", names.len());
        return Err(DatasetError::Cifar10 { path, reason });
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
