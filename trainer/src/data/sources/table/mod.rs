//! Tables of images and their classes, as CSV or JSON.

mod columns;
mod files;
mod json;
mod line;
mod row;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;
use std::path::Path;

use models::Labels;

use super::OpenOptions;
use super::content::Content;
use super::file_kind::FileKind;
use super::subset_name;
use super::tree::{SourceFile, Tree};
use crate::data::account::OmissionReason;
use crate::data::dataset::FileUse;
use crate::data::doubt::Doubt;
use crate::data::files::TABLE_BYTES;
use crate::data::text::{normalized, quoted, words};
use crate::data::{BadFile, Dataset, DatasetError, Layout, Subset};
use files::FileIndex;
use line::Line;
use row::{Row, Rows};

/// Rows that are looked at to learn what the columns are.
const SAMPLE: usize = 32;
/// Tables of a tree that are looked into.
const TABLES: usize = 32;

/// A table among the files that it is about.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// The position of the table in the tree, and its path from the root.
    file: usize,
    name: String,
    content: Rows,
}

impl Table {
    pub(super) fn file(&self) -> usize {
        self.file
    }

    /// Its path from the root.
    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    /// The position of each image in the tree, with its label, or its labels with commas between them.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, String)> {
        self.content.rows.iter().map(|row| (row.file, row.labels.join(", ")))
    }

    pub(super) fn has_subsets(&self) -> bool {
        self.content.rows.iter().any(|row| row.subset.is_some())
    }
}

