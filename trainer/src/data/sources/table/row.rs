//! The rows of a table.

use std::collections::HashMap;
use std::path::Path;

use csv::StringRecord;

use super::columns::{Columns, LABELS, LabelColumns, PATHS, bit};
use super::files::{FileIndex, Meaning};
use super::json::{self, ITEM_END};
use super::line::Line;
use super::{SAMPLE, table_subset};
use crate::data::sources::subset_name;
use crate::data::sources::tree::SourceFile;
use crate::data::text::{normalized, quoted};
use crate::data::{DatasetError, Subset};

/// What may stand between labels in one column.
const SEPARATORS: [char; 3] = [ITEM_END, '|', ';'];
/// The same in a column called `tags`, where a picture has several.
const TAG_SEPARATORS: [char; 5] = [ITEM_END, '|', ';', ',', ' '];

/// A row with an image and its classes.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The position of the image in the tree, or among the files that the table alone names.
    pub(super) file: usize,
    /// Sorted, each once.
    pub(super) labels: Vec<String>,
    pub(super) subset: Option<Subset>,
}

/// What a table says.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    /// What is wrong with others.
    pub(super) faults: Vec<String>,
    /// The classes that have a column each.
    pub(super) classes: Vec<String>,
    /// What stands between several labels of an image.
    pub(super) separator: Option<char>,
}

/// A table whose columns are not understood.
pub(super) struct UnknownColumns;

impl UnknownColumns {
    pub(super) fn explain(self, path: &Path, lines: &[Line]) -> DatasetError {
        let header = lines.first().map(|line| quoted(line.record.iter(), 8)).unwrap_or_default();
        let reason = format!(
            "the columns are {header}, and graft does not see which holds the paths and which the labels; call them `{}` and \
             `{}`, or make a column of 0 and 1 for each class",
            PATHS[0], LABELS[0]
        );
        DatasetError::Table { path: path.to_owned(), line: lines.first().map_or(1, |line| line.number), reason }
    }
}

impl Rows {
    /// The rows of a table, and what is wrong with others.
    pub(super) fn read(table: &SourceFile, lines: &[Line], index: &FileIndex<'_>) -> Result<Self, UnknownColumns> {
        let subset = table_subset(table.name());
        let meaning = |name: &str, own: Option<Subset>| index.find(name, table.folders(), own.or(subset));
        let is_file = |name: &str| matches!(meaning(name, None), Meaning::File(_) | Meaning::Ambiguous);
        let Some(first) = lines.first() else { return Ok(Self::default()) };
        let (columns, header) = columns(first, lines, is_file)?;
        let separator = separator(&columns, &first.record, &lines[header..]);
        let mut all = Self { separator, ..Self::default() };
        if let LabelColumns::Each(classes) = &columns.labels {
            all.classes = classes.iter().map(|(_, class)| class.clone()).collect();
        }
        let noun = json::noun(table.name());
        let mut seen: HashMap<usize, (u64, Vec<String>)> = HashMap::new();
        for Line { number, record } in &lines[header..] {
            let row = RowReader { record, columns: &columns, separator }.read(meaning);
            let row = row.and_then(|row| match seen.get(&row.file) {
                Some((_, labels)) if *labels == row.labels => Ok(None),
                Some((line, labels)) => Err(format!(
                    "the image is {} on {noun} {line} too; an image has one row, with all of its classes, as in \
                     `images/1.jpg,rose|tulip`",
                    if labels.is_empty() { "without a class".to_owned() } else { quoted(labels, 4) }
                )),
                None => Ok(Some(row)),
            });
            match row {
                Ok(Some(row)) => {
                    seen.insert(row.file, (*number, row.labels.clone()));
                    all.rows.push(row);
                }
                Ok(None) => {}
                Err(reason) => all.faults.push(format!("{noun} {number}: {reason}")),
            }
        }
        Ok(all)
    }
}

