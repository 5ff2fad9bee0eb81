//! What became of the entries of a folder or archive that are not samples.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::BadFile;

/// How many names an omission carries.
const EXAMPLES: usize = 5;
/// How many folders are remembered.
const FOLDERS: usize = 1000;

/// Why an entry is left out. The order is the one in which omissions are shown: pictures first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OmissionReason {
    /// A picture that lies beside the class folders, not in one.
    BesideClasses,
    /// A picture outside the folders of the subsets.
    OutsideSubsets,
    /// A picture without a class, such as those of a competition's flat test folder.
    Unlabeled,
    /// A picture that the table does not name.
    NotInTable,
    /// A picture in none of the classes that the user named.
    OtherClass,
    /// A file that is no part of the published data set.
    NotInDataset,
    /// A table of labels that the folders make unnecessary.
    UnusedTable,
    /// A file that is no picture.
    OtherFile,
    /// A link to a folder that contains the link.
    LinkLoop,
    /// A link whose target is gone, with a name that is no picture's.
    BrokenLink,
    /// A device, FIFO or socket with a name that is no picture's. It is never opened.
    SpecialFile,
    /// A backup or an unfinished download.
    Unfinished,
    /// An entry whose name begins with a dot.
    Hidden,
    /// What an operating system or a program leaves in folders.
    Litter,
}

impl OmissionReason {
    /// What such entries are, as the end of "left out 3 …".
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::BesideClasses => "pictures beside the class folders",
            Self::OutsideSubsets => "pictures outside the folders of the subsets",
            Self::Unlabeled => "pictures without a class",
            Self::NotInTable => "pictures that the table does not name",
            Self::OtherClass => "pictures in none of the named classes",
            Self::NotInDataset => "files that are no part of the data set",
            Self::UnusedTable => "tables that the folders make unnecessary",
            Self::OtherFile => "files that are no pictures",
            Self::LinkLoop => "links to a folder that contains them",
            Self::BrokenLink => "links whose target is gone",
            Self::SpecialFile => "devices, FIFOs or sockets",
            Self::Unfinished => "backups or unfinished downloads",
            Self::Hidden => "entries whose names begin with a dot",
            Self::Litter => "entries that an operating system or a program left there",
        }
    }
}

/// Entries that are left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Omission {
    /// Why no sample was made of them.
    pub reason: OmissionReason,
    /// How many entries; a folder that is left out whole is one.
    #[cfg_attr(feature = "openapi", schema(example = 1))]
    pub count: usize,
    /// The paths of the first of them; those in an upload are below its root.
    #[cfg_attr(feature = "openapi", schema(example = json!(["train/overview.png"])))]
    pub examples: Vec<String>,
}

/// Every entry of a walk that is not a sample: left out for a reason, or at fault.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    omissions: BTreeMap<OmissionReason, (usize, Vec<String>)>,
    /// How many entries of each folder are left out that somebody may have put there.
    folders: BTreeMap<PathBuf, usize>,
    faults: Vec<BadFile>,
}

impl Account {
    pub(super) fn omit(&mut self, reason: OmissionReason, path: &Path) {
        let (count, examples) = self.omissions.entry(reason).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(path.display().to_string());
        }
        let placed = !matches!(reason, OmissionReason::Litter | OmissionReason::Hidden | OmissionReason::Unfinished);
        if let Some(folder) = path.parent().filter(|folder| placed && !folder.as_os_str().is_empty())
            && (self.folders.len() < FOLDERS || self.folders.contains_key(folder))
        {
            *self.folders.entry(folder.to_owned()).or_default() += 1;
        }
    }

    /// The folders in which entries are left out, with their number; what systems and programs leave is not counted.
    pub fn folders(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.folders.iter().map(|(folder, &entries)| (folder.as_path(), entries))
    }

    pub(super) fn fault(&mut self, fault: BadFile) {
        self.faults.push(fault);
    }

    /// What is left out, by reason.
    #[must_use]
    pub fn omissions(&self) -> Vec<Omission> {
        let omission = |(&reason, (count, examples)): (&OmissionReason, &(usize, Vec<String>))| Omission {
            reason,
            count: *count,
            examples: examples.clone(),
        };
        self.omissions.iter().map(omission).collect()
    }

    /// Entries that seem to be wanted and cannot be used: broken links with the name of a picture, folders that cannot be
    /// read, names that are no UTF-8, rows of a table without a file.
    #[must_use]
    pub fn faults(&self) -> &[BadFile] {
        &self.faults
    }
}
