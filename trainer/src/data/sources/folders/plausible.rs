//! Whether folders are likely to be classes.

use std::collections::BTreeMap;

use super::Reading;
use crate::data::Subset;
use crate::data::doubt::Doubt;
use crate::data::sources::survey::{FolderCounts, Survey};
use crate::data::sources::tree::Tree;
use crate::data::sources::{file_names, foreign, subset_name};
use crate::data::text::{caseless, words};

/// What the folders of data sets for detection and segmentation are called.
const PARTS: [&str; 17] = [
    "image",
    "images",
    "img",
    "imgs",
    "jpegimages",
    "picture",
    "pictures",
    "annotation",
    "annotations",
    "label",
    "labels",
    "mask",
    "masks",
    "segmentation",
    "segmentationclass",
    "segmentationobject",
    "imagesets",
];

/// Refuses class folders that are likely to be something else.
pub(super) fn in_classes(tree: &Tree, survey: &Survey) -> Result<(), Doubt> {
    let folders: Vec<(&str, &FolderCounts)> = survey.with_pictures().collect();
    let names: Vec<&str> = folders.iter().map(|(name, _)| *name).collect();
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let hints = || foreign::found(tree).into_iter().chain(file_names::hint(tree)).collect::<Vec<_>>();
    let subsets = subset_name::among(names.iter().copied());
    let mut kinds: Vec<Subset> = subsets.values().copied().collect();
    kinds.sort();
    kinds.dedup();
    let flat = |folder: &&str| folders.iter().any(|(name, counts)| name == folder && counts.nested() == 0);
    if kinds.len() > 1 || (kinds.len() == 1 && subsets.len() == folders.len()) {
        let folders: Vec<String> = subsets.keys().map(|&folder| folder.to_owned()).collect();
        return Err(match subsets.keys().any(flat) || kinds.contains(&Subset::Train) {
            true => Doubt::SubsetsAsClasses { folders, hints: hints() },
            false => Doubt::NoTraining { folders },
        });
    }
    combined(&names)?;
    if names.len() > 1 && names.iter().all(|name| is_part(name)) {
        return Err(Doubt::PartsOfImages { folders: owned(&names) });
    }
    if let Some((folder, inner)) = nested_copy(&folders) {
        return Err(Doubt::NestedCopy { folder: folder.to_owned(), inner });
    }
    if let Some(inner) = same_subfolders(&folders) {
        return Err(Doubt::SameSubfolders { outer: owned(&names), inner });
    }
    if survey.nested() > 0 && survey.direct > survey.nested() {
        return Err(Doubt::MostlyBeside { beside: survey.direct, within: survey.nested(), hints: hints() });
    }
    Ok(())
}

/// Refuses class folders in subsets that are likely to be something else.
pub(super) fn in_subsets(tree: &Tree, reading: &Reading) -> Result<(), Doubt> {
    let Some(train) = reading.subsets.get(&Subset::Train) else { return Ok(()) };
    let survey = Survey::of(tree, train);
    let folders: Vec<(&str, &FolderCounts)> = survey.with_pictures().collect();
    combined(&reading.names.iter().map(String::as_str).collect::<Vec<_>>())?;
    if reading.names.iter().all(|name| is_part(name)) {
        return Err(Doubt::PartsOfImages { folders: reading.names.clone() });
    }
    match same_subfolders(&folders) {
        Some(inner) => {
            Err(Doubt::SameSubfolders { outer: folders.iter().map(|(name, _)| (*name).to_owned()).collect(), inner })
        }
        None => Ok(()),
    }
}

/// Refuses folders such as `rose+tulip` beside `rose`, or beside `rose+lily`. A `+` alone is no evidence: `C++`, `18+`.
fn combined(names: &[&str]) -> Result<(), Doubt> {
    let parts = |name: &str| -> Vec<String> {
        let parts = name.split('+').map(caseless).filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>()
    };
    let shared = |name: &str| {
        let own = parts(name);
        let others = names.iter().filter(|other| **other != name).flat_map(|other| parts(other)).collect::<Vec<_>>();
        own.len() > 1 && own.iter().any(|part| others.contains(part))
    };
    let folders: Vec<String> = names.iter().filter(|name| shared(name)).map(|&name| name.to_owned()).collect();
    let Some(first) = folders.first() else { return Ok(()) };
    let classes = first.split('+').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
    Err(Doubt::CombinedClasses { classes, folders })
}

fn is_part(name: &str) -> bool {
    let words = words(name);
    !words.is_empty() && words.iter().all(|word| PARTS.contains(&word.as_str()))
}

/// A folder that holds two folders or more which are named as its siblings.
fn nested_copy<'n>(folders: &[(&'n str, &FolderCounts)]) -> Option<(&'n str, Vec<String>)> {
    folders.iter().find_map(|(folder, counts)| {
        let sibling = |inner: &&String| folders.iter().any(|(name, _)| name == inner && name != folder);
        let inner: Vec<String> = counts.within.keys().filter(sibling).cloned().collect();
        (inner.len() > 1).then_some((*folder, inner))
    })
}

/// The sub-folders, if there are two or more that every folder has and that hold most pictures.
fn same_subfolders(folders: &[(&str, &FolderCounts)]) -> Option<Vec<String>> {
    if folders.len() < 2 {
        return None;
    }
    let mut seen: BTreeMap<&String, usize> = BTreeMap::new();
    folders.iter().flat_map(|(_, counts)| counts.within.keys()).for_each(|inner| *seen.entry(inner).or_default() += 1);
    let inner: Vec<String> =
        seen.into_iter().filter(|(_, count)| *count == folders.len()).map(|(inner, _)| inner.clone()).collect();
    let direct: usize = folders.iter().map(|(_, counts)| counts.direct).sum();
    let nested: usize = folders.iter().map(|(_, counts)| counts.nested()).sum();
    (inner.len() > 1 && nested > direct).then_some(inner)
}
