//! What can be wrong with a data set.

use std::fmt;
use std::path::{Path, PathBuf};

use models::preprocess::ImageError;
use thiserror::Error;

use super::doubt::Doubt;
use super::sources::ArchiveError;
use super::split::Subset;
use super::text::quoted;

/// How many bad files a message names.
const NAMED: usize = 20;
/// How many classes a message names.
const CLASSES: usize = 6;

/// Images are not a data set that can be trained on.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// A folder or file that cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file that is not a usable image.
    #[error("{}: {source}", .path.display())]
    Image {
        /// The image file.
        path: PathBuf,
        /// The decoder's error.
        source: ImageError,
    },
    /// Files that are not usable images.
    #[error(
        "{} file(s) cannot be used; repair or remove them, or leave them out with `--bad-files skip`: {}",
        files.len(),
        first(files)
    )]
    BadFiles {
        /// All bad files: entries that cannot be read, then samples in their order.
        files: Vec<BadFile>,
    },
    /// Pictures that are in one folder, or in none.
    #[error(
        "{} holds {found} folder(s) of pictures; a classifier needs at least two classes, each a folder of pictures{}",
        .path.display(),
        joined(hints)
    )]
    Classes {
        /// The data set's folder.
        path: PathBuf,
        /// The number of folders with pictures: 0 or 1.
        found: usize,
        /// What else there is, and other ways to tell the classes, as sentences.
        hints: Vec<String>,
    },
    /// Fewer than two classes.
    #[error("a classifier needs at least two classes; usable images have {}", some(classes))]
    OneClass {
        /// Those that usable images have: one, or none.
        classes: Vec<String>,
    },
    /// A reading of the folders that is likely to be wrong.
    #[error("{}: {doubt}", .path.display())]
    Doubtful {
        /// The data set's folder.
        path: PathBuf,
        /// Why, and how to settle it.
        doubt: Doubt,
    },
    /// Classes that the user named and no folder has, or the same one twice.
    #[error("{}: `--classes` names {}; name each class once, as its folder is called", .path.display(), missing_classes(missing))]
    NamedClasses {
        /// The data set's folder.
        path: PathBuf,
        /// The classes without a folder; none if one is named twice.
        missing: Vec<String>,
    },
    /// A layout with subsets was asked for, and there are none.
    #[error(
        "{} has no folder `train` that holds a folder for each class; its subsets are folders called train, val and test",
        .path.display()
    )]
    NoSubsets {
        /// The data set's folder.
        path: PathBuf,
    },
    /// Classes without enough images to train, validate and test with.
    #[error(
        "each class needs at least {needed} usable image(s), one each to train, validate and test with, unless the data set \
         has its own splits; too few are in {}; add images, remove the folder, or name the classes that count with \
         `--classes`",
        counted(classes)
    )]
    TooFew {
        /// The classes, with the number of images that may train.
        classes: Vec<(String, usize)>,
        /// How many each needs, 1 to 3.
        needed: usize,
    },
    /// A class with images to test or validate on and none to train on.
    #[error(
        "class `{class}` is in `{subset}` but not in `train`, in {}; add images of it to train on, or remove it",
        .path.display()
    )]
    UnknownClass {
        /// The data set's folder.
        path: PathBuf,
        /// Its name.
        class: String,
        /// The folder that has it.
        subset: String,
    },
    /// Two folders for one subset.
    #[error("{} has both `{first}` and `{second}`, two names of the same subset; keep one of them", .path.display())]
    SubsetTwice {
        /// The data set's folder.
        path: PathBuf,
        /// The first folder's name.
        first: String,
        /// The second folder's name.
        second: String,
    },
    /// An archive that is refused.
    #[error("{}: {source}", .path.display())]
    Archive {
        /// The archive's file.
        path: PathBuf,
        /// Why it is refused.
        source: ArchiveError,
    },
    /// A table whose columns are not understood, or that is no UTF-8 text.
    #[error("{}, line {line}: {reason}", .path.display())]
    Table {
        /// The table's file.
        path: PathBuf,
        /// The line number, from 1.
        line: u64,
        /// What is wrong with the line.
        reason: String,
    },
    /// A folder or archive without all Oxford-17 files.
    #[error("{} is not the Oxford-17 data set: {reason}", .path.display())]
    Oxford17 {
        /// The data set's folder or archive.
        path: PathBuf,
        /// What is missing or damaged.
        reason: String,
    },
    /// A folder or archive without readable CIFAR-10 batches.
    #[error("{} is not the CIFAR-10 data set: {reason}", .path.display())]
    Cifar10 {
        /// The folder or file.
        path: PathBuf,
        /// What is missing or damaged.
        reason: String,
    },
    /// A folder or archive that is not laid out as Tiny ImageNet.
    #[error("{} is not laid out as Tiny ImageNet: {reason}", .path.display())]
    TinyImagenet {
        /// The folder, archive or file.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// The manifest of a snapshot that is not as it was written.
    #[error("the snapshot {} is damaged: {reason}", .path.display())]
    Snapshot {
        /// The manifest's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A path that holds no known kind of data set.
    #[error(
        "{} holds no data set that graft knows: it looked for a folder of pictures for each class, the same under train/, \
         val/ and test/, a table that ends in .csv, .json or .jsonl, image_0001.jpg to image_1360.jpg (Oxford-17), data_batch_1 or \
         data_batch_1.bin (CIFAR-10), or a .zip, .tar or .tar.gz of one of these{}",
        .path.display(),
        joined(holds)
    )]
    Unrecognized {
        /// The data set's folder or archive.
        path: PathBuf,
        /// What is there instead, as sentences.
        holds: Vec<String>,
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
    /// As messages name it.
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

fn some(classes: &[String]) -> String {
    if classes.is_empty() { "none".to_owned() } else { format!("only {}", quoted(classes, CLASSES)) }
}

fn joined(hints: &[String]) -> String {
    hints.iter().map(|hint| format!("; {hint}")).collect()
}

fn missing_classes(missing: &[String]) -> String {
    match missing {
        [] => "a class twice".to_owned(),
        missing => format!("{}, and no folder is called so", quoted(missing, CLASSES)),
    }
}

/// `cat` (1), `dog` (0).
fn counted(classes: &[(String, usize)]) -> String {
    let named: Vec<String> =
        classes.iter().take(CLASSES).map(|(class, count)| format!("class `{class}` ({count})")).collect();
    let more = classes.len().saturating_sub(CLASSES);
    named.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

/// What is odd about a data set and does not stop a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A class that a subset has no image of.
    NoImages {
        /// Its name.
        class: String,
        /// Validation or test.
        subset: Subset,
    },
    /// Two names of classes that differ in upper and lower case alone.
    Case {
        /// One name.
        first: String,
        /// The other; of a class of `val` or `test`, with its folder.
        second: String,
    },
    /// Two entries whose names differ only in their Unicode form or in surrounding space, and so are the same.
    SameName {
        /// The name that both have.
        name: String,
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
            Warning::Case { first, second } => {
                write!(f, "`{first}` and `{second}` differ in upper and lower case alone; check that this is meant")
            }
            Warning::SameName { name } => {
                write!(f, "two folders are called `{name}`, with other Unicode forms or spaces; they are one class")
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
