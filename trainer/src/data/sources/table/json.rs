//! Tables as JSON: a list of objects, an object on each line, or one object of files with their labels.

use std::path::Path;

use csv::StringRecord;
use serde_json::{Map, Value};

use super::line::Line;
use crate::data::DatasetError;

/// What separates the items of a list, and stands behind the last one: no label holds it.
pub(super) const ITEM_END: char = '\u{1f}';

/// Whether a file of this name is JSON.
pub(super) fn is_name(path: &Path) -> bool {
    ending_is(path, "json") || ending_is(path, "jsonl")
}

/// What a fault counts: the lines of a file, or the items of its list.
pub(super) fn noun(name: &str) -> &'static str {
    if ending_is(Path::new(name), "json") { "item" } else { "line" }
}

/// A header with the fields of all objects, and a row for each object.
pub(super) fn lines(table: &Path, bytes: &[u8]) -> Result<Vec<Line>, DatasetError> {
    let refused = |line: u64, reason: String| DatasetError::Table { path: table.to_owned(), line, reason };
    let text = std::str::from_utf8(bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes));
    let text = text.map_err(|_| refused(1, "the file is not UTF-8 text".to_owned()))?;
    let broken = |error: &serde_json::Error| refused(error.line() as u64, "it is not JSON".to_owned());
    let other = |line| {
        let wanted = r#"{"file": "images/1.jpg", "labels": ["rose", "tulip"]}"#;
        refused(line, format!("it does not say the labels of a picture, as {wanted} does"))
    };
    let objects: Vec<(u64, Map<String, Value>)> = if ending_is(table, "jsonl") {
        let filled = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let object = |(number, line): (u64, &str)| match serde_json::from_str(line) {
            Ok(Value::Object(object)) => Ok((number, object)),
            Ok(_) => Err(other(number)),
            Err(_) => Err(refused(number, "it is not JSON".to_owned())),
        };
        filled.map(object).collect::<Result<_, _>>()?
    } else {
        match serde_json::from_str(text).map_err(|error| broken(&error))? {
            Value::Array(items) => {
                let object = |(number, item)| match item {
                    Value::Object(object) => Ok((number, object)),
                    _ => Err(other(1)),
                };
                (1..).zip(items).map(object).collect::<Result<_, _>>()?
            }
            // Of each file its labels.
            Value::Object(files) => {
                let object = |(path, labels): (String, Value)| {
                    [("path".to_owned(), Value::String(path)), ("labels".to_owned(), labels)].into_iter().collect()
                };
                (1..).zip(files.into_iter().map(object)).collect()
            }
            _ => return Err(other(1)),
        }
    };
    let mut names: Vec<&String> = objects.iter().flat_map(|(_, object)| object.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let header = Line { number: 1, record: names.iter().map(|name| name.as_str()).collect() };
    let row = |(number, object): &(u64, Map<String, Value>)| {
        let field = |name: &&String| object.get(*name).map_or(Some(String::new()), field);
        let record = names.iter().map(field).collect::<Option<StringRecord>>().ok_or_else(|| other(*number))?;
        Ok(Line { number: *number, record })
    };
    std::iter::once(Ok(header)).chain(objects.iter().map(row)).collect()
}

/// The text of a value; `None` for what is neither a text, a number nor a list of them.
fn field(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => String::new(),
        Value::Bool(bit) => u8::from(*bit).to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        // An empty list is one too.
        Value::Array(items) if items.is_empty() => ITEM_END.to_string(),
        Value::Array(items) => {
            let item = |item: &Value| Some(item).filter(|item| !item.is_array()).and_then(field);
            let items = items.iter().map(item).collect::<Option<Vec<String>>>()?;
            items.iter().map(|item| format!("{item}{ITEM_END}")).collect()
        }
        Value::Object(_) => return None,
    })
}

fn ending_is(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case(wanted))
}
