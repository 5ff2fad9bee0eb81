//! What can be wrong with a data set.

use std::fmt;
use std::path::{Path, PathBuf};

use models::preprocess::ImageError;
use thiserror::Error;

use super::sources::ArchiveError;
use super::split::Subset;

/// How many bad files a message names.
const NAMED: usize = 5;

/// Images are not a data set that can be trained on.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// A folder or file that cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file that is not a usable image.
    #[error("{path}: {source}")]
    Image {
        /// The image file.
        path: PathBuf,
        /// The decoder's error.
        source: ImageError,
    },
    /// Files that are not usable images.
    #[error("{} image file(s) cannot be used; repair, remove or skip them: {}", files.len(), first(files))]
    BadFiles {
        /// All bad files, in the order of the samples.
        files: Vec<BadFile>,
    },
    /// One class, or none.
    #[error("{path} holds {found} class(es); a classifier needs at least two, each a folder of images")]
    Classes {
        /// The data set's folder.
        path: PathBuf,
        /// The number of classes found: 0 or 1.
        found: usize,
    },
    /// A class without enough images to train, validate and test with.
    #[error(
        "class `{class}` has {found} usable image(s); it needs at least {needed}, one each to train, validate and test \
         with, unless the data set has its own splits"
    )]
    TooFew {
        /// The class.
        class: String,
        /// How many images it has that may train.
        found: usize,
        /// How many it needs, 1 to 3.
        needed: usize,
    },
    /// A class with images to test or validate on and none to train on.
    #[error(
        "class `{class}` is in `{subset}` but not in `train`, in {path}; add images of it to train on, or remove it"
    )]
    UnknownClass {
        /// The data set's folder.
        path: PathBuf,
        /// The class.
        class: String,
        /// The folder that has it.
        subset: String,
    },
    /// Two folders for one subset.
    #[error("{path} has both `{first}` and `{second}`, two names of the same subset; keep one of them")]
    SubsetTwice {
        /// The data set's folder.
        path: PathBuf,
        /// The first folder's name.
        first: String,
        /// The second folder's name.
        second: String,
    },
    /// An archive that is refused.
    #[error("{path}: {source}")]
    Archive {
        /// The archive's file.
        path: PathBuf,
        /// Why it is refused.
        source: ArchiveError,
    },
    /// A line of a CSV table that names no image and class.
    #[error("{path}, line {line}: {reason}")]
    Table {
        /// The table's file.
        path: PathBuf,
        /// The line number, from 1.
        line: u64,
        /// What is wrong with the line.
        reason: String,
    },
    /// A folder or archive without all Oxford-17 files.
    #[error("{path} is not the Oxford-17 data set: {reason}")]
    Oxford17 {
        /// The folder.
        path: PathBuf,
        /// What is missing or damaged.
        reason: String,
    },
    /// A folder or archive without readable CIFAR-10 batches.
    #[error("{path} is not the CIFAR-10 data set: {reason}")]
    Cifar10 {
        /// The folder or file.
        path: PathBuf,
        /// What is missing or damaged.
        reason: String,
    },
    /// A path that holds no known kind of data set.
    #[error(
        "{path} holds no data set that graft knows: it looked for a folder of images for each class, the same under train/, val/ \
         and test/, a table that ends in .csv, image_0001.jpg (Oxford-17), data_batch_1 or data_batch_1.bin (CIFAR-10), or \
         a .zip, .tar or .tar.gz of one of these"
    )]
    Unrecognized {
        /// The path.
        path: PathBuf,
    },
}

impl DatasetError {
    pub(crate) fn image(path: &Path, source: ImageError) -> Self {
        Self::Image { path: path.to_owned(), source }
    }

    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }
}

/// A file that is not a usable image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, in a sentence that names it.
    pub reason: String,
}

impl BadFile {
    pub(crate) fn new(path: &Path, error: &DatasetError) -> Self {
        Self { path: path.to_owned(), reason: error.to_string() }
    }
}

fn first(files: &[BadFile]) -> String {
    let named: Vec<&str> = files.iter().take(NAMED).map(|file| file.reason.as_str()).collect();
    let more = if files.len() > NAMED { format!("; and {} more", files.len() - NAMED) } else { String::new() };
    named.join("; ") + &more
}

/// What is odd about a data set and does not stop a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A class that a subset has no image of.
    NoImages {
        /// The class.
        class: String,
        /// The subset.
        subset: Subset,
    },
    /// The same bytes in a subset that trains and one that measures.
    Duplicate {
        /// The image that trains.
        trains: PathBuf,
        /// The image that measures.
        measures: PathBuf,
    },
    /// The same bytes under two classes.
    TwoClasses {
        /// The image's file.
        first: PathBuf,
        /// The file of the same image in the other class.
        second: PathBuf,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::NoImages { class, subset } => {
                let subset = match subset {
                    Subset::Train => "training",
                    Subset::Validation => "validation",
                    Subset::Test => "test",
                };
                write!(f, "class `{class}` has no {subset} image, so that it counts for nothing there")
            }
            Warning::Duplicate { trains, measures } => write!(
                f,
                "{} measures and is trained on as {}; remove one, or the result is too good",
                measures.display(),
                trains.display()
            ),
            Warning::TwoClasses { first, second } => {
                write!(f, "{} and {} are the same image in two classes; remove one", first.display(), second.display())
            }
        }
    }
}
