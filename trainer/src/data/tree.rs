//! The files under a folder or in an archive, by their names.

use std::path::{Path, PathBuf};

use super::DatasetError;
use super::archive;
use super::content::Content;
use super::source::Opening;
use super::split::Part;

/// How deep folders are looked into: deeper than any data set, and an end to links that go in circles.
const DEPTH: usize = 8;
/// What operating systems leave in folders.
const LITTER: [&str; 4] = ["__MACOSX", "Thumbs.db", "desktop.ini", "ehthumbs.db"];

/// Files in the order of their names, hidden ones and the litter of operating systems left out.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// The folder or archive, for messages.
    pub(super) root: PathBuf,
    /// The files.
    pub(super) files: Vec<Entry>,
    /// The folders, each as its parts; an empty one is here alone.
    pub(super) folders: Vec<Vec<String>>,
}

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Folders and name, from the root on.
    pub(super) parts: Vec<String>,
    /// Its bytes.
    pub(super) content: Content,
}

impl Entry {
    /// The file's own name.
    pub(super) fn name(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }
}

impl Tree {
    /// What is in a folder or an archive.
    pub(super) fn open(path: &Path, opening: &Opening<'_>) -> Result<Self, DatasetError> {
        let mut tree = Tree { root: path.to_owned(), files: vec![], folders: vec![] };
        if path.is_file() {
            archive::list(path, opening, &mut tree)?;
            tree.files.retain(|entry| !hidden(&entry.parts));
            tree.folders.retain(|folder| !hidden(folder));
            tree.descend();
        } else {
            tree.walk(path, &[])?;
        }
        tree.files.sort_by(|a, b| a.parts.cmp(&b.parts));
        tree.folders.sort();
        tree.folders.dedup();
        Ok(tree)
    }

    /// What the file is called in messages and records.
    pub(super) fn shown(&self, entry: &Entry) -> PathBuf {
        match &entry.content {
            Content::File(path) => path.clone(),
            _ => entry.parts.iter().fold(self.root.clone(), |path, part| path.join(part)),
        }
    }

    fn walk(&mut self, path: &Path, parts: &[String]) -> Result<(), DatasetError> {
        let failed = |source| DatasetError::read(path, source);
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if hidden(std::slice::from_ref(&name)) {
                continue;
            }
            let parts = [parts, &[name]].concat();
            let path = entry.path();
            if path.is_dir() {
                self.folders.push(parts.clone());
                if parts.len() < DEPTH {
                    self.walk(&path, &parts)?;
                }
            } else if path.is_file() {
                self.files.push(Entry { parts, content: Content::File(path) });
            }
        }
        Ok(())
    }

    /// Archives usually hold one folder with everything in it, which says nothing.
    fn descend(&mut self) {
        while let Some(first) = self.files.first().and_then(|entry| entry.parts.first()).cloned() {
            let common =
                self.files.iter().map(|entry| &entry.parts).chain(&self.folders).all(|parts| parts[0] == first);
            let inner = self.files.iter().all(|entry| entry.parts.len() > 1)
                && self.files.iter().any(|entry| entry.parts.len() > 2);
            if !(common && inner) || Part::named(&first).is_some() {
                break;
            }
            self.files.iter_mut().for_each(|entry| drop(entry.parts.remove(0)));
            self.folders.retain(|folder| folder.len() > 1);
            self.folders.iter_mut().for_each(|folder| drop(folder.remove(0)));
        }
    }
}

fn hidden(parts: &[String]) -> bool {
    parts.iter().any(|part| part.starts_with('.') || LITTER.iter().any(|litter| part.eq_ignore_ascii_case(litter)))
}
