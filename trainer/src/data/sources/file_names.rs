//! The class in the file's name, before its number: `cat.0.jpg`, `daisy_012.png`.

use std::collections::BTreeMap;

use models::Labels;

use super::subset_name;
use super::tree::{SourceFile, Tree};
use crate::data::account::OmissionReason;
use crate::data::dataset::FileUse;
use crate::data::text::quoted;
use crate::data::{Dataset, DatasetError, Layout, Subset};

/// What cameras and programs begin names with. It is no class.
const GENERIC: [&str; 17] = [
    "img",
    "image",
    "images",
    "dsc",
    "dscn",
    "dscf",
    "pict",
    "pic",
    "picture",
    "photo",
    "frame",
    "screenshot",
    "scan",
    "p",
    "imag",
    "whatsapp image",
    "untitled",
];
/// Fewer pictures for each class than this are more likely names of their own.
const FEW: usize = 2;
/// Classes that a hint names.
const NAMED: usize = 4;

/// Classes are the names up to the number, in alphabetical order; folders say the subset alone.
pub(super) fn list(tree: Tree) -> Result<Dataset, DatasetError> {
    let counts = counts(&tree);
    let names: Vec<String> = counts.keys().map(|&name| name.to_owned()).collect();
    let evidence = "the pictures' names begin with their classes".to_owned();
    let labels = Labels::new(names.clone());
    let dataset = Dataset::sort_out(tree, labels, |file| {
        if !file.is_picture() {
            return FileUse::Omitted(OmissionReason::OtherFile);
        }
        let class = class(file).and_then(|class| names.binary_search_by(|name| name.as_str().cmp(class)).ok());
        match class {
            Some(class) => FileUse::Sample { class, subset: subset(file) },
            None => FileUse::Omitted(OmissionReason::Unlabeled),
        }
    });
    Ok(dataset.understood(Layout::FileNames, evidence))
}

/// That the names of files could be meant, if they look as if.
pub(super) fn hint(tree: &Tree) -> Option<String> {
    let counts = counts(tree);
    let pictures = tree.files.iter().filter(|file| file.is_picture()).count();
    let named: usize = counts.values().sum();
    let plausible = counts.len() > 1 && counts.values().all(|&count| count >= FEW) && named * 2 > pictures;
    plausible.then(|| {
        format!(
            "the names of files begin with {}: take them as classes with `--layout file_names`",
            quoted(counts.keys(), NAMED)
        )
    })
}

/// How many pictures each class has.
fn counts(tree: &Tree) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for class in tree.files.iter().filter(|file| file.is_picture()).filter_map(class) {
        *counts.entry(class).or_default() += 1;
    }
    counts
}

/// The name up to its number, if both are there.
fn class(file: &SourceFile) -> Option<&str> {
    let name = file.name();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let numbered = stem.trim_end_matches(')');
    let class = numbered.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let separated = class.trim_end_matches(|letter: char| " ._-(#".contains(letter));
    let right = class.len() < numbered.len() && separated.chars().any(char::is_alphabetic);
    (right && !GENERIC.iter().any(|generic| separated.eq_ignore_ascii_case(generic))).then_some(separated)
}

/// By the first folder that is named for a subset.
fn subset(file: &SourceFile) -> Option<Subset> {
    file.folders().iter().find_map(|folder| subset_name::named(folder))
}
