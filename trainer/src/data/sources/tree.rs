//! The files under a folder or in an archive, by their names.

use std::path::{Path, PathBuf};

use super::content::Content;
use crate::data::files::{EntryKind, FolderEntry, TABLE_BYTES};
use crate::data::{DatasetError, FileAccess, Subset};

/// How deep folders are looked into: deeper than any data set, and an end to links that go in circles.
const DEPTH: usize = 8;
/// What operating systems leave in folders.
const LITTER: [&str; 4] = ["__MACOSX", "Thumbs.db", "desktop.ini", "ehthumbs.db"];

/// Files in the order of their names, hidden ones and the litter of operating systems left out.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// The folder or archive, for messages.
    pub(super) root: PathBuf,
    /// Where its files may be.
    pub(super) access: FileAccess,
    /// The files.
    pub(super) files: Vec<SourceFile>,
    /// The folders, each as its parts; an empty one is here alone.
    pub(super) folders: Vec<Vec<String>>,
}

/// One file.
#[derive(Debug, Clone)]
pub(super) struct SourceFile {
    /// Folders and name, from the root on.
    pub(super) parts: Vec<String>,
    /// Its bytes.
    pub(super) content: Content,
}

impl SourceFile {
    /// The file's own name.
    pub(super) fn name(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }
}

impl Tree {
    /// A folder's or an archive's, with nothing in it yet.
    pub(super) fn empty(root: &Path, access: &FileAccess) -> Self {
        Self { root: root.to_owned(), access: access.clone(), files: vec![], folders: vec![] }
    }

    /// The files below a folder.
    pub(super) fn walk(root: &Path, access: &FileAccess) -> Result<Self, DatasetError> {
        let mut tree = Self::empty(root, access);
        tree.collect(root, &[])?;
        Ok(tree.sorted())
    }

    /// The same without hidden files, and without the one folder that archives usually have everything in.
    pub(super) fn unwrapped(mut self) -> Self {
        self.files.retain(|entry| !hidden(&entry.parts));
        self.folders.retain(|folder| !hidden(folder));
        self.descend();
        self.sorted()
    }

    fn sorted(mut self) -> Self {
        self.files.sort_by(|a, b| a.parts.cmp(&b.parts));
        self.folders.sort();
        self.folders.dedup();
        self
    }

    /// What the file is called in messages and records.
    pub(super) fn display_path(&self, entry: &SourceFile) -> PathBuf {
        match &entry.content {
            Content::File(file) => file.path().to_owned(),
            _ => entry.parts.iter().fold(self.root.clone(), |path, part| path.join(part)),
        }
    }

    /// The bytes of a file that describes the others.
    pub(super) fn read(&self, entry: &SourceFile) -> Result<Vec<u8>, DatasetError> {
        entry.content.read(TABLE_BYTES).map_err(|source| DatasetError::read(&self.display_path(entry), source))
    }

    fn collect(&mut self, path: &Path, parts: &[String]) -> Result<(), DatasetError> {
        let entries = self.access.entries(path).map_err(|source| DatasetError::read(path, source))?;
        for FolderEntry { name, kind } in entries {
            if hidden(std::slice::from_ref(&name)) {
                continue;
            }
            let path = path.join(&name);
            let parts = [parts, &[name]].concat();
            match kind {
                EntryKind::File => {
                    let content = Content::File(self.access.file(path));
                    self.files.push(SourceFile { parts, content });
                }
                EntryKind::Folder => {
                    self.folders.push(parts.clone());
                    if parts.len() < DEPTH {
                        self.collect(&path, &parts)?;
                    }
                }
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
            if !(common && inner) || Subset::named(&first).is_some() {
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
