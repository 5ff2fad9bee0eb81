//! Where the pictures of a tree are, in numbers.

use std::collections::BTreeMap;

use super::tree::Tree;

/// The pictures in and below one folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// Pictures right in the folder.
    pub(super) direct: usize,
    /// Its sub-folders by name, those without pictures too.
    pub(super) folders: BTreeMap<String, FolderCounts>,
}

/// What is in and below a sub-folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FolderCounts {
    /// Files of any kind.
    pub(super) files: usize,
    /// Pictures right in it.
    pub(super) direct: usize,
    /// Pictures in and below each of its own sub-folders that has any.
    pub(super) within: BTreeMap<String, usize>,
}

impl FolderCounts {
    pub(super) fn nested(&self) -> usize {
        self.within.values().sum()
    }

    pub(super) fn pictures(&self) -> usize {
        self.direct + self.nested()
    }
}

impl Survey {
    /// Of the folder with this path in the tree.
    pub(super) fn of(tree: &Tree, above: &[String]) -> Self {
        let mut survey = Self::default();
        let depth = above.len();
        for parts in tree.folders.iter().filter(|parts| parts.len() > depth && parts.starts_with(above)) {
            survey.folders.entry(parts[depth].clone()).or_default();
        }
        for file in tree.files.iter().filter(|file| file.parts.len() > depth && file.parts.starts_with(above)) {
            let picture = usize::from(file.is_picture());
            match &file.folders()[depth..] {
                [] => survey.direct += picture,
                [folder, rest @ ..] => {
                    let counts = survey.folders.entry(folder.clone()).or_default();
                    counts.files += 1;
                    match rest.first() {
                        None => counts.direct += picture,
                        Some(_) if picture == 0 => {}
                        Some(inner) => *counts.within.entry(inner.clone()).or_default() += 1,
                    }
                }
            }
        }
        survey
    }

    /// The sub-folders that have pictures in or below them.
    pub(super) fn with_pictures(&self) -> impl Iterator<Item = (&str, &FolderCounts)> {
        let folders = self.folders.iter().map(|(name, counts)| (name.as_str(), counts));
        folders.filter(|(_, counts)| counts.pictures() > 0)
    }

    /// Pictures in sub-folders.
    pub(super) fn nested(&self) -> usize {
        self.folders.values().map(FolderCounts::pictures).sum()
    }

    /// The one sub-folder that has all pictures but strays, if its own sub-folders hold them: it says nothing.
    pub(super) fn wrapper(&self) -> Option<&str> {
        let mut folders = self.with_pictures();
        let (name, counts) = folders.next()?;
        let alone = folders.next().is_none() && counts.nested() > counts.direct && counts.pictures() > self.direct;
        alone.then_some(name)
    }
}
