//! The file that a row of a table names.

use std::collections::HashMap;

use crate::data::Subset;
use crate::data::sources::subset_name;
use crate::data::sources::tree::Tree;
use crate::data::text::normalized;

/// The files of a tree by what a table may call them.
pub(super) struct FileIndex<'t> {
    tree: &'t Tree,
    /// By path from the root.
    paths: HashMap<String, usize>,
    /// By the file's own name, and by that without its ending.
    names: HashMap<&'t str, Vec<usize>>,
}

/// What a name in a table means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// This file of the tree.
    File(usize),
    /// Several files have this name.
    Ambiguous,
    /// No file has it.
    None,
}

impl<'t> FileIndex<'t> {
    pub(super) fn new(tree: &'t Tree) -> Self {
        let pictures = || tree.files.iter().enumerate().filter(|(_, file)| file.is_picture());
        let mut names: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, file) in pictures() {
            let name = file.name();
            names.entry(name).or_default().push(number);
            if let Some((stem, _)) = name.rsplit_once('.') {
                names.entry(stem).or_default().push(number);
            }
        }
        Self { tree, paths: pictures().map(|(number, file)| (file.parts.join("/"), number)).collect(), names }
    }

    /// The file that a table in `folder` (its parts in the tree) calls so. A table for one subset means the files of that
    /// subset's folder.
    pub(super) fn find(&self, name: &str, folder: &[String], subset: Option<Subset>) -> Meaning {
        let plain = normalized(&name.replace('\\', "/"));
        let relative = plain.trim_start_matches("./");
        let beside = folder.iter().map(String::as_str).chain([relative]).collect::<Vec<_>>().join("/");
        let whole = [beside.as_str(), relative, plain.as_str()];
        if let Some(&file) = whole.iter().find_map(|path| self.paths.get(*path)) {
            return Meaning::File(file);
        }
        // Competitions name files without their folder and often without the ending, or with folders of another machine.
        let above: Vec<&str> = relative.split('/').filter(|part| !part.is_empty()).collect();
        let Some((last, above)) = above.split_last() else { return Meaning::None };
        let Some(files) = self.names.get(last) else { return Meaning::None };
        let fits = |&&file: &&usize| {
            let folders = self.tree.files[file].folders();
            let in_subset = |folder: &String| subset_name::named(folder) == subset;
            let pairs = above.iter().rev().zip(folders.iter().rev());
            pairs.into_iter().all(|(named, folder)| named == folder)
                && (subset.is_none() || files.len() == 1 || folders.iter().any(in_subset))
        };
        let mut fitting = files.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(&file), None) => Meaning::File(file),
            (Some(_), Some(_)) => Meaning::Ambiguous,
            (None, _) => Meaning::None,
        }
    }
}
