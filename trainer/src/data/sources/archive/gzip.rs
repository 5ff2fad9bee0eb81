//! A compressed tar as a plain one.

use std::fs;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use models::files::{ABANDONED, AtomicFile, remove_abandoned};
use sha2::{Digest, Sha256};

use super::{ArchiveError, Budget};
use crate::data::{DataFile, DatasetError};

/// Bytes that are hashed or uncompressed at a time.
const CHUNK: usize = 1 << 20;

/// The uncompressed file in this folder, named after the checksum of the compressed one: a second run finds it there.
pub(super) fn uncompressed(from: &DataFile, folder: &Path, budget: &Budget) -> Result<PathBuf, DatasetError> {
    let failed = |source| DatasetError::read(from.path(), source);
    let target = folder.join(format!("{}.tar", checksum(from).map_err(failed)?));
    if target.is_file() {
        return Ok(target);
    }
    fs::create_dir_all(folder).map_err(|source| DatasetError::read(folder, source))?;
    remove_abandoned(folder, ABANDONED).map_err(|source| DatasetError::read(folder, source))?;
    let mut file = AtomicFile::create(&target).map_err(|source| DatasetError::read(&target, source))?;
    let refused = |source| DatasetError::Archive { path: from.path().to_owned(), source };
    let copied = copy(from, &mut file, budget.bytes).map_err(|error| match error.kind() {
        // The decompressor's words for bytes that are no gzip stream.
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => refused(ArchiveError::Damaged),
        _ => failed(error),
    })?;
    if copied > budget.bytes {
        return Err(refused(ArchiveError::Bytes(budget.bytes)));
    }
    file.commit().map_err(|source| DatasetError::read(&target, source))?;
    Ok(target)
}

fn checksum(file: &DataFile) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (file.open()?, Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Uncompresses at most one byte more than allowed, and says how many it wrote.
fn copy(from: &DataFile, to: &mut AtomicFile, allowed: u64) -> io::Result<u64> {
    let source = MultiGzDecoder::new(BufReader::with_capacity(CHUNK, from.open()?));
    io::copy(&mut source.take(allowed.saturating_add(1)), to)
}
