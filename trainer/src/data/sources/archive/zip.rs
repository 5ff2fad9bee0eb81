//! The members of a zip archive.

use std::io::BufReader;

use zip::{CompressionMethod, ZipArchive};

use super::{ArchiveError, Budget, name, parts};
use crate::data::DataFile;
use crate::data::sources::content::Content;
use crate::data::sources::tree::Tree;

pub(super) fn list(file: &DataFile, budget: &mut Budget, tree: &mut Tree) -> Result<(), ArchiveError> {
    let opened = file.open().map_err(|_| ArchiveError::Damaged)?;
    let mut archive = ZipArchive::new(BufReader::new(opened)).map_err(|_| ArchiveError::Damaged)?;
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(|_| ArchiveError::Damaged)?;
        let name = name(member.name_raw())?;
        let parts = parts(&name)?;
        budget.spend(member.size())?;
        if member.is_symlink() {
            return Err(ArchiveError::Link(name));
        }
        if member.is_dir() {
            tree.member_folder(&parts);
            continue;
        }
        let packing = |packing: String| ArchiveError::Packing { member: name.clone(), packing };
        if member.encrypted() {
            return Err(packing("encrypted".to_owned()));
        }
        let offset = member.data_start().ok_or(ArchiveError::Damaged)?;
        let (packed, length) = (member.compressed_size(), member.size());
        let content = match member.compression() {
            CompressionMethod::Stored => Content::Range { file: file.clone(), offset, length },
            CompressionMethod::Deflated => {
                Content::Deflated { file: file.clone(), offset, packed, length, crc: member.crc32() }
            }
            _ => return Err(packing("compressed with another method than Deflate".to_owned())),
        };
        tree.member(&parts, content);
    }
    Ok(())
}
