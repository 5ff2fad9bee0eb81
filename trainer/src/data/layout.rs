//! How a data set is laid out, and how that is told.

use serde::{Deserialize, Serialize};

/// How images are arranged, which says their classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum), value(rename_all = "snake_case"))]
pub enum Layout {
    /// Whichever of the others the files give evidence for; refused where a guess is likely to be wrong.
    #[default]
    Auto,
    /// `class_folders` or `subset_folders`, by evidence.
    Folder,
    /// Each first folder is a class, whatever it is called.
    ClassFolders,
    /// `train`, and perhaps `val` and `test`, each with a folder for every class.
    SubsetFolders,
    /// The class is the file's name up to its number: `cat.0.jpg`, `daisy_012.png`.
    FileNames,
    /// A CSV table of paths and labels, perhaps with a column for the subset.
    Csv,
    /// `image_0001.jpg` to `image_1360.jpg`, 80 of a class in order (Nilsback and Zisserman 2006).
    Oxford17,
    /// `data_batch_1.bin` to `test_batch.bin`, or the same without `.bin` (Krizhevsky 2009).
    Cifar10,
    /// `train/n01443537/images`, and `val` with its labels in `val_annotations.txt` (Stanford).
    TinyImagenet,
    /// The manifest of a snapshot of a stored data set.
    #[cfg_attr(feature = "clap", value(skip))]
    Snapshot,
}

impl Layout {
    /// Its name in options and summaries.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Folder => "folder",
            Self::ClassFolders => "class_folders",
            Self::SubsetFolders => "subset_folders",
            Self::FileNames => "file_names",
            Self::Csv => "csv",
            Self::Oxford17 => "oxford17",
            Self::Cifar10 => "cifar10",
            Self::TinyImagenet => "tiny_imagenet",
            Self::Snapshot => "snapshot",
        }
    }
}
