//! A CSV table of images and their classes.

use std::collections::HashMap;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};
use models::Labels;

use super::content::Content;
use crate::data::{Dataset, DatasetError, Sample, Subset};

/// What a header may call each column.
const PATHS: [&str; 8] = ["path", "file", "filename", "file_name", "image", "image_path", "filepath", "name"];
const LABELS: [&str; 5] = ["label", "class", "category", "target", "class_name"];
const SUBSETS: [&str; 4] = ["split", "part", "set", "subset"];

/// Reads `path,label[,split]`, a line an image; a first line that names its columns may put them in any order. Columns
/// are separated by commas, semicolons or tabs. The classes are the labels in alphabetical order, or, if all of them are
/// whole numbers, in that of the numbers. `find` answers the bytes under a path.
pub(super) fn list(
    table: &Path,
    bytes: &[u8],
    find: impl Fn(&str) -> Option<Content>,
) -> Result<Dataset, DatasetError> {
    let refused = |line: u64, reason: String| DatasetError::Table { path: table.to_owned(), line, reason };
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .delimiter(delimiter(bytes))
        .from_reader(bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes));
    let mut columns = Columns { path: 0, label: 1, subset: Some(2) };
    let mut rows: Vec<Row> = Vec::new();
    let mut lines: HashMap<String, u64> = HashMap::new();
    for (number, record) in reader.records().enumerate() {
        let record = record.map_err(|error| {
            refused(error.position().map_or(0, csv::Position::line), "it is not a line of a UTF-8 CSV table".to_owned())
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        if number == 0
            && let Some(named) = Columns::named(&record)
        {
            columns = named;
            continue;
        }
        let row = Row::read(&record, columns).map_err(|reason| refused(line, reason))?;
        if let Some(first) = lines.insert(row.path.clone(), line) {
            return Err(refused(line, format!("`{}` is also on line {first}; an image has one class", row.path)));
        }
        rows.push(row);
    }
    let names = names(&rows);
    let classes: HashMap<&str, usize> = names.iter().enumerate().map(|(class, name)| (name.as_str(), class)).collect();
    let mut dataset = Dataset::empty(Labels::new(names.clone()));
    for row in &rows {
        let content = find(&row.path).ok_or_else(|| {
            refused(lines.get(&row.path).copied().unwrap_or(0), format!("there is no file `{}`", row.path))
        })?;
        let shown = table.parent().unwrap_or(Path::new("")).join(&row.path);
        let class = classes.get(row.label.as_str()).copied().unwrap_or(0);
        dataset.samples.push(Sample::new(shown, class, content).within(row.subset));
    }
    Ok(dataset)
}

struct Row {
    path: String,
    label: String,
    subset: Option<Subset>,
}

impl Row {
    fn read(record: &StringRecord, columns: Columns) -> Result<Self, String> {
        let field = |column: usize| record.get(column).unwrap_or("");
        let (path, label) = (field(columns.path), field(columns.label));
        if path.is_empty() || label.is_empty() {
            return Err("it needs a path and a label, `images/1.jpg,rose`".to_owned());
        }
        let subset = match columns.subset.map_or("", field) {
            "" => None,
            name => {
                Some(Subset::named(name).ok_or_else(|| format!("`{name}` is not a subset; use train, val or test"))?)
            }
        };
        Ok(Self { path: path.to_owned(), label: label.to_owned(), subset })
    }
}

/// Which column holds what, counted from zero.
#[derive(Clone, Copy)]
struct Columns {
    path: usize,
    label: usize,
    subset: Option<usize>,
}

impl Columns {
    /// By a header, if the line is one: it must name both a path and a label.
    fn named(record: &StringRecord) -> Option<Self> {
        let find =
            |names: &[&str]| record.iter().position(|field| names.iter().any(|name| field.eq_ignore_ascii_case(name)));
        Some(Self { path: find(&PATHS)?, label: find(&LABELS)?, subset: find(&SUBSETS) })
    }
}

/// The separator of the first line.
fn delimiter(bytes: &[u8]) -> u8 {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    [b',', b';', b'\t'].into_iter().find(|separator| line.contains(separator)).unwrap_or(b',')
}

fn names(rows: &[Row]) -> Vec<String> {
    let mut names: Vec<String> = rows.iter().map(|row| row.label.clone()).collect();
    names.sort();
    names.dedup();
    let numbers: Option<Vec<i64>> = names.iter().map(|name| name.parse().ok()).collect();
    if numbers.is_some() {
        names.sort_by_key(|name| name.parse::<i64>().unwrap_or(0));
    }
    names
}

#[cfg(test)]
mod tests;
