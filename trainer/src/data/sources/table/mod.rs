//! CSV tables of images and their classes.

mod columns;
mod files;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;
use std::path::Path;

use csv::StringRecord;
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
use columns::{Columns, LABELS, PATHS, is_multi_label};
use files::{FileIndex, Meaning};
use text::Line;

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
    rows: Vec<Row>,
    faults: Vec<String>,
}

/// A row with an image and its class.
#[derive(Debug, Clone)]
struct Row {
    /// The position of the image in the tree, or among the files that the table alone names.
    file: usize,
    label: String,
    subset: Option<Subset>,
}

impl Table {
    pub(super) fn file(&self) -> usize {
        self.file
    }

    /// Its path from the root.
    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    /// The position of each image in the tree, with its label.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, &str)> {
        self.rows.iter().map(|row| (row.file, row.label.as_str()))
    }

    pub(super) fn has_subsets(&self) -> bool {
        self.rows.iter().any(|row| row.subset.is_some())
    }
}

/// Whether a file is a table by its ending.
pub(super) fn is_name(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ["csv", "tsv"].iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// The tables of a tree that name its pictures.
///
/// # Errors
/// [`DatasetError::Doubtful`] for a table with a column for each class.
pub(super) fn candidates(tree: &Tree) -> Result<Vec<Table>, DatasetError> {
    let mut index = None;
    let mut tables = vec![];
    for (number, entry) in of(tree) {
        let index = index.get_or_insert_with(|| FileIndex::new(tree));
        let path = tree.display_path(entry);
        // A table that is no UTF-8 or no table at all is some other file, unless the user says that it is meant.
        let Ok(lines) = tree.read(entry).and_then(|bytes| text::lines(&path, &bytes)) else { continue };
        match read(entry, &lines, index) {
            Ok((rows, faults)) if !rows.is_empty() => {
                tables.push(Table { file: number, name: entry.parts.join("/"), rows, faults });
            }
            Err(Refusal::MultiLabel) => {
                let doubt = Doubt::MultiLabel { table: entry.parts.join("/") };
                return Err(DatasetError::Doubtful { path: tree.root.clone(), doubt });
            }
            _ => {}
        }
    }
    Ok(tables)
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
        match lines.and_then(|lines| read(entry, &lines, &index).map_err(|refusal| refusal.explain(&path, &lines))) {
            Ok((_, faults)) => faults.first().map(|fault| format!("{}, {fault}", path.display())),
            Err(error) => Some(error.to_string()),
        }
    };
    of(tree).filter_map(hint).take(2).collect()
}

/// The tables of a folder whose layout is said to be a table.
pub(super) fn only(tree: Tree) -> Result<Dataset, DatasetError> {
    let tables = candidates(&tree)?;
    if !tables.is_empty() {
        return list(tree, tables);
    }
    let Some((_, entry)) = of(&tree).next() else {
        return Err(DatasetError::Unrecognized { path: tree.root, holds: vec![] });
    };
    let path = tree.display_path(entry);
    let lines = text::lines(&path, &tree.read(entry)?)?;
    let rows = read(entry, &lines, &FileIndex::new(&tree)).map_err(|refusal| refusal.explain(&path, &lines))?;
    let reason = rows.1.first().cloned().unwrap_or_else(|| "the table is empty".to_owned());
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
            table.rows.iter_mut().for_each(|row| row.subset = row.subset.or(subset));
        }
    }
    for table in &tables {
        let path = tree.display_path(&tree.files[table.file]);
        for reason in &table.faults {
            tree.account.fault(BadFile { path: path.clone(), reason: format!("{}, {reason}", path.display()) });
        }
    }
    let names = names(tables.iter().flat_map(|table| &table.rows));
    let labels = Labels::new(names.clone());
    let numbers: HashMap<&str, usize> =
        names.iter().enumerate().map(|(number, name)| (name.as_str(), number)).collect();
    let by_path: HashMap<String, (usize, &Row)> = tables
        .iter()
        .flat_map(|table| &table.rows)
        .enumerate()
        .map(|(order, row)| (tree.files[row.file].parts.join("/"), (order, row)))
        .collect();
    let used: Vec<String> = tables.iter().map(Table::name).collect();
    let evidence = format!("the table {} names the pictures and their labels", quoted(&used, 3));
    let order: HashMap<_, usize> =
        by_path.values().map(|(order, row)| (tree.display_path(&tree.files[row.file]), *order)).collect();
    let mut dataset = Dataset::sort_out(tree, labels, |file| match by_path.get(&file.parts.join("/")) {
        Some((_, row)) => {
            FileUse::Sample { class: numbers.get(row.label.as_str()).copied().unwrap_or(0), subset: row.subset }
        }
        None if file.is_picture() => FileUse::Omitted(OmissionReason::NotInTable),
        None if used.contains(&file.parts.join("/")) => FileUse::Read,
        None => FileUse::Omitted(OmissionReason::OtherFile),
    });
    dataset.samples.sort_by_key(|sample| order.get(&sample.path).copied());
    Ok(dataset.understood(Layout::Csv, evidence))
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
    let (rows, faults) = read(&table, &lines, &index).map_err(|refusal| refusal.explain(path, &lines))?;
    tree.files.push(table);
    let table =
        Table { file: tree.files.len() - 1, name: tree.files[tree.files.len() - 1].parts.join("/"), rows, faults };
    list(tree, vec![table])
}

