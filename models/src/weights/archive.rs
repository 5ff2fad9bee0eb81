//! Zip archives, as PyTorch and Keras write them.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use thiserror::Error;
use zip::read::ZipFile;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use crate::budget::{Budget, TooLarge};

/// Why an archive or one of its members cannot be read.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The archive's own structure.
    #[error("the zip archive is damaged or cut off; fetch the file again")]
    Zip,
    /// A damaged or truncated member.
    #[error("member `{name}` of the archive is damaged; fetch the file again")]
    Damaged {
        /// Its path in the archive.
        name: String,
    },
    /// An encrypted member, or one with an unsupported compression method.
    #[error("member `{name}` of the archive is packed with {method}; only stored and deflated members are read")]
    Packing {
        /// Its path in the archive.
        name: String,
        /// The compression method.
        method: String,
    },
    /// A missing member.
    #[error("the archive has no member `{name}`; it is not what its format says, or is damaged")]
    Missing {
        /// The path that was looked for.
        name: String,
    },
    /// A member that would unpack to more memory than the file's size allows.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl From<ZipError> for ArchiveError {
    fn from(_: ZipError) -> Self {
        Self::Zip
    }
}

/// An archive in memory.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// Bytes of the file that no member has claimed yet. Without it, overlapping members would be checksummed repeatedly.
    unclaimed: u64,
}

impl<'a> Archive<'a> {
    /// Reads the list of members.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ArchiveError> {
        Ok(Self { bytes, zip: ZipArchive::new(Cursor::new(bytes))?, unclaimed: bytes.len() as u64 })
    }

    /// The names of all members that are text.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.zip.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok())
    }

    /// The content of a member; each can be read once. An uncompressed one borrows from the file.
    pub(super) fn member(&mut self, name: &str, budget: &mut Budget) -> Result<Cow<'a, [u8]>, ArchiveError> {
        let missing = || ArchiveError::Missing { name: name.to_owned() };
        let index = self.zip.index_for_name_raw(name.as_bytes()).ok_or_else(missing)?;
        let entry = self.zip.by_index_raw(index)?;
        let damaged = || ArchiveError::Damaged { name: name.to_owned() };
        self.unclaimed = self.unclaimed.checked_sub(entry.compressed_size()).ok_or_else(damaged)?;
        match entry.compression() {
            CompressionMethod::Stored if !entry.encrypted() => {
                stored(self.bytes, &entry).map(Cow::Borrowed).ok_or_else(damaged)
            }
            CompressionMethod::Deflated if !entry.encrypted() => {
                budget.spend(entry.size())?;
                drop(entry);
                self.inflated(index, name).map(Cow::Owned)
            }
            method => {
                let method = if entry.encrypted() { "encryption".to_owned() } else { format!("{method:?}") };
                Err(ArchiveError::Packing { name: name.to_owned(), method })
            }
        }
    }

    fn inflated(&mut self, index: usize, name: &str) -> Result<Vec<u8>, ArchiveError> {
        let entry = self.zip.by_index(index)?;
        let size = entry.size();
        let mut content = Vec::new();
        // One byte more than declared, so that the reader reaches the end and compares the checksum.
        match entry.take(size.saturating_add(1)).read_to_end(&mut content) {
            Ok(read) if read as u64 == size => Ok(content),
            _ => Err(ArchiveError::Damaged { name: name.to_owned() }),
        }
    }
}

/// A stored member's bytes, or none where its place, size or checksum is wrong.
fn stored<'a>(file: &'a [u8], entry: &ZipFile<'_, Cursor<&'a [u8]>>) -> Option<&'a [u8]> {
    let start = usize::try_from(entry.data_start()?).ok()?;
    let content = file.get(start..)?.get(..usize::try_from(entry.size()).ok()?)?;
    // PyTorch can be told not to compute checksums and then writes zeros.
    (entry.crc32() == 0 || entry.crc32() == crc32fast::hash(content)).then_some(content)
}
