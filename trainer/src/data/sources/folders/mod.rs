//! A folder for each class, in subsets or not.

mod plausible;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use models::Labels;

use super::subset_name;
use super::survey::Survey;
use super::table::Table;
use super::tree::{SourceFile, Tree};
use crate::data::account::OmissionReason;
use crate::data::dataset::FileUse;
use crate::data::text::{caseless, quoted};
use crate::data::{Dataset, DatasetError, Layout, Subset, Warning};

/// The classes and subsets that folders name.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    layout: Layout,
    /// The folder that holds the class folders, or those of the subsets: from the root on, folders that say nothing.
    above: Vec<String>,
    /// The class names, sorted.
    names: Vec<String>,
    /// The folder of each subset, and where in it the class folders are; empty without subsets.
    subsets: BTreeMap<Subset, Vec<String>>,
    /// For class folders of `val` or `test` that differ from those of `train` in upper and lower case.
    warnings: Vec<Warning>,
}

/// By evidence: subsets where a folder for training holds class folders, and classes otherwise.
pub(super) fn list(tree: Tree) -> Result<Dataset, DatasetError> {
    Reading::of(&tree)?.list(tree)
}

/// Each first folder is a class. A single one holds the classes.
pub(super) fn in_classes(tree: Tree) -> Result<Dataset, DatasetError> {
    let survey = Survey::of(&tree, &[]);
    let above = if survey.folders.len() == 1 { wrappers(&tree) } else { vec![] };
    Reading::classes(&tree, above).list(tree)
}

/// `train` and perhaps others, whatever else there is.
pub(super) fn in_subsets(tree: Tree) -> Result<Dataset, DatasetError> {
    match Reading::subsets(&tree, &wrappers(&tree))? {
        Some(reading) => reading.list(tree),
        None => Err(DatasetError::NoSubsets { path: tree.root }),
    }
}

impl Reading {
    /// What the folders say, unless that is likely to be wrong.
    pub(super) fn of(tree: &Tree) -> Result<Self, DatasetError> {
        let above = wrappers(tree);
        let path = || tree.root.clone();
        let doubtful = |doubt| DatasetError::Doubtful { path: path(), doubt };
        if let Some(reading) = Self::subsets(tree, &above)? {
            plausible::in_subsets(tree, &reading).map_err(doubtful)?;
            return Ok(reading);
        }
        let survey = Survey::of(tree, &above);
        if survey.direct + survey.nested() == 0 {
            return Err(DatasetError::Unrecognized { path: path(), holds: vec![] });
        }
        plausible::in_classes(tree, &survey).map_err(doubtful)?;
        let reading = Self::classes(tree, above);
        match survey.with_pictures().count() {
            found @ (0 | 1) => Err(DatasetError::Classes { path: path(), found, hints: vec![] }),
            _ => Ok(reading),
        }
    }

    /// Each folder at this level is a class, unless it holds files and no picture. An empty one is too, because leaving it
    /// out would shift the numbers of the classes behind it.
    fn classes(tree: &Tree, above: Vec<String>) -> Self {
        let folders = Survey::of(tree, &above).folders.into_iter();
        let names: Vec<String> =
            folders.filter(|(_, counts)| counts.files == 0 || counts.pictures() > 0).map(|(name, _)| name).collect();
        let warnings = same_but_for_case(&names);
        Self { layout: Layout::ClassFolders, above, names, subsets: BTreeMap::new(), warnings }
    }

    /// The subsets, if a folder for training holds class folders. Their classes are those of `train`: what is missing from
    /// `val` shifts nothing.
    fn subsets(tree: &Tree, above: &[String]) -> Result<Option<Self>, DatasetError> {
        let survey = Survey::of(tree, above);
        let mut subsets = BTreeMap::new();
        for (folder, subset) in subset_name::among(survey.folders.keys().map(String::as_str)) {
            let level = class_level(tree, [above, &[folder.to_owned()]].concat());
            if let Some(other) = subsets.insert(subset, level) {
                let [first, second] = [other[above.len()].clone(), folder.to_owned()];
                return Err(DatasetError::SubsetTwice { path: tree.root.clone(), first, second });
            }
        }
        let Some(train) = subsets.get(&Subset::Train) else { return Ok(None) };
        let within = Survey::of(tree, train);
        if within.nested() <= within.direct {
            return Ok(None);
        }
        let names: Vec<String> = within.folders.into_keys().collect();
        let mut warnings = same_but_for_case(&names);
        for (&subset, level) in subsets.iter().filter(|(subset, _)| **subset != Subset::Train) {
            let here = Survey::of(tree, level);
            for class in here.folders.keys().filter(|class| names.binary_search(class).is_err()) {
                let second = format!("{}/{class}", level.join("/"));
                let Some(first) = alike(&names, class).cloned() else {
                    let (path, subset) = (tree.root.clone(), level.join("/"));
                    return Err(DatasetError::UnknownClass { path, class: class.clone(), subset });
                };
                warnings.push(Warning::Case { first, second });
            }
            let lacking = names.iter().filter(|name| here.nested() > 0 && !has_pictures(&here, name));
            warnings.extend(lacking.map(|class| Warning::NoImages { class: class.clone(), subset }));
        }
        Ok(Some(Self { layout: Layout::SubsetFolders, above: above.to_vec(), names, subsets, warnings }))
    }

