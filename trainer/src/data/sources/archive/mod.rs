//! Zip and tar archives of images.
//!
//! Nothing is unpacked into files of its own, so no name in an archive ever becomes a path on this machine: members are
//! read where they are. A compressed tar cannot be read from the middle, so it is uncompressed once, as one file, into
//! the caller's cache.

mod error;
mod gzip;
mod tar;
mod zip;

use std::io::Read;
use std::path::Path;

pub use error::ArchiveError;

use super::tree::Tree;
use crate::data::files::EVERYWHERE;
use crate::data::{DataFile, DatasetError, FileAccess};

/// What is needed to open archives.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions<'a> {
    /// The folder that compressed tars are uncompressed into, each under the checksum of its content; without a folder, a
    /// compressed tar is refused.
    pub archives: Option<&'a Path>,
    /// How much an archive may hold.
    pub limits: ArchiveLimits,
    /// Where the files may be.
    pub access: &'a FileAccess,
}

impl Default for OpenOptions<'_> {
    /// No folder for compressed tars, the default limits, every file that the process may read.
    fn default() -> Self {
        Self { archives: None, limits: ArchiveLimits::default(), access: &EVERYWHERE }
    }
}

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

impl Default for ArchiveLimits {
    /// Two million members, 256 GiB, 100 times the archive.
    fn default() -> Self {
        Self { members: 2_000_000, bytes: 256 << 30, ratio: 100 }
    }
}

/// Below so many bytes nobody minds the ratio.
const HARMLESS: u64 = 64 << 20;

/// The members of an archive.
pub(super) fn open(path: &Path, options: &OpenOptions<'_>) -> Result<Tree, DatasetError> {
    let mut tree = Tree::empty(path, options.access);
    list(path, options, &mut tree)?;
    Ok(tree.sorted())
}

fn list(path: &Path, options: &OpenOptions<'_>, tree: &mut Tree) -> Result<(), DatasetError> {
    let refused = |source| DatasetError::Archive { path: path.to_owned(), source };
    let file = options.access.file(path);
    let size = file.length().map_err(|source| DatasetError::read(path, source))?;
    let mut budget = Budget::new(options.limits, size);
    match Kind::of(&file)? {
        Some(Kind::Zip) => zip::list(&file, &mut budget, tree).map_err(refused),
        Some(Kind::Tar) => tar::list(&file, &mut budget, tree).map_err(refused),
        Some(Kind::Gzip) => {
            let folder = options.archives.ok_or(ArchiveError::Cache).map_err(refused)?;
            let plain = gzip::uncompressed(&file, folder, &budget)?;
            // It lies in the cache, where no request can name it.
            tar::list(&FileAccess::Everywhere.file(plain), &mut budget, tree).map_err(refused)
        }
        None => Err(refused(ArchiveError::Damaged)),
    }
}

/// Whether a file is an archive by its first bytes.
pub(super) fn is_archive(file: &DataFile) -> Result<bool, DatasetError> {
    Ok(Kind::of(file)?.is_some())
}

enum Kind {
    Zip,
    Tar,
    Gzip,
}

impl Kind {
    /// Told by the file's first bytes, since names lie.
    fn of(file: &DataFile) -> Result<Option<Self>, DatasetError> {
        let mut head = Vec::new();
        let read = file.open().and_then(|file| file.take(512).read_to_end(&mut head));
        read.map_err(|source| DatasetError::read(file.path(), source))?;
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

/// A member's name as text.
fn name(bytes: &[u8]) -> Result<String, ArchiveError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| ArchiveError::Name(bytes.escape_ascii().to_string()))
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

#[cfg(test)]
mod tests;
