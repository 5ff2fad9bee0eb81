//! Which layout a tree has, by its files.

use std::path::PathBuf;

use super::content::Content;
use super::file_kind::FileKind;
use super::foreign;
use super::table::{self, Table};
use super::tree::{SourceFile, Tree};
use super::{OpenOptions, cifar10, file_names, folders, oxford17, tiny_imagenet};
use crate::data::account::OmissionReason;
use crate::data::doubt::Doubt;
use crate::data::{Dataset, DatasetError};

/// Published data sets say what they are by the names of their files. Tables come before folders, because a table names
/// pictures and a folder may have any name; folders that agree with the table are followed instead of it.
pub(super) fn list(tree: Tree) -> Result<Dataset, DatasetError> {
    if cifar10::is(&tree) {
        return cifar10::list(tree);
    }
    if oxford17::is(&tree) {
        return oxford17::list(tree);
    }
    if tiny_imagenet::is(&tree) {
        return tiny_imagenet::list(tree);
    }
    if let Some(table) = lone_table(&tree) {
        return table::of_file(&table, &OpenOptions { access: &tree.access, ..OpenOptions::default() });
    }
    let tables = table::candidates(&tree);
    let by_folders = folders::Reading::of(&tree);
    match by_folders {
        Ok(reading) if tables.is_empty() => reading.list(tree),
        Ok(reading) => settle(tree, reading, tables),
        Err(_) if !tables.is_empty() => table::list(tree, tables),
        Err(refusal) => Err(explained(&tree, refusal)),
    }
}

/// The table of a folder that holds no picture: its pictures are elsewhere.
fn lone_table(tree: &Tree) -> Option<PathBuf> {
    let mut tables = tree.files.iter().filter(|file| file.kind == FileKind::Table);
    let table = tables.next().filter(|_| tables.next().is_none() && !tree.files.iter().any(SourceFile::is_picture))?;
    matches!(table.content, Content::File(_)).then(|| tree.display_path(table))
}

/// Folders and tables both name classes. Where they are the same, the folders are followed, unless the tables say more: the
/// subsets, or the labels of further pictures.
fn settle(mut tree: Tree, reading: folders::Reading, tables: Vec<Table>) -> Result<Dataset, DatasetError> {
    for table in &tables {
        if let Some((picture, label, folder)) = reading.contradiction(&tree, table) {
            let doubt = Doubt::TableDisagrees { table: table.name(), picture, label, folder };
            return Err(DatasetError::Doubtful { path: tree.root, doubt });
        }
    }
    let subsets = !reading.has_subsets() && tables.iter().any(Table::has_subsets);
    if subsets || reading.says_less_than(&tree, &tables) {
        return table::list(tree, tables);
    }
    for table in &tables {
        let path = tree.display_path(&tree.files[table.file()]);
        tree.account.omit(OmissionReason::UnusedTable, &path);
    }
    tree.files.retain(|file| !tables.iter().any(|table| table.name() == file.parts.join("/")));
    reading.list(tree)
}

/// What else a folder holds whose layout is not understood.
fn explained(tree: &Tree, refusal: DatasetError) -> DatasetError {
    match refusal {
        DatasetError::Unrecognized { path, .. } => DatasetError::Unrecognized { path, holds: foreign::found(tree) },
        DatasetError::Classes { path, found, .. } => {
            let hints =
                foreign::found(tree).into_iter().chain(file_names::hint(tree)).chain(table::hints(tree)).collect();
            DatasetError::Classes { path, found, hints }
        }
        other => other,
    }
}
