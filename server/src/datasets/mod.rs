//! Published data sets by name, which are fetched when the user allows it, and the data sets that users store.

mod fetch;
mod findings;
mod proof;
mod source;
pub mod stored;
mod table;

use std::path::{Path, PathBuf};

use thiserror::Error;
use trainer::events::{Event, Observer};

pub use fetch::{FetchError, fetch};
pub use findings::{BadImage, DatasetFindings};
pub use proof::Proof;
pub use source::{JobDataset, MissingSnapshot, StoredKind, StoredSource};
pub use stored::{DatasetName, DatasetStore};
pub use table::{PUBLISHED, Presence, PublishedDataset, RemoteFile};

/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

/// The folder of published data sets, and whether files may be fetched into it.
#[derive(Debug, Clone, Copy)]
pub struct Downloads<'a> {
    /// The folder, with one in it for each data set.
    pub folder: &'a Path,
    /// Whether the network may be used.
    pub permission: Permission,
    /// What stands in for scheme and host of the published addresses, without the last `/`; the paths stay.
    pub endpoint: Option<&'a str>,
}

/// Whether the network may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// What is missing is fetched.
    Granted,
    /// What is missing is an error.
    Denied,
}

/// A published data set is not available.
#[derive(Debug, Error)]
pub enum DownloadError {
    /// It has not been fetched, and the user has not allowed it.
    #[error(
        "the data set `{name}` is not here yet; with --download it is fetched from {url} (about {mib} MiB) and kept in \
         {}; or fetch that file by hand and name it with --data FILE",
        .folder.display()
    )]
    Permission {
        /// The data set.
        name: &'static str,
        /// The address of its images.
        url: String,
        /// What is fetched, in MiB.
        mib: u64,
        /// Where it is kept.
        folder: PathBuf,
    },
    /// It cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl PublishedDataset {
    /// The data set of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        PUBLISHED.iter().find(|dataset| dataset.name == name)
    }

    /// The path of its images, the first of its files, fetched with the others if they are not there and may be. Files are
    /// checked when they are fetched, and trusted later.
    ///
    /// # Errors
    /// [`DownloadError`]; files that have come so far stay, and what has come of the next is gone on with.
    pub fn obtain(&self, downloads: &Downloads<'_>, observer: &mut dyn Observer) -> Result<PathBuf, DownloadError> {
        let folder = downloads.folder.join(self.name);
        let images = &self.files[0];
        let path = folder.join(images.name());
        if downloads.permission == Permission::Denied {
            return if path.is_file() { Ok(path) } else { Err(self.denied(downloads, folder)) };
        }
        for file in self.files.iter().filter(|file| !folder.join(file.name()).is_file()) {
            match fetch(file, downloads.endpoint, &folder, observer) {
                Err(FetchError::Missing { url }) if file.presence == Presence::Optional => {
                    let message = format!("{url} is not there; the data set is used without it");
                    observer.event(Event::Warning { message });
                }
                outcome => drop(outcome?),
            }
        }
        Ok(path)
    }

    fn denied(&self, downloads: &Downloads<'_>, folder: PathBuf) -> DownloadError {
        let bytes: u64 = self.files.iter().map(|file| file.bytes).sum();
        let url = self.files[0].address(downloads.endpoint);
        DownloadError::Permission { name: self.name, url, mib: bytes.div_ceil(MIB), folder }
    }
}
