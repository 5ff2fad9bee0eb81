//! Why a data set cannot be read or changed.

use std::io;
use std::path::{Path, PathBuf};

use models::preprocess::ImageError;
use thiserror::Error;
use trainer::data::{Checksum, DatasetError};
use uuid::Uuid;

use super::DatasetName;
use crate::database;
use crate::failure::is_full_disk;

/// How many names a message has.
const NAMED: usize = 8;

/// Why a data set cannot be read or changed.
#[derive(Debug, Error)]
pub enum DatasetStoreError {
    /// The database refused.
    #[error("the database of data sets failed")]
    Database(#[from] sqlx::Error),
    /// The file system failed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// No data set of this name.
    #[error("there is no stored data set `{name}`; {}", known_names(known))]
    Unknown {
        /// The name that was asked for.
        name: DatasetName,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The name is taken.
    #[error("there is a data set `{0}` already; add images to it, delete it, or choose another name")]
    Exists(DatasetName),
    /// No such image.
    #[error("the data set `{dataset}` has no image {sha256}")]
    UnknownImage {
        /// The data set's name.
        dataset: DatasetName,
        /// What was asked for.
        sha256: Checksum,
    },
    /// No such image in the inbox.
    #[error("the inbox has no image {0}; it was not kept, has made room for others, or has got its label")]
    UnknownInboxImage(String),
    /// No such snapshot.
    #[error("the data set `{dataset}` has no snapshot {number}; {}", known_snapshots(*.latest))]
    UnknownSnapshot {
        /// The data set's name.
        dataset: DatasetName,
        /// What was asked for, from 1.
        number: u32,
        /// The newest snapshot.
        latest: Option<u32>,
    },
    /// No such upload.
    #[error("there is no upload {0}; it was ended, or it has expired")]
    UnknownUpload(Uuid),
    /// Another request writes the upload, or its images are being read.
    #[error("the upload {0} is being written by another request, or its images are being read; ask again where it is")]
    UploadLocked(Uuid),
    /// The bytes that have come end elsewhere.
    #[error("the piece begins at byte {asked}, and {found} have come; go on from there")]
    UploadOffset {
        /// Where the piece begins.
        asked: u64,
        /// How many bytes have come.
        found: u64,
    },
    /// Larger than uploads may be.
    #[error("the upload would have {length} bytes; --max-upload-gb allows {most}; send it as several archives")]
    UploadTooLarge {
        /// How many bytes the client announced.
        length: u64,
        /// As many as may be.
        most: u64,
    },
    /// Only an upload whose images were not understood is read again.
    #[error("the upload {0} has not failed, so that it is not read again")]
    UploadNotFailed(Uuid),
    /// As much is stored as may be.
    #[error("there would be more than {most} {of}, the limit of {flag}; nothing was added")]
    Full {
        /// How much may be stored.
        most: u64,
        /// What is counted, such as `data sets`.
        of: &'static str,
        /// The flag that says so.
        flag: &'static str,
    },
    /// A manifest or its images cannot be read.
    #[error(transparent)]
    Manifest(#[from] DatasetError),
    /// No small picture can be made.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Rows cannot be written as JSON.
    #[error("rows cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The work was not done.
    #[error("the work on the images was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl DatasetStoreError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }

    /// Whether the database itself fails: its file is damaged, missing or locked, or may not be written.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        matches!(self, Self::Database(error) if database::is_failing(error))
    }

    /// Whether the disk has no room, so that nothing was changed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Database(error) if database::is_full(error)) || is_full_disk(self)
    }
}

fn known_names(known: &[String]) -> String {
    match known.len() {
        0 => "there is none yet".to_owned(),
        1..=NAMED => format!("there are {}", known.join(", ")),
        count => format!("`GET /datasets` and `graft data list` list all {count}"),
    }
}

fn known_snapshots(latest: Option<u32>) -> String {
    match latest {
        None => "it has none yet".to_owned(),
        Some(1) => "it has 1".to_owned(),
        Some(latest) => format!("it has 1 to {latest}"),
    }
}