    /// The samples, and the account of everything else.
    pub(super) fn list(self, tree: Tree) -> Result<Dataset, DatasetError> {
        let mut dataset = Dataset::sort_out(tree, Labels::new(self.names.clone()), |file| self.place(file));
        dataset.samples.sort_by_key(|sample| sample.subset);
        dataset.warnings.extend(self.warnings.iter().cloned());
        Ok(dataset.understood(self.layout, self.evidence()))
    }

    pub(super) fn has_subsets(&self) -> bool {
        !self.subsets.is_empty()
    }

    /// Whether tables give labels to pictures that the folders do not, and to as many as they do.
    pub(super) fn says_less_than(&self, tree: &Tree, tables: &[Table]) -> bool {
        let placed = |file: &SourceFile| matches!(self.place(file), FileUse::Sample { .. });
        let rows = || tables.iter().flat_map(Table::rows);
        let samples = tree.files.iter().filter(|file| placed(file)).count();
        rows().any(|(file, _)| !placed(&tree.files[file])) && rows().count() >= samples
    }

    /// A picture that the table gives another label than its folder: the picture, its label and its folder.
    pub(super) fn contradiction(&self, tree: &Tree, table: &Table) -> Option<(String, String, String)> {
        table.rows().find_map(|(file, label)| {
            let file = &tree.files[file];
            let FileUse::Sample { class, .. } = self.place(file) else { return None };
            let folder = &self.names[class];
            (caseless(folder) != caseless(&label)).then(|| (file.parts.join("/"), label, folder.clone()))
        })
    }

    /// What becomes of a file.
    fn place(&self, file: &SourceFile) -> FileUse {
        if !file.is_picture() {
            return FileUse::Omitted(OmissionReason::OtherFile);
        }
        if self.subsets.is_empty() {
            let folder = file.folders().strip_prefix(&self.above[..]).and_then(<[String]>::first);
            let class = folder.and_then(|folder| self.class(folder));
            return class.map_or(FileUse::Omitted(OmissionReason::BesideClasses), FileUse::sample);
        }
        let depth = self.above.len() + 1;
        let own = |level: &Vec<String>| file.folders().starts_with(&level[..depth]);
        let Some((&subset, level)) = self.subsets.iter().find(|(_, level)| own(level)) else {
            return FileUse::Omitted(OmissionReason::OutsideSubsets);
        };
        match file.folders().strip_prefix(&level[..]) {
            Some([folder, ..]) => match self.class(folder) {
                Some(class) => FileUse::Sample { class, subset: Some(subset) },
                None => FileUse::Omitted(OmissionReason::Unlabeled),
            },
            _ if subset == Subset::Train => FileUse::Omitted(OmissionReason::BesideClasses),
            _ => FileUse::Omitted(OmissionReason::Unlabeled),
        }
    }

    fn class(&self, folder: &str) -> Option<usize> {
        let exact = self.names.binary_search_by(|name| name.as_str().cmp(folder)).ok();
        exact.or_else(|| alike(&self.names, folder).and_then(|near| self.names.binary_search(near).ok()))
    }

    fn evidence(&self) -> String {
        match self.subsets.get(&Subset::Train) {
            None => format!("{} folders hold pictures, each named after its class", self.names.len()),
            Some(_) => {
                let folders = self.subsets.values().map(|level| level.join("/"));
                format!("the folders {} hold a folder for each class", quoted(folders, 4))
            }
        }
    }
}

/// The folder of a subset, down to where its class folders are: `seg_train/seg_train`.
fn class_level(tree: &Tree, mut level: Vec<String>) -> Vec<String> {
    while let Some(inner) = Survey::of(tree, &level).wrapper().map(str::to_owned) {
        level.push(inner);
    }
    level
}

/// The one name that differs from this in upper and lower case alone.
fn alike<'n>(names: &'n [String], class: &str) -> Option<&'n String> {
    let mut alike = names.iter().filter(|name| caseless(name) == caseless(class));
    alike.next().filter(|_| alike.next().is_none())
}

/// The folders that hold everything, one in the other, and say nothing. A folder that is named for a subset says something.
fn wrappers(tree: &Tree) -> Vec<String> {
    let mut above = vec![];
    while let Some(folder) = Survey::of(tree, &above).wrapper().map(str::to_owned) {
        if subset_name::named(&folder).is_some() {
            break;
        }
        above.push(folder);
    }
    above
}

fn has_pictures(survey: &Survey, class: &str) -> bool {
    survey.with_pictures().any(|(folder, _)| caseless(folder) == caseless(class))
}

/// A warning for each two classes whose names differ in upper and lower case alone.
fn same_but_for_case(names: &[String]) -> Vec<Warning> {
    let mut first: BTreeMap<String, &String> = BTreeMap::new();
    let mut warnings = vec![];
    for name in names {
        if let Some(other) = first.insert(caseless(name), name) {
            warnings.push(Warning::Case { first: other.clone(), second: name.clone() });
        }
    }
    warnings
}
