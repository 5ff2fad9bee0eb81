//! Classes that the user has named: folders of these names, wherever they are.

use std::collections::BTreeMap;

use models::Labels;

use super::subset_name;
use super::tree::{SourceFile, Tree};
use crate::data::account::OmissionReason;
use crate::data::dataset::FileUse;
use crate::data::text::{caseless, quoted};
use crate::data::{Dataset, DatasetError, Layout, Subset};

/// The classes have the order in which they are named. A picture is of the deepest folder that is one of them; folders above
/// it that are named for subsets say the subset, if one of them is for training.
pub(super) fn list(tree: Tree, classes: &[String]) -> Result<Dataset, DatasetError> {
    let numbers: BTreeMap<String, usize> =
        classes.iter().enumerate().map(|(number, class)| (caseless(class), number)).collect();
    let missing: Vec<&String> = classes
        .iter()
        .filter(|class| !tree.folders.iter().flatten().any(|folder| caseless(folder) == caseless(class)))
        .collect();
    if numbers.len() < classes.len() || !missing.is_empty() {
        return Err(DatasetError::NamedClasses { path: tree.root, missing: missing.into_iter().cloned().collect() });
    }
    let class = |file: &SourceFile| {
        let folders = file.folders().iter().enumerate().rev();
        let mut named = folders.filter_map(|(depth, folder)| Some((depth, *numbers.get(&caseless(folder))?)));
        named.next()
    };
    let subset = |file: &SourceFile, depth: usize| {
        file.folders()[..depth].iter().rev().find_map(|folder| subset_name::named(folder))
    };
    let trains = |file: &SourceFile| class(file).and_then(|(depth, _)| subset(file, depth)) == Some(Subset::Train);
    let split = tree.files.iter().any(trains);
    let evidence = format!("folders are named after the classes {}", quoted(classes, 6));
    let mut dataset = Dataset::sort_out(tree, Labels::new(classes.to_vec()), |file| match class(file) {
        _ if !file.is_picture() => FileUse::Omitted(OmissionReason::OtherFile),
        Some((depth, class)) => FileUse::Sample { class, subset: subset(file, depth).filter(|_| split) },
        None => FileUse::Omitted(OmissionReason::OtherClass),
    });
    dataset.samples.sort_by_key(|sample| sample.subset);
    let layout = if split { Layout::SubsetFolders } else { Layout::ClassFolders };
    Ok(dataset.understood(layout, evidence))
}
