//! Where images come from, and how their classes are found out.

mod archive;
pub(super) mod bmp;
mod cifar10;
pub(super) mod content;
mod detect;
mod file_kind;
mod file_names;
mod folders;
mod foreign;
mod litter;
mod matlab;
mod named_classes;
mod oxford17;
mod snapshot;
mod subset_name;
mod survey;
mod table;
#[cfg(test)]
mod tests;
mod tiny_imagenet;
pub(super) mod tree;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use archive::{ArchiveError, ArchiveLimits, OpenOptions};
pub use snapshot::{DatasetFolder, SnapshotHeader, SnapshotImage, SnapshotManifest, labels_of};

use super::text::normalized;
use super::{BadFilePolicy, Dataset, DatasetError, FileAccess, Layout};
#[cfg(test)]
use file_kind::FileKind;
use tree::Tree;

/// Images with classes, on the machine that trains. A folder may also be a zip, tar or compressed tar archive of that
/// folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DatasetSource {
    /// How the images are arranged, which says their classes; `auto` tells it from the files. Until version 0.2 this field
    /// was called `kind`, and that name is still read.
    #[serde(default, alias = "kind")]
    pub layout: Layout,
    /// The folder, archive or table.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "/data/birds.zip"))]
    pub path: PathBuf,
    /// The classes: folders of these names, wherever they are, hold the images, and all others are left out. Without it
    /// the layout says the classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(example = json!(["rose", "tulip"])))]
    pub classes: Vec<String>,
}

/// Every picture below a folder, whatever its class, in the order of their names. What operating systems and programs leave
/// there is left out.
///
/// # Errors
/// [`DatasetError`] for a folder that cannot be read.
pub fn pictures(folder: &Path, access: &FileAccess) -> Result<Vec<PathBuf>, DatasetError> {
    let tree = Tree::walk(folder, access)?;
    Ok(tree.files.iter().filter(|file| file.is_picture()).map(|file| tree.display_path(file)).collect())
}

impl DatasetSource {
    /// A data set of this layout; its classes are as the layout says.
    #[must_use]
    pub fn new(layout: Layout, path: impl Into<PathBuf>) -> Self {
        Self { layout, path: path.into(), classes: vec![] }
    }

    /// Lists the images for training, without reading them. A compressed tar is refused: see [`DatasetSource::open_in`].
    ///
    /// # Errors
    /// [`DatasetError`] for a folder that cannot be read, a layout that is not understood, fewer than two classes, faulty
    /// entries, or a class with too few images.
    pub fn open(&self) -> Result<Dataset, DatasetError> {
        self.open_in(&OpenOptions::default(), BadFilePolicy::Refuse)
    }

    /// Lists the images for training; only a compressed tar is read for it, once.
    ///
    /// # Errors
    /// As [`DatasetSource::open`]; faulty entries are left out where the policy says so.
    pub fn open_in(&self, options: &OpenOptions<'_>, policy: BadFilePolicy) -> Result<Dataset, DatasetError> {
        let dataset = self.list_in(options)?;
        dataset.check(policy)?;
        Ok(dataset)
    }

    /// Lists the images, however few.
    ///
    /// # Errors
    /// [`DatasetError`] for a folder that cannot be read or whose layout is not understood.
    pub fn list(&self) -> Result<Dataset, DatasetError> {
        self.list_in(&OpenOptions::default())
    }

    /// Lists the images, however few; only a compressed tar is read for it, once.
    ///
    /// # Errors
    /// [`DatasetError`] for a folder or archive that cannot be read, that is not of its layout, or whose layout is in doubt.
    pub fn list_in(&self, options: &OpenOptions<'_>) -> Result<Dataset, DatasetError> {
        let path = &self.path;
        if self.layout == Layout::Snapshot {
            return snapshot::list(path, options);
        }
        let is_file = options.access.is_file(path);
        let foreign = path.file_name().and_then(|name| foreign::of_name(&name.to_string_lossy()));
        if let Some(foreign) = foreign.filter(|_| is_file && !table::is_name(path)) {
            return Err(DatasetError::Unrecognized { path: path.clone(), holds: vec![foreign] });
        }
        if !is_file && options.access.folder_id(path).is_none() {
            let source = options.access.file(path).open().err().unwrap_or_else(|| ErrorKind::NotADirectory.into());
            return Err(DatasetError::read(path, source));
        }
        if is_file && !archive::is_archive(&options.access.file(path))? {
            return match self.layout {
                Layout::Csv | Layout::Auto if table::is_name(path) => table::of_file(path, options),
                Layout::Csv => table::of_file(path, options),
                _ => Err(DatasetError::Unrecognized { path: path.clone(), holds: vec![] }),
            };
        }
        let tree = if is_file { archive::open(path, options)? } else { Tree::walk(path, options.access)? };
        if !self.classes.is_empty() {
            let classes: Vec<String> = self.classes.iter().map(|class| normalized(class)).collect();
            return named_classes::list(tree, &classes);
        }
        match self.layout {
            Layout::Auto => detect::list(tree),
            Layout::Folder => folders::list(tree),
            Layout::ClassFolders => folders::in_classes(tree),
            Layout::SubsetFolders => folders::in_subsets(tree),
            Layout::FileNames => file_names::list(tree),
            Layout::Csv => table::only(tree),
            Layout::Oxford17 => oxford17::list(tree),
            Layout::Cifar10 => cifar10::list(tree),
            Layout::TinyImagenet => tiny_imagenet::list(tree),
            // Read above: its images are in no tree.
            Layout::Snapshot => snapshot::list(path, options),
        }
    }

    /// The folder, archive or table that was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
