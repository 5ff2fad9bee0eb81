//! Where images come from, and how their classes are found out.

mod archive;
pub(super) mod bmp;
mod cifar10;
pub(super) mod content;
mod layout;
mod matlab;
mod oxford17;
mod table;
mod tree;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use archive::{ArchiveError, ArchiveLimits, OpenOptions};

use super::{Dataset, DatasetError, check_classes};
use content::Content;
use tree::{SourceFile, Tree};

/// Where the images are, and how their classes are to be read. Each path may name a folder or a zip, tar or compressed
/// tar archive of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DatasetSource {
    /// Any of the following, told apart by what the path holds.
    Auto {
        /// The folder, archive or table.
        path: PathBuf,
    },
    /// A folder with one folder per class, named after it; or with `train`, `val` and `test` that each have one.
    Folder {
        /// The outer folder.
        path: PathBuf,
    },
    /// A CSV table of paths and labels, and perhaps parts (`train`, `val`, `test`).
    Csv {
        /// The table; its paths are relative to its folder.
        path: PathBuf,
    },
    /// The Oxford 17 Category Flowers (Nilsback and Zisserman 2006): `image_0001.jpg` … `image_1360.jpg`, 80 a class in
    /// order, with the official parts where `datasplits.mat` is beside them.
    Oxford17 {
        /// The folder of the images, the one that holds it as `jpg/`, or `17flowers.tgz`.
        path: PathBuf,
    },
    /// CIFAR-10 (Krizhevsky 2009) in its binary version or its Python version.
    Cifar10 {
        /// The folder of the batches, or the archive as it is published.
        path: PathBuf,
    },
}

impl DatasetSource {
    /// Lists the images for training, without reading them. A compressed tar is refused: see [`Source::open_in`].
    ///
    /// # Errors
    /// [`DatasetError`] for a folder that cannot be read, fewer than two classes, or a class with too few images.
    pub fn open(&self) -> Result<Dataset, DatasetError> {
        self.open_in(&OpenOptions::default())
    }

    /// Lists the images for training; only a compressed tar is read for it, once.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn open_in(&self, options: &OpenOptions<'_>) -> Result<Dataset, DatasetError> {
        let dataset = self.list_in(options)?;
        if dataset.labels.len() < 2 {
            return Err(DatasetError::Classes { path: self.path().to_owned(), found: dataset.labels.len() });
        }
        check_classes(&dataset.labels, &dataset.samples)?;
        Ok(dataset)
    }

    /// Lists the images, however few.
    ///
    /// # Errors
    /// [`DatasetError`] for a folder that cannot be read.
    pub fn list(&self) -> Result<Dataset, DatasetError> {
        self.list_in(&OpenOptions::default())
    }

    /// Lists the images, however few; only a compressed tar is read for it, once.
    ///
    /// # Errors
    /// [`DatasetError`] for a folder or archive that cannot be read, or that is not of its kind.
    pub fn list_in(&self, options: &OpenOptions<'_>) -> Result<Dataset, DatasetError> {
        match self {
            DatasetSource::Csv { path } => csv_file(path),
            DatasetSource::Auto { path } => detect(path, options),
            DatasetSource::Folder { path } => layout::list(&open_tree(path, options)?),
            DatasetSource::Oxford17 { path } => oxford17::list(&open_tree(path, options)?),
            DatasetSource::Cifar10 { path } => cifar10::list(&open_tree(path, options)?),
        }
    }

    /// The folder, archive or table that was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            DatasetSource::Auto { path }
            | DatasetSource::Folder { path }
            | DatasetSource::Csv { path }
            | DatasetSource::Oxford17 { path }
            | DatasetSource::Cifar10 { path } => path,
        }
    }
}

/// Published data sets say what they are by the names of their files; a folder of classes can have any names, so it is
/// asked last.
fn detect(path: &Path, options: &OpenOptions<'_>) -> Result<Dataset, DatasetError> {
    let unrecognized = || DatasetError::Unrecognized { path: path.to_owned() };
    if path.is_file() && !archive::is_archive(path)? {
        let table =
            path.extension().is_some_and(|ending| ["csv", "tsv"].iter().any(|e| ending.eq_ignore_ascii_case(e)));
        return if table { csv_file(path) } else { Err(unrecognized()) };
    }
    let tree = open_tree(path, options)?;
    if cifar10::is(&tree) {
        return cifar10::list(&tree);
    }
    if oxford17::is(&tree) {
        return oxford17::list(&tree);
    }
    let mut tables = tree.files.iter().filter(|entry| entry.parts.len() == 1 && entry.name().ends_with(".csv"));
    let table = tables.next().filter(|_| tables.next().is_none());
    match (layout::is(&tree).then(|| layout::list(&tree)).transpose()?, table) {
        // Images in one folder beside a table are the table's; with more folders it could be about anything.
        (Some(dataset), table) if dataset.labels.len() > 1 || table.is_none() => Ok(dataset),
        (_, Some(table)) => csv_entry(&tree, table),
        (_, None) => Err(unrecognized()),
    }
}

/// A table among the files that it is about.
fn csv_entry(tree: &Tree, table: &SourceFile) -> Result<Dataset, DatasetError> {
    let path = tree.display_path(table);
    let bytes = table.content.read().map_err(|source| DatasetError::read(&path, source))?;
    let files: HashMap<String, &SourceFile> = tree.files.iter().map(|entry| (entry.parts.join("/"), entry)).collect();
    let find = |name: &str| files.get(name.strip_prefix("./").unwrap_or(name)).map(|entry| entry.content.clone());
    table::list(&path, &bytes, find)
}

fn csv_file(path: &Path) -> Result<Dataset, DatasetError> {
    let bytes = std::fs::read(path).map_err(|source| DatasetError::read(path, source))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    table::list(path, &bytes, |name| Some(Content::File(folder.join(name))))
}

fn open_tree(path: &Path, options: &OpenOptions<'_>) -> Result<Tree, DatasetError> {
    if path.is_file() { archive::open(path, options) } else { Tree::walk(path) }
}
