//! The members of a tar archive.

use std::io::BufReader;

use tar::{Archive, EntryType};

use super::{ArchiveError, Budget, parts};
use crate::data::DataFile;
use crate::data::sources::content::Content;
use crate::data::sources::tree::{SourceFile, Tree};

pub(super) fn list(file: &DataFile, budget: &mut Budget, tree: &mut Tree) -> Result<(), ArchiveError> {
    let damaged = |_: std::io::Error| ArchiveError::Damaged;
    let mut archive = Archive::new(BufReader::new(file.open().map_err(damaged)?));
    for member in archive.entries_with_seek().map_err(damaged)? {
        let member = member.map_err(damaged)?;
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        let parts = parts(&name)?;
        budget.spend(member.size())?;
        match member.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let (offset, length) = (member.raw_file_position(), member.size());
                let content = Content::Range { file: file.clone(), offset, length };
                tree.files.extend((!parts.is_empty()).then_some(SourceFile { parts, content }));
            }
            EntryType::Directory => tree.folders.extend((!parts.is_empty()).then_some(parts)),
            EntryType::XGlobalHeader => {}
            _ => return Err(ArchiveError::Link(name)),
        }
    }
    Ok(())
}
