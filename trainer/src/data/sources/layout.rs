//! A folder per class, in subsets or not.

use std::collections::BTreeMap;

use models::Labels;

use super::tree::{SourceFile, Tree};
use crate::data::{Dataset, DatasetError, Sample, Subset, Warning};

/// The endings of the formats that the decoder reads.
const ENDINGS: [&str; 6] = ["bmp", "gif", "jpeg", "jpg", "png", "webp"];

/// Whether there are folders with images in them.
pub(super) fn is(tree: &Tree) -> bool {
    tree.files.iter().any(|entry| entry.parts.len() > 1 && is_image(entry.name()))
}

/// Classes are the folders in the order of their names, with all images in and below them. An empty folder is a class,
/// because leaving it out would shift the numbers of the classes behind it. In subsets, the classes are those of `train`:
/// what is missing from `val` shifts nothing.
pub(super) fn list(tree: &Tree) -> Result<Dataset, DatasetError> {
    match subsets(tree)? {
        Some(subsets) => in_subsets(tree, &subsets),
        None => {
            let names = classes(tree, &[]);
            let mut dataset = Dataset::empty(Labels::new(names.clone()));
            let folders = ClassFolders { names: &names, depth: 0 };
            tree.files.iter().for_each(|entry| file(tree, entry, folders, &mut dataset));
            Ok(dataset)
        }
    }
}

/// The folder of each subset, if there is one for `train` that holds folders and no images of its own: a class may well be
/// called `train`.
fn subsets(tree: &Tree) -> Result<Option<BTreeMap<Subset, &str>>, DatasetError> {
    let mut subsets = BTreeMap::new();
    for folder in tree.folders.iter().map(|folder| folder[0].as_str()).chain(first_folders(tree)) {
        let Some(subset) = Subset::named(folder) else { continue };
        if let Some(other) = subsets.insert(subset, folder).filter(|other| *other != folder) {
            let [first, second] = [other.to_owned(), folder.to_owned()];
            return Err(DatasetError::SubsetTwice { path: tree.root.clone(), first, second });
        }
    }
    let Some(&train) = subsets.get(&Subset::Train) else { return Ok(None) };
    let within = tree.files.iter().filter(|entry| entry.parts[0] == train && is_image(entry.name()));
    let depths: Vec<usize> = within.map(|entry| entry.parts.len()).collect();
    let holds_classes = !depths.is_empty() && depths.iter().all(|depth| *depth > 2);
    Ok(holds_classes.then_some(subsets))
}

fn in_subsets(tree: &Tree, subsets: &BTreeMap<Subset, &str>) -> Result<Dataset, DatasetError> {
    let names = subsets.get(&Subset::Train).map(|train| classes(tree, &[train])).unwrap_or_default();
    let mut dataset = Dataset::empty(Labels::new(names.clone()));
    for (&subset, &folder) in subsets {
        let here = classes(tree, &[folder]);
        if let Some(class) = here.iter().find(|class| !names.contains(class)) {
            let [class, subset] = [class.clone(), folder.to_owned()];
            return Err(DatasetError::UnknownClass { path: tree.root.clone(), class, subset });
        }
        let first = dataset.samples.len();
        let files = tree.files.iter().filter(|entry| entry.parts[0] == folder);
        let folders = ClassFolders { names: &names, depth: 1 };
        files.for_each(|entry| file(tree, entry, folders, &mut dataset));
        dataset.samples[first..].iter_mut().for_each(|sample| sample.subset = Some(subset));
        let seen = |class: usize| dataset.samples[first..].iter().any(|sample| sample.class == class);
        let missing = (0..names.len()).filter(|&class| subset != Subset::Train && !seen(class));
        let missing: Vec<Warning> =
            missing.map(|class| Warning::NoImages { class: names[class].clone(), subset }).collect();
        dataset.warnings.extend(missing);
    }
    let outside = tree.files.iter().filter(|entry| !subsets.values().any(|folder| entry.parts[0] == *folder));
    dataset.ignored.extend(outside.filter(|entry| entry.parts.len() > 1).map(|entry| tree.display_path(entry)));
    Ok(dataset)
}

/// The folders of classes, and how deep in the tree they are.
#[derive(Clone, Copy)]
struct ClassFolders<'a> {
    /// Sorted.
    names: &'a [String],
    /// How many folders are above each.
    depth: usize,
}

/// Adds a file below a class folder.
fn file(tree: &Tree, entry: &SourceFile, folders: ClassFolders<'_>, dataset: &mut Dataset) {
    if entry.parts.len() < folders.depth + 2 {
        return;
    }
    let path = tree.display_path(entry);
    match folders.names.binary_search(&entry.parts[folders.depth]) {
        Ok(class) if is_image(entry.name()) => {
            dataset.samples.push(Sample::new(path, class, entry.content.clone()));
        }
        _ => dataset.ignored.push(path),
    }
}

/// The folders right below a folder, sorted.
fn classes(tree: &Tree, above: &[&str]) -> Vec<String> {
    let folders = tree.folders.iter().map(Vec::as_slice);
    let of_files = tree.files.iter().filter_map(|entry| entry.parts.split_last().map(|(_, folders)| folders));
    let below = folders.chain(of_files).filter(|parts| parts.len() > above.len() && parts[..above.len()] == *above);
    let mut names: Vec<String> = below.map(|parts| parts[above.len()].clone()).collect();
    names.sort();
    names.dedup();
    names
}

fn first_folders(tree: &Tree) -> impl Iterator<Item = &str> {
    tree.files.iter().filter(|entry| entry.parts.len() > 1).map(|entry| entry.parts[0].as_str())
}

fn is_image(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests;