/// The column that names files in most of the first rows.
fn path_column(lines: &[Line], is_file: impl Fn(&str) -> bool) -> Option<usize> {
    let sample = &lines[..lines.len().min(SAMPLE)];
    let files = |column: usize| sample.iter().filter(|line| line.record.get(column).is_some_and(&is_file)).count();
    let columns = sample.iter().map(|line| line.record.len()).max().unwrap_or(0);
    (0..columns).find(|&column| files(column) * 2 >= sample.len().max(1))
}

/// Why a table says no classes.
enum Refusal {
    /// Its columns are not understood.
    Columns,
    /// It has a column for each class.
    MultiLabel,
}

impl Refusal {
    fn explain(self, path: &Path, lines: &[Line]) -> DatasetError {
        if matches!(self, Self::MultiLabel) {
            let table = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return DatasetError::Doubtful { path: path.to_owned(), doubt: Doubt::MultiLabel { table } };
        }
        let header = lines.first().map(|line| quoted(line.record.iter(), 8)).unwrap_or_default();
        let reason = format!(
            "the columns are {header}, and graft does not see which holds the paths and which the labels; call them `{}` and \
             `{}`",
            PATHS[0], LABELS[0]
        );
        DatasetError::Table { path: path.to_owned(), line: lines.first().map_or(1, |line| line.number), reason }
    }
}

/// The rows of a table, and what is wrong with others.
fn read(table: &SourceFile, lines: &[Line], index: &FileIndex<'_>) -> Result<(Vec<Row>, Vec<String>), Refusal> {
    let subset = table_subset(table.name());
    let meaning = |name: &str, own: Option<Subset>| index.find(name, table.folders(), own.or(subset));
    let is_file = |name: &str| matches!(meaning(name, None), Meaning::File(_) | Meaning::Ambiguous);
    let Some(first) = lines.first() else { return Ok((vec![], vec![])) };
    let sample: Vec<StringRecord> = lines.iter().skip(1).take(SAMPLE).map(|line| line.record.clone()).collect();
    let (columns, header) = match Columns::named(&first.record) {
        Some(columns) => (columns, 1),
        None if is_multi_label(&sample) && sample.iter().any(|row| row.get(0).is_some_and(is_file)) => {
            return Err(Refusal::MultiLabel);
        }
        None if first.record.get(0).is_some_and(is_file) || first.record.len() < 2 => (Columns::PLAIN, 0),
        None => match Columns::by_rows(&first.record, &sample, is_file) {
            Some(columns) => (columns, 1),
            // Nothing that is named is there: the paths are wrong rather than the columns.
            None if !sample.iter().flatten().any(is_file) && first.record.len() <= 3 => (Columns::PLAIN, 0),
            None => return Err(Refusal::Columns),
        },
    };
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    let mut seen: HashMap<usize, (u64, String)> = HashMap::new();
    for Line { number, record } in &lines[header..] {
        let row = Row::read(record, columns, meaning);
        let row = row.and_then(|row| match seen.get(&row.file) {
            Some((_, label)) if *label == row.label => Ok(None),
            Some((line, label)) => Err(format!("the image is `{label}` on line {line} too; an image has one class")),
            None => Ok(Some(row)),
        });
        match row {
            Ok(Some(row)) => {
                seen.insert(row.file, (*number, row.label.clone()));
                rows.push(row);
            }
            Ok(None) => {}
            Err(reason) => faults.push(format!("line {number}: {reason}")),
        }
    }
    Ok((rows, faults))
}

impl Row {
    fn read(
        record: &StringRecord,
        columns: Columns,
        meaning: impl Fn(&str, Option<Subset>) -> Meaning,
    ) -> Result<Self, String> {
        let field = |column: usize| record.get(column).unwrap_or("");
        let (path, label) = (field(columns.path), field(columns.label));
        if path.is_empty() || label.is_empty() {
            return Err("it needs a path and a label, as in `images/1.jpg,rose`".to_owned());
        }
        let subset = match columns.subset.map_or("", field) {
            "" => None,
            name => {
                let subset = subset_name::named(name);
                Some(subset.ok_or_else(|| format!("`{name}` is not a subset; use train, val or test"))?)
            }
        };
        match meaning(path, subset) {
            Meaning::File(file) => Ok(Self { file, label: normalized(label), subset }),
            Meaning::Ambiguous => {
                Err(format!("several files are called `{path}`; name the one that is meant with its folder"))
            }
            Meaning::None => Err(format!("there is no picture `{path}`")),
        }
    }
}

/// The subset that a table is for, by its name.
fn table_subset(name: &str) -> Option<Subset> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    subset_name::named(&stem.replace("labels", "").replace("label", ""))
}

/// The labels in alphabetical order, or, if all of them are whole numbers, in that of the numbers.
fn names<'r>(rows: impl Iterator<Item = &'r Row>) -> Vec<String> {
    let mut names: Vec<String> = rows.map(|row| row.label.clone()).collect();
    names.sort();
    names.dedup();
    let numbers: Option<Vec<i64>> = names.iter().map(|name| name.parse().ok()).collect();
    if numbers.is_some() {
        names.sort_by_key(|name| name.parse::<i64>().unwrap_or(0));
    }
    names
}