/// Which column holds what, and how many lines are header.
fn columns(
    first: &Line,
    lines: &[Line],
    is_file: impl Fn(&str) -> bool + Copy,
) -> Result<(Columns, usize), UnknownColumns> {
    let sample: Vec<StringRecord> = lines.iter().skip(1).take(SAMPLE).map(|line| line.record.clone()).collect();
    let named = || Columns::named(&first.record).or_else(|| Columns::each(&first.record, &sample, is_file));
    if let Some(columns) = named() {
        return Ok((columns, 1));
    }
    if first.record.get(0).is_some_and(is_file) || first.record.len() < 2 {
        return Ok((Columns::plain(), 0));
    }
    match Columns::by_rows(&first.record, &sample, is_file) {
        Some(columns) => Ok((columns, 1)),
        // Nothing that is named is there: the paths are wrong rather than the columns.
        None if !sample.iter().flatten().any(is_file) && first.record.len() <= 3 => Ok((Columns::plain(), 0)),
        None => Err(UnknownColumns),
    }
}

/// What stands between the labels of an image, if any image has several in one column.
fn separator(columns: &Columns, header: &StringRecord, lines: &[Line]) -> Option<char> {
    let LabelColumns::Named(column) = columns.labels else { return None };
    let tags = header.get(column).is_some_and(|name| name.trim().eq_ignore_ascii_case("tags"));
    let known: &[char] = if tags { &TAG_SEPARATORS } else { &SEPARATORS };
    let in_use =
        |separator: char| lines.iter().any(|line| line.record.get(column).is_some_and(|f| f.contains(separator)));
    known.iter().copied().find(|&separator| in_use(separator))
}

/// What a row is read by.
struct RowReader<'a> {
    record: &'a StringRecord,
    columns: &'a Columns,
    separator: Option<char>,
}

impl RowReader<'_> {
    fn read(&self, meaning: impl Fn(&str, Option<Subset>) -> Meaning) -> Result<Row, String> {
        let Self { record, columns, .. } = self;
        let field = |column: usize| record.get(column).unwrap_or("");
        let path = field(columns.path);
        let labels = self.labels()?;
        if path.is_empty() {
            return Err(NEEDED.to_owned());
        }
        let subset = match columns.subset.map_or("", field) {
            "" => None,
            name => {
                let subset = subset_name::named(name);
                Some(subset.ok_or_else(|| format!("`{name}` is not a subset; use train, val or test"))?)
            }
        };
        match meaning(path, subset) {
            Meaning::File(file) => Ok(Row { file, labels, subset }),
            Meaning::Ambiguous => {
                Err(format!("several files are called `{path}`; name the one that is meant with its folder"))
            }
            Meaning::None => Err(format!("there is no picture `{path}`")),
        }
    }

    /// Sorted, each once. Where images have several, one may have none.
    fn labels(&self) -> Result<Vec<String>, String> {
        let field = |column: usize| self.record.get(column).unwrap_or("");
        let mut labels: Vec<String> = match (&self.columns.labels, self.separator) {
            (LabelColumns::Named(column), None) => match field(*column) {
                "" => return Err(NEEDED.to_owned()),
                label => vec![normalized(label)],
            },
            (LabelColumns::Named(column), Some(separator)) => {
                field(*column).split(separator).map(normalized).filter(|label| !label.is_empty()).collect()
            }
            (LabelColumns::Each(classes), _) => {
                let mut labels = vec![];
                for (column, class) in classes {
                    let found = field(*column);
                    match bit(found) {
                        Some(true) => labels.push(class.clone()),
                        Some(false) => {}
                        None => return Err(format!("the column `{class}` holds `{found}`; it must be 0 or 1")),
                    }
                }
                labels
            }
        };
        labels.sort();
        labels.dedup();
        Ok(labels)
    }
}

const NEEDED: &str = "it needs a path and a label, as in `images/1.jpg,rose`";
