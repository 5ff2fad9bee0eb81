//! The members of a tar archive.

use std::io::BufReader;

use tar::{Archive, EntryType};

use super::{ArchiveError, Budget, name, parts};
use crate::data::DataFile;
use crate::data::sources::content::Content;
use crate::data::sources::tree::Tree;

pub(super) fn list(file: &DataFile, budget: &mut Budget, tree: &mut Tree) -> Result<(), ArchiveError> {
    let damaged = |_: std::io::Error| ArchiveError::Damaged;
    let mut archive = Archive::new(BufReader::new(file.open().map_err(damaged)?));
    for member in archive.entries_with_seek().map_err(damaged)? {
        let member = member.map_err(damaged)?;
        let name = name(&member.path_bytes())?;
        let parts = parts(&name)?;
        budget.spend(member.size())?;
        match member.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let (offset, length) = (member.raw_file_position(), member.size());
                let content = Content::Range { file: file.clone(), offset, length };
                tree.member(&parts, content);
            }
            EntryType::Directory => tree.member_folder(&parts),
            EntryType::XGlobalHeader => {}
            _ => return Err(ArchiveError::Link(name)),
        }
    }
    Ok(())
}
