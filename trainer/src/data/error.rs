//! What can be wrong with a data set.

use std::fmt;
use std::path::{Path, PathBuf};

use models::preprocess::ImageError;
use thiserror::Error;

use super::sources::ArchiveError;
use super::split::Subset;

/// How many bad files a message names.
const NAMED: usize = 5;

/// Why images are not a data set.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// A folder or file that cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is not a usable image.
    #[error("{path}: {source}")]
    Image {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: ImageError,
    },
    /// Files that are not usable images.
    #[error("{} image file(s) cannot be used; repair or remove them, or have bad files skipped: {}", files.len(), first(files))]
    BadFiles {
        /// All of them.
        files: Vec<BadFile>,
    },
    /// One class, or none.
    #[error("{path} holds {found} class(es); a classifier needs at least two, each a folder of images")]
    Classes {
        /// The data set's folder.
        path: PathBuf,
        /// How many there are.
        found: usize,
    },
    /// A class without enough images to train, validate and test with.
    #[error(
        "class `{class}` has {found} usable image(s); it needs at least {needed}, one each to train, validate and test \
         with unless the data set gives those parts"
    )]
    TooFew {
        /// The class.
        class: String,
        /// How many images it has that may train.
        found: usize,
        /// How many it needs.
        needed: usize,
    },
    /// A class that cannot be learnt.
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
    #[error("{path} has both `{first}` and `{second}`, which mean the same subset; keep one of them")]
    SubsetTwice {
        /// The data set's folder.
        path: PathBuf,
        /// One folder.
        first: String,
        /// The other.
        second: String,
    },
    /// An archive that is not read.
    #[error("{path}: {source}")]
    Archive {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: ArchiveError,
    },
    /// A line of a table.
    #[error("{path}, line {line}: {reason}")]
    Table {
        /// The table.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// Not the Oxford-17 files.
    #[error("{path} is not the Oxford-17 data set: {reason}")]
    Oxford17 {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// Not the CIFAR-10 files.
    #[error("{path} is not the CIFAR-10 data set: {reason}")]
    Cifar10 {
        /// The folder or file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// No kind of data set that is known.
    #[error(
        "{path} is no data set that is known; looked for a folder of images for each class, the same under train/, val/ \
         and test/, a table that ends in .csv, image_0001.jpg (Oxford-17), data_batch_1 or data_batch_1.bin (CIFAR-10), or \
         a .zip, .tar or .tar.gz of one of these"
    )]
    Unrecognized {
        /// What was named.
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
    /// Which.
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
        /// One image.
        first: PathBuf,
        /// The other.
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
