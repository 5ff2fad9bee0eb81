//! Zip and tar archives of images.
//!
//! Nothing is unpacked into files of its own, so no name in an archive ever becomes a path on this machine: members are
//! read where they are. A compressed tar cannot be read from the middle, so it is uncompressed once, as one file, into
//! the caller's cache.

mod gzip;
mod tar;
mod zip;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::DatasetError;
use super::source::Opening;
use super::tree::Tree;

/// How much an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Members, folders among them.
    pub members: u64,
    /// Bytes of all members together when they are unpacked.
    pub bytes: u64,
    /// How many times larger than the archive they may be, once they are over 64 MiB. Photographs hardly compress, so
    /// that an archive which unpacks to a hundred times its size is made to fill disks.
    pub ratio: u64,
}

/// Below so many bytes nobody minds the ratio.
const HARMLESS: u64 = 64 << 20;

impl Default for ArchiveLimits {
    /// Two million members, 256 GiB, 100 times the archive.
    fn default() -> Self {
        Self { members: 2_000_000, bytes: 256 << 30, ratio: 100 }
    }
}

/// Why an archive is not read.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The archive's own structure.
    #[error("the archive is damaged or of another kind: {0}; pack it anew as .zip, .tar or .tar.gz")]
    Damaged(String),
    /// A name that would lead out of a folder.
    #[error("member `{0}` has a name that leads out of the archive; pack the images under plain relative names")]
    Path(String),
    /// A link, or something else that holds no bytes of its own.
    #[error("member `{0}` is a link or a device and no file; pack the files themselves, as `tar --dereference` does")]
    Link(String),
    /// A zip member that is encrypted or compressed otherwise than usual.
    #[error("member `{member}` is {packing}; only stored and deflated members are read, so pack the archive anew")]
    Packing {
        /// Its name.
        member: String,
        /// How it is packed.
        packing: String,
    },
    /// More members than the limit.
    #[error("it has more than {0} members; split it, or unpack it and name the folder")]
    Members(u64),
    /// More bytes than the limits allow.
    #[error("its members unpack to more than {0} bytes, which is more than is allowed; unpack it and name the folder")]
    Bytes(u64),
    /// A compressed tar and nowhere to uncompress it.
    #[error("a compressed tar is uncompressed into a cache, and none was named; unpack it, or pack it as .zip or .tar")]
    Cache,
}

/// Adds an archive's members to the tree.
pub(super) fn list(path: &Path, opening: &Opening<'_>, tree: &mut Tree) -> Result<(), DatasetError> {
    let refused = |source| DatasetError::Archive { path: path.to_owned(), source };
    let size = std::fs::metadata(path).map_err(|source| DatasetError::read(path, source))?.len();
    let mut budget = Budget::new(opening.limits, size);
    match Kind::of(path)? {
        Some(Kind::Zip) => zip::list(path, &mut budget, tree).map_err(refused),
        Some(Kind::Tar) => tar::list(path, &mut budget, tree).map_err(refused),
        Some(Kind::Gzip) => {
            let cache = opening.cache.ok_or(ArchiveError::Cache).map_err(refused)?;
            let plain = gzip::uncompressed(path, cache, &budget)?;
            tar::list(&plain, &mut budget, tree).map_err(refused)
        }
        None => Err(refused(ArchiveError::Damaged("it does not begin as a zip or tar archive does".to_owned()))),
    }
}

/// Whether a file is an archive by its first bytes.
pub(super) fn is_archive(path: &Path) -> Result<bool, DatasetError> {
    Ok(Kind::of(path)?.is_some())
}

enum Kind {
    Zip,
    Tar,
    Gzip,
}

impl Kind {
    /// By the first bytes: names lie.
    fn of(path: &Path) -> Result<Option<Self>, DatasetError> {
        let mut head = Vec::new();
        let read = File::open(path).and_then(|file| file.take(512).read_to_end(&mut head));
        read.map_err(|source| DatasetError::read(path, source))?;
        Ok(match &head[..] {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Kind::Zip),
            [0x1f, 0x8b, ..] => Some(Kind::Gzip),
            head if head.get(257..262) == Some(b"ustar") => Some(Kind::Tar),
            _ => None,
        })
    }
}

/// What may still be unpacked.
struct Budget {
    members: u64,
    bytes: u64,
    limits: ArchiveLimits,
    allowed: u64,
}

impl Budget {
    fn new(limits: ArchiveLimits, size: u64) -> Self {
        let allowed = limits.bytes.min(size.saturating_mul(limits.ratio).max(HARMLESS));
        Self { members: limits.members, bytes: allowed, limits, allowed }
    }

    /// Takes a member of so many bytes, or refuses it.
    fn spend(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.members = self.members.checked_sub(1).ok_or(ArchiveError::Members(self.limits.members))?;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(ArchiveError::Bytes(self.allowed))?;
        Ok(())
    }
}

/// A member's name as its parts. Nothing is ever written under it, but a name that leads out was meant to harm.
fn parts(name: &str) -> Result<Vec<String>, ArchiveError> {
    let refused = || ArchiveError::Path(name.to_owned());
    let drive = name.as_bytes().get(1) == Some(&b':');
    if name.starts_with(['/', '\\']) || drive || name.contains('\0') {
        return Err(refused());
    }
    let parts = name.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".");
    parts.map(|part| if part == ".." { Err(refused()) } else { Ok(part.to_owned()) }).collect()
}

/// The folder of uncompressed archives in a cache.
fn folder(cache: &Path) -> PathBuf {
    cache.join("archives")
}

#[cfg(test)]
mod tests;
