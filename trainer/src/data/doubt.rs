//! Guesses about a data set that are likely to be wrong.

use std::fmt;

use super::text::quoted;

/// How many names a message lists.
const NAMED: usize = 6;

/// Why the obvious reading of a data set is likely to be wrong. The message says how to settle it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// Folders named for subsets hold pictures and no class folders.
    SubsetsAsClasses {
        /// Their names, such as `train` and `test`.
        folders: Vec<String>,
        /// Other ways to tell the classes, as sentences.
        hints: Vec<String>,
    },
    /// All would-be classes have the same sub-folders.
    SameSubfolders {
        /// The outer folders.
        outer: Vec<String>,
        /// Their sub-folders.
        inner: Vec<String>,
    },
    /// A would-be class holds folders that are named as its siblings.
    NestedCopy {
        /// The would-be class.
        folder: String,
        /// The siblings' names in it.
        inner: Vec<String>,
    },
    /// The folders are the parts of a data set for detection or segmentation.
    PartsOfImages {
        /// Their names, such as `images` and `masks`.
        folders: Vec<String>,
    },
    /// There are validation or test folders with classes, and none to train on.
    NoTraining {
        /// Their names, such as `val` and `test`.
        folders: Vec<String>,
    },
    /// More pictures lie beside the class folders than in them.
    MostlyBeside {
        /// Pictures beside.
        beside: usize,
        /// Pictures in class folders.
        within: usize,
        /// Other ways to tell the classes, as sentences.
        hints: Vec<String>,
    },
    /// A table and the folders name different classes.
    TableDisagrees {
        /// Its path below the data set's folder.
        table: String,
        /// A picture that both name.
        picture: String,
        /// Its label in the table.
        label: String,
        /// The class folder that it is in.
        folder: String,
    },
    /// Several tables could be meant.
    SeveralTables {
        /// What their files are called.
        tables: Vec<String>,
    },
    /// Folders whose names are made of other classes' with `+` between: pictures of several classes.
    CombinedClasses {
        /// Their names, such as `rose+tulip`.
        folders: Vec<String>,
        /// The classes of the first of them.
        classes: Vec<String>,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubsetsAsClasses { folders, hints } => write!(
                f,
                "{} are named for subsets and hold pictures instead of class folders; move each picture into a folder of \
                 its class, as in train/rose/1.jpg{}; if the folders are the classes, say `--layout class_folders`",
                quoted(folders, NAMED),
                joined(hints)
            ),
            Self::SameSubfolders { outer, inner } => write!(
                f,
                "the folders {} all hold the folders {}, so either could be the classes; name the classes, as in \
                 `--classes {}`",
                quoted(outer, NAMED),
                quoted(inner, NAMED),
                inner.join(",")
            ),
            Self::NestedCopy { folder, inner } => write!(
                f,
                "the folder `{folder}` holds folders named as its siblings, {}: probably a second copy of the data set; \
                 remove it, or name the classes, as in `--classes {}`",
                quoted(inner, NAMED),
                inner.join(",")
            ),
            Self::PartsOfImages { folders } => write!(
                f,
                "the folders {} look like a data set for detection or segmentation, not like classes; make a folder of \
                 pictures for each class; if the folders are the classes, say `--layout class_folders` (or `subset_folders`)",
                quoted(folders, NAMED)
            ),
            Self::NoTraining { folders } => write!(
                f,
                "{} hold class folders, and no folder holds images to train on; call one `train`; if the folders are the \
                 classes, say `--layout class_folders`",
                quoted(folders, NAMED)
            ),
            Self::MostlyBeside { beside, within, hints } => write!(
                f,
                "{beside} pictures lie beside the class folders and only {within} in them; move each into the folder of \
                 its class{}; to leave them out, say `--layout class_folders`",
                joined(hints)
            ),
            Self::TableDisagrees { table, picture, label, folder } => write!(
                f,
                "the table `{table}` calls `{picture}` `{label}`, and its folder is `{folder}`; say `--layout csv` to \
                 follow the table, or `--layout folder` to follow the folders"
            ),
            Self::SeveralTables { tables } => write!(
                f,
                "the tables {} all name pictures here; name the one that is meant as the data set, with its path",
                quoted(tables, NAMED)
            ),
            Self::CombinedClasses { folders, classes } => write!(
                f,
                "the folders {} are named for several classes each; write a table for pictures of several classes, with a \
                 row such as `{}/1.jpg,{}` for each picture, and name it as the data set; if each folder is a class of its \
                 own, say `--layout class_folders` (or `subset_folders`)",
                quoted(folders, NAMED),
                folders.first().map_or("", String::as_str),
                classes.join("|")
            ),
        }
    }
}

fn joined(hints: &[String]) -> String {
    hints.iter().map(|hint| format!("; {hint}")).collect()
}
