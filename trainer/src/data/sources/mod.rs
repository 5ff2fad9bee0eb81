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

use super::files::TABLE_BYTES;
use super::{Dataset, DatasetError, check_classes};
use content::Content;
use tree::{SourceFile, Tree};

/// Images with classes, on the machine that trains: a path, and how to read the classes from it. A folder may also be a
/// zip, tar or compressed tar archive of that folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DatasetSource {
    /// Any of the others, detected from what the path holds.
    #[cfg_attr(feature = "openapi", schema(title = "AutoDataset"))]
    Auto {
        /// The folder, archive or table.
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "/data/birds.zip"))]
        path: PathBuf,
    },
    /// A folder with one folder for each class, named after it, or with `train`, `val` and `test` that each have one; or
    /// a zip or tar archive of such a folder.
    #[cfg_attr(feature = "openapi", schema(title = "FolderDataset"))]
    Folder {
        /// The outer folder.
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "/data/birds"))]
        path: PathBuf,
    },
    /// A CSV table of paths and labels, with an optional column for the subset: `train`, `val` or `test`.
    #[cfg_attr(feature = "openapi", schema(title = "CsvDataset"))]
    Csv {
        /// The table; its paths are relative to its folder.
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "/data/birds/labels.csv"))]
        path: PathBuf,
    },
    /// CIFAR-10 (Krizhevsky 2009) in its binary or its Python version, as a folder or as the published archive.
    #[cfg_attr(feature = "openapi", schema(title = "Cifar10Dataset"))]
    Cifar10 {
        /// The folder of the batches, or the archive.
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "/data/cifar-10-batches-bin"))]
        path: PathBuf,
    },
    /// The Oxford 17 Category Flowers (Nilsback and Zisserman 2006): `image_0001.jpg` to `image_1360.jpg`, 80 of a class
    /// in order, with the official splits if `datasplits.mat` is beside them.
    #[cfg_attr(feature = "openapi", schema(title = "Oxford17Dataset"))]
    Oxford17 {
        /// The folder of the images, its parent, or `17flowers.tgz`.
        #[cfg_attr(feature = "openapi", schema(value_type = String, example = "/data/oxford17"))]
        path: PathBuf,
    },
}

/// A [`DatasetSource`] without its path: the flag `--kind` of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum DatasetKind {
    /// Any of the others, detected from what is there.
    #[default]
    Auto,
    /// A folder per class, or `train`, `val` and `test` that each have one.
    Folder,
    /// A table of paths and labels.
    Csv,
    /// `image_0001.jpg` to `image_1360.jpg`, 80 of a class in order.
    Oxford17,
    /// `data_batch_1.bin` to `test_batch.bin`, or the same without `.bin`.
    Cifar10,
}

impl DatasetKind {
    /// The source of this kind at a path.
    #[must_use]
    pub fn at(self, path: PathBuf) -> DatasetSource {
        match self {
            Self::Auto => DatasetSource::Auto { path },
            Self::Folder => DatasetSource::Folder { path },
            Self::Csv => DatasetSource::Csv { path },
            Self::Oxford17 => DatasetSource::Oxford17 { path },
            Self::Cifar10 => DatasetSource::Cifar10 { path },
        }
    }
}

impl DatasetSource {
    /// Lists the images for training, without reading them. A compressed tar is refused: see [`DatasetSource::open_in`].
    ///
    /// # Errors
    /// [`DatasetError`] for a folder that cannot be read, fewer than two classes, or a class with too few images.
    pub fn open(&self) -> Result<Dataset, DatasetError> {
        self.open_in(&OpenOptions::default())
    }

    /// Lists the images for training; only a compressed tar is read for it, once.
    ///
    /// # Errors
    /// As [`DatasetSource::open`].
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
            DatasetSource::Csv { path } => csv_file(path, options),
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
    if options.access.is_file(path) && !archive::is_archive(&options.access.file(path))? {
        let table =
            path.extension().is_some_and(|ending| ["csv", "tsv"].iter().any(|e| ending.eq_ignore_ascii_case(e)));
        return if table { csv_file(path, options) } else { Err(unrecognized()) };
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
    let bytes = tree.read(table)?;
    let files: HashMap<String, &SourceFile> = tree.files.iter().map(|entry| (entry.parts.join("/"), entry)).collect();
    let find = |name: &str| files.get(name.strip_prefix("./").unwrap_or(name)).map(|entry| entry.content.clone());
    table::list(&path, &bytes, find)
}

fn csv_file(path: &Path, options: &OpenOptions<'_>) -> Result<Dataset, DatasetError> {
    let table = options.access.file(path);
    let bytes = table.read(TABLE_BYTES).map_err(|source| DatasetError::read(path, source))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    table::list(path, &bytes, |name| Some(Content::File(options.access.file(folder.join(name)))))
}

fn open_tree(path: &Path, options: &OpenOptions<'_>) -> Result<Tree, DatasetError> {
    if options.access.is_file(path) { archive::open(path, options) } else { Tree::walk(path, options.access) }
}
