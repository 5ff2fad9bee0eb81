//! The files under a folder or in an archive, by their names, and an account of every entry that is not among them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::content::Content;
use super::file_kind::FileKind;
use super::litter::{is_litter, is_unfinished};
use crate::data::account::{Account, OmissionReason};
use crate::data::files::{EntryKind, FolderId, TABLE_BYTES};
use crate::data::text::normalized;
use crate::data::{BadFile, DatasetError, FileAccess, Warning};

/// How deep folders are looked into, deeper than any data set.
const DEPTH: usize = 32;

/// The files in the order of their names, with an account of every other entry. Names are compared as text, so the parts
/// of a path are normalized.
#[derive(Debug, Clone)]
pub(in crate::data) struct Tree {
    /// The folder or archive, for messages.
    pub(in crate::data) root: PathBuf,
    /// Where its files may be.
    pub(in crate::data) access: FileAccess,
    /// Sorted by path.
    pub(in crate::data) files: Vec<SourceFile>,
    /// The folders, each as its parts; an empty one is here alone.
    pub(in crate::data) folders: Vec<Vec<String>>,
    /// What became of all other entries.
    pub(in crate::data) account: Account,
    /// What is odd about the names.
    pub(in crate::data) warnings: Vec<Warning>,
}

/// One file.
#[derive(Debug, Clone)]
pub(in crate::data) struct SourceFile {
    /// Folders and name, from the root on.
    pub(in crate::data) parts: Vec<String>,
    /// Its bytes.
    pub(in crate::data) content: Content,
    /// Whether it is a picture.
    pub(in crate::data) kind: FileKind,
}

impl SourceFile {
    /// The file's own name.
    pub(super) fn name(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }

    /// The folders around it, outermost first.
    pub(super) fn folders(&self) -> &[String] {
        self.parts.split_last().map_or(&[], |(_, folders)| folders)
    }

    pub(super) fn is_picture(&self) -> bool {
        self.kind == FileKind::Picture
    }
}

/// A folder that is being walked, with those above it.
struct WalkedFolder<'a> {
    path: &'a Path,
    parts: &'a [String],
    above: &'a [FolderId],
}

impl Tree {
    /// A folder's or an archive's, with nothing in it yet.
    pub(super) fn empty(root: &Path, access: &FileAccess) -> Self {
        let account = Account::default();
        Self {
            root: root.to_owned(),
            access: access.clone(),
            files: vec![],
            folders: vec![],
            account,
            warnings: vec![],
        }
    }

    /// The files below a folder.
    pub(super) fn walk(root: &Path, access: &FileAccess) -> Result<Self, DatasetError> {
        let mut tree = Self::empty(root, access);
        // The root itself is an error; a folder in it is a fault among others.
        access.entries(root).map_err(|source| DatasetError::read(root, source))?;
        let above: Vec<FolderId> = access.folder_id(root).into_iter().collect();
        tree.collect(&WalkedFolder { path: root, parts: &[], above: &above });
        Ok(tree.sorted())
    }

    /// Adds a member of an archive.
    pub(super) fn member(&mut self, parts: &[String], content: Content) {
        if parts.is_empty() {
            return;
        }
        let path = parts.iter().fold(self.root.clone(), |path, part| path.join(part));
        if let Some(reason) = parts.iter().find_map(|part| uninteresting(part)) {
            self.account.omit(reason, &path);
        } else {
            self.file(parts, content, &path);
        }
    }

    /// Adds a folder of an archive.
    pub(super) fn member_folder(&mut self, parts: &[String]) {
        if !parts.is_empty() && !parts.iter().any(|part| uninteresting(part).is_some()) {
            self.folders.push(parts.iter().map(|part| normalized(part)).collect());
        }
    }

    pub(super) fn sorted(mut self) -> Self {
        for file in &self.files {
            let folders = file.folders();
            self.folders.extend((1..=folders.len()).map(|depth| folders[..depth].to_vec()));
        }
        self.files.sort_by(|a, b| a.parts.cmp(&b.parts));
        self.folders.sort();
        self.folders.dedup();
        self
    }

    /// What the file is called in messages and records.
    pub(in crate::data) fn display_path(&self, entry: &SourceFile) -> PathBuf {
        match &entry.content {
            Content::File(file) => file.path().to_owned(),
            _ => entry.parts.iter().fold(self.root.clone(), |path, part| path.join(part)),
        }
    }