/// Whether a file is a table by its ending.
pub(super) fn is_name(path: &Path) -> bool {
    json::is_name(path)
        || path.extension().is_some_and(|ending| ["csv", "tsv"].iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// The tables of a tree that name its pictures.
pub(super) fn candidates(tree: &Tree) -> Vec<Table> {
    let mut index = None;
    let mut tables = vec![];
    for (number, entry) in of(tree) {
        let index = index.get_or_insert_with(|| FileIndex::new(tree));
        let path = tree.display_path(entry);
        // A table that is no UTF-8 or no table at all is some other file, unless the user says that it is meant.
        let Ok(lines) = tree.read(entry).and_then(|bytes| text::lines(&path, &bytes)) else { continue };
        if let Some(content) = Rows::read(entry, &lines, index).ok().filter(|content| !content.rows.is_empty()) {
            tables.push(Table { file: number, name: entry.parts.join("/"), content });
        }
    }
    tables
}

/// Files that are tables by their endings, but for examples of what a competition wants back.
fn of(tree: &Tree) -> impl Iterator<Item = (usize, &SourceFile)> {
    let tables = tree.files.iter().enumerate().filter(|(_, entry)| entry.kind == FileKind::Table);
    tables.filter(|(_, entry)| !words(entry.name()).iter().any(|word| word == "submission")).take(TABLES)
}

/// Why the tables of a tree are of no use, as sentences.
pub(super) fn hints(tree: &Tree) -> Vec<String> {
    let index = FileIndex::new(tree);
    let hint = |(_, entry): (usize, &SourceFile)| {
        let path = tree.display_path(entry);
        let lines = tree.read(entry).and_then(|bytes| text::lines(&path, &bytes));
        let read =
            |lines: Vec<Line>| Rows::read(entry, &lines, &index).map_err(|refusal| refusal.explain(&path, &lines));
        match lines.and_then(read) {
            Ok(Rows { faults, .. }) => faults.first().map(|fault| format!("{}, {fault}", path.display())),
            Err(error) => Some(error.to_string()),
        }
    };
    of(tree).filter_map(hint).take(2).collect()
}

/// The tables of a folder whose layout is said to be a table.
pub(super) fn only(tree: Tree) -> Result<Dataset, DatasetError> {
    let tables = candidates(&tree);
    if !tables.is_empty() {
        return list(tree, tables);
    }
    let Some((_, entry)) = of(&tree).next() else {
        return Err(DatasetError::Unrecognized { path: tree.root, holds: vec![] });
    };
    let path = tree.display_path(entry);
    let lines = text::lines(&path, &tree.read(entry)?)?;
    let content = Rows::read(entry, &lines, &FileIndex::new(&tree));
    let content = content.map_err(|refusal| refusal.explain(&path, &lines))?;
    let reason = content.faults.first().cloned().unwrap_or_else(|| "the table is empty".to_owned());
    Err(DatasetError::Table { path, line: lines.first().map_or(1, |line| line.number), reason })
}

/// The images of these tables. Several tables are one data set if each is named for a subset of its own.
pub(super) fn list(mut tree: Tree, mut tables: Vec<Table>) -> Result<Dataset, DatasetError> {
    if tables.len() > 1 {
        let named = tables.iter().map(|table| table_subset(&table.name)).collect::<Vec<_>>();
        let mut distinct: Vec<Subset> = named.iter().flatten().copied().collect();
        distinct.sort();
        distinct.dedup();
        if distinct.len() != tables.len() {
            let tables = tables.iter().map(Table::name).collect();
            return Err(DatasetError::Doubtful { path: tree.root, doubt: Doubt::SeveralTables { tables } });
        }
        for (table, subset) in tables.iter_mut().zip(named) {
            table.content.rows.iter_mut().for_each(|row| row.subset = row.subset.or(subset));
        }
    }
    for table in &tables {
        let path = tree.display_path(&tree.files[table.file]);
        for reason in &table.content.faults {
            tree.account.fault(BadFile { path: path.clone(), reason: format!("{}, {reason}", path.display()) });
        }
    }
    let names = names(&tables);
    let labels = Labels::new(names.clone());
    let numbers: HashMap<&str, usize> =
        names.iter().enumerate().map(|(number, name)| (name.as_str(), number)).collect();
    let by_path: HashMap<String, (usize, &Row)> = tables
        .iter()
        .flat_map(|table| &table.content.rows)
        .enumerate()
        .map(|(order, row)| (tree.files[row.file].parts.join("/"), (order, row)))
        .collect();
    let used: Vec<String> = tables.iter().map(Table::name).collect();
    let evidence = format!("the table {} names the pictures and their labels{}", quoted(&used, 3), separation(&tables));
    let order: HashMap<_, (usize, &Row)> =
        by_path.values().map(|(order, row)| (tree.display_path(&tree.files[row.file]), (*order, *row))).collect();
    let mut dataset = Dataset::sort_out(tree, labels, |file| match by_path.get(&file.parts.join("/")) {
        // Its classes are said below.
        Some((_, row)) => FileUse::Sample { class: 0, subset: row.subset },
        None if file.is_picture() => FileUse::Omitted(OmissionReason::NotInTable),
        None if used.contains(&file.parts.join("/")) => FileUse::Read,
        None => FileUse::Omitted(OmissionReason::OtherFile),
    });
    dataset.samples.sort_by_key(|sample| order.get(&sample.path).map(|(order, _)| *order));
    let classes = |row: &Row| row.labels.iter().filter_map(|label| numbers.get(label.as_str()).copied()).collect();
    let classes = dataset.samples.iter().map(|sample| order.get(&sample.path).map(|(_, row)| classes(row)));
    let classes: Vec<Vec<usize>> = classes.map(Option::unwrap_or_default).collect();
    Ok(dataset.with_classes(classes).understood(Layout::Csv, evidence))
}

/// A table that is named itself. Its paths lead from its folder, or are whole; where they do not, the files below its folder
/// are looked through.
pub(super) fn of_file(path: &Path, options: &OpenOptions<'_>) -> Result<Dataset, DatasetError> {
    let bytes = options.access.file(path).read(TABLE_BYTES).map_err(|source| DatasetError::read(path, source))?;
    let lines = text::lines(path, &bytes)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut alone = Tree::empty(folder, options.access);
    let table = SourceFile {
        parts: vec![path.file_name().unwrap_or_default().to_string_lossy().into_owned()],
        content: Content::File(options.access.file(path)),
        kind: FileKind::Table,
    };
    if let Some(column) = path_column(&lines, |name| options.access.is_file(&folder.join(name))) {
        for field in lines.iter().filter_map(|line| line.record.get(column)) {
            let content = Content::File(options.access.file(folder.join(field)));
            if options.access.is_file(&folder.join(field)) {
                alone.files.push(SourceFile { parts: vec![normalized(field)], content, kind: FileKind::Picture });
            }
        }
        alone.files.dedup_by(|a, b| a.parts == b.parts);
    }
    let mut tree = if alone.files.is_empty() { Tree::walk(folder, options.access)? } else { alone };
    tree.files.retain(|file| file.kind != FileKind::Table);
    let index = FileIndex::new(&tree);
    let content = Rows::read(&table, &lines, &index).map_err(|refusal| refusal.explain(path, &lines))?;
    let name = table.parts.join("/");
    tree.files.push(table);
    let table = Table { file: tree.files.len() - 1, name, content };
    list(tree, vec![table])
}

/// The column that names files in most of the first rows.
fn path_column(lines: &[Line], is_file: impl Fn(&str) -> bool) -> Option<usize> {
    let sample = &lines[..lines.len().min(SAMPLE)];
    let files = |column: usize| sample.iter().filter(|line| line.record.get(column).is_some_and(&is_file)).count();
    let columns = sample.iter().map(|line| line.record.len()).max().unwrap_or(0);
    (0..columns).find(|&column| files(column) * 2 >= sample.len().max(1))
}

/// The subset that a table is for, by its name.
fn table_subset(name: &str) -> Option<Subset> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    subset_name::named(&stem.replace("labels", "").replace("label", ""))
}

/// The labels in alphabetical order, or, if all of them are whole numbers, in that of the numbers.
fn names(tables: &[Table]) -> Vec<String> {
    let of_rows = |table: &Table| table.content.rows.iter().flat_map(|row| row.labels.clone()).collect::<Vec<_>>();
    let mut names: Vec<String> =
        tables.iter().flat_map(|table| [table.content.classes.clone(), of_rows(table)].concat()).collect();
    names.sort();
    names.dedup();
    let numbers: Option<Vec<i64>> = names.iter().map(|name| name.parse().ok()).collect();
    if numbers.is_some() {
        names.sort_by_key(|name| name.parse::<i64>().unwrap_or(0));
    }
    names
}

/// How several labels of an image are told apart, as the end of a sentence.
fn separation(tables: &[Table]) -> String {
    let separator = |table: &Table| table.content.separator.filter(|separator| *separator != json::ITEM_END);
    let columns = tables.iter().any(|table| !table.content.classes.is_empty());
    match tables.iter().find_map(separator) {
        Some(separator) => format!(", several of them with `{separator}` between"),
        None if columns => ", in a column for each class".to_owned(),
        None => String::new(),
    }
}