    /// The bytes of a file that describes the others.
    pub(super) fn read(&self, entry: &SourceFile) -> Result<Vec<u8>, DatasetError> {
        entry.content.read(TABLE_BYTES).map_err(|source| DatasetError::read(&self.display_path(entry), source))
    }

    fn collect(&mut self, folder: &WalkedFolder<'_>) {
        let mut entries = match self.access.entries(folder.path) {
            Ok(entries) => entries,
            Err(error) => return self.fault(folder.path, &format!("the folder cannot be read: {error}")),
        };
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut seen = BTreeSet::new();
        for entry in entries {
            let path = folder.path.join(&entry.name);
            if let Some(reason) = uninteresting(&entry.name.to_string_lossy()) {
                self.account.omit(reason, &path);
                continue;
            }
            let Some(name) = entry.name.to_str() else {
                self.foreign_name(&path, entry.kind);
                continue;
            };
            let parts = [folder.parts, &[normalized(name)]].concat();
            match entry.kind {
                EntryKind::File => {
                    let content = Content::File(self.access.file(path.clone()));
                    self.file(&parts, content, &path);
                }
                EntryKind::Folder(id) if folder.above.contains(&id) => {
                    self.account.omit(OmissionReason::LinkLoop, &path);
                }
                EntryKind::Folder(_) if parts.len() >= DEPTH => {
                    self.fault(&path, &format!("it is deeper than {DEPTH} folders; move it up"));
                }
                EntryKind::Folder(id) => {
                    if !seen.insert(parts.clone()) {
                        self.warnings.push(Warning::SameName { name: parts.join("/") });
                    }
                    self.folders.push(parts.clone());
                    let above = [folder.above, &[id]].concat();
                    self.collect(&WalkedFolder { path: &path, parts: &parts, above: &above });
                }
                EntryKind::BrokenLink if seems_wanted(name) => self.fault(&path, BROKEN_LINK),
                EntryKind::BrokenLink => self.account.omit(OmissionReason::BrokenLink, &path),
                EntryKind::Special if seems_wanted(name) => {
                    self.fault(&path, "it is a device, pipe or socket, not a file");
                }
                EntryKind::Special => self.account.omit(OmissionReason::SpecialFile, &path),
            }
        }
    }

    fn file(&mut self, parts: &[String], content: Content, path: &Path) {
        let name = parts.last().map_or("", String::as_str);
        if is_unfinished(name) {
            return self.account.omit(OmissionReason::Unfinished, path);
        }
        let kind = FileKind::of(name, &content);
        if let FileKind::ForeignPicture(format) = kind {
            return self
                .fault(path, &format!("{format} is not among the formats that graft reads; save it as JPEG or PNG"));
        }
        let parts = parts.iter().map(|part| normalized(part)).collect();
        self.files.push(SourceFile { parts, content, kind });
    }

    fn fault(&mut self, path: &Path, reason: &str) {
        self.account.fault(BadFile { path: path.to_owned(), reason: format!("{}: {reason}", path.display()) });
    }

    /// A name that is no UTF-8: of a picture or folder a fault that shows the bytes, otherwise nothing to lose.
    fn foreign_name(&mut self, path: &Path, kind: EntryKind) {
        let lossy = path.to_string_lossy();
        if !matches!(kind, EntryKind::Folder(_)) && !seems_wanted(&lossy) {
            return self.account.omit(OmissionReason::OtherFile, path);
        }
        let bytes = path.as_os_str().as_encoded_bytes().escape_ascii();
        let reason = format!("\"{bytes}\": the name is not UTF-8; rename it");
        self.account.fault(BadFile { path: path.to_owned(), reason });
    }
}

const BROKEN_LINK: &str = "it is a link whose target is gone or may not be read";

/// Whether a broken link or a special file may have been meant as a picture or a folder of pictures.
fn seems_wanted(name: &str) -> bool {
    FileKind::is_picture_name(name) || !name.contains('.')
}

/// Why an entry of this name is left out, whatever it is.
fn uninteresting(name: &str) -> Option<OmissionReason> {
    if is_litter(name) {
        return Some(OmissionReason::Litter);
    }
    name.starts_with('.').then_some(OmissionReason::Hidden)
}
