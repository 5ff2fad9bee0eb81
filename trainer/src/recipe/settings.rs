//! One option of a recipe and its value, as a command line gives it.

use std::str::FromStr;

use thiserror::Error;
use toml::{Table, Value};

/// `key=value`: a key with dots as in the file (`training.batch_size`), one of tflearn's names, or the recipe's own
/// parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub(super) key: String,
    /// None takes away what is there.
    pub(super) value: Option<Value>,
}

/// A setting that cannot be parsed or applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingError {
    /// No `=`.
    #[error("`{0}` is not a setting; write KEY=VALUE, as in batch_size=64")]
    Form(String),
    /// A value that the option cannot have.
    #[error("`{key}` must be {wanted}, not `{found}`")]
    Value {
        /// The option's name.
        key: String,
        /// The allowed values, in words.
        wanted: String,
        /// What was given.
        found: String,
    },
    /// A key that goes through something that has no parts.
    #[error("`{key}` cannot be set: `{part}` is not a table in this recipe")]
    Path {
        /// The whole key.
        key: String,
        /// A name in it whose value is no table.
        part: String,
    },
    /// Said twice in a file.
    #[error("`{key}` and `{path}` say the same; keep one of them")]
    Twice {
        /// tflearn's name.
        key: String,
        /// graft's name of the same option.
        path: String,
    },
}

impl Setting {
    /// A key and its value.
    #[must_use]
    pub fn new(key: &str, value: impl Into<Value>) -> Self {
        Self { key: key.to_owned(), value: Some(value.into()) }
    }

    /// A key without what the recipe says of it. Of graft's keys alone.
    #[must_use]
    pub fn none(key: &str) -> Self {
        Self { key: key.to_owned(), value: None }
    }
}

impl FromStr for Setting {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let form = || SettingError::Form(text.to_owned());
        let (key, value) = text.split_once('=').ok_or_else(form)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || value.is_empty() {
            return Err(form());
        }
        Ok(Self { key: key.to_owned(), value: Some(read(value)) })
    }
}

/// As TOML has it, or Python; anything else is text.
fn read(value: &str) -> Value {
    match value {
        "True" => return Value::Boolean(true),
        "False" => return Value::Boolean(false),
        _ => {}
    }
    let table = format!("value = {value}").parse::<Table>();
    let value_of = |mut table: Table| table.remove("value");
    // `5.` and `.5` are Python's.
    let number = || value.parse().ok().filter(|_| value.contains('.')).map(Value::Float);
    table.ok().and_then(value_of).or_else(number).unwrap_or_else(|| Value::String(value.to_owned()))
}

/// Puts a value at a path with dots. `None` takes away what is there.
pub(super) fn put(table: &mut Table, path: &str, value: Option<Value>) -> Result<(), SettingError> {
    let mut parts: Vec<&str> = path.split('.').collect();
    let last = parts.pop().unwrap_or(path);
    let mut inner = table;
    for part in parts {
        let next = inner.entry(part).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(next) = next else {
            return Err(SettingError::Path { key: path.to_owned(), part: part.to_owned() });
        };
        inner = next;
    }
    match value {
        Some(value) => drop(inner.insert(last.to_owned(), value)),
        None => drop(inner.remove(last)),
    }
    Ok(())
}

/// What is at a path with dots.
pub(super) fn at<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let mut parts = path.split('.');
    let first = table.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_toml_and_python_write_them() {
        let value = |text: &str| text.parse::<Setting>().unwrap().value.unwrap();
        assert_eq!(value("n=9"), Value::Integer(9));
        assert_eq!(value("clip_gradients = 5.0"), Value::Float(5.0));
        assert_eq!((value("clip_gradients=0."), value("rate=.5")), (Value::Float(0.0), Value::Float(0.5)));
        assert_eq!(value("shuffle=True"), Value::Boolean(true));
        assert_eq!(value("run_id=vgg_oxflowers17"), Value::String("vgg_oxflowers17".to_owned()));
        assert_eq!(value("input.size=[32, 32]"), Value::Array(vec![32.into(), 32.into()]));
        assert_eq!("batch_size".parse::<Setting>(), Err(SettingError::Form("batch_size".to_owned())));
    }

    #[test]
    fn a_value_is_put_where_its_path_leads() {
        let mut table: Table = "a = 1\n[b]\nc = 2".parse().unwrap();
        put(&mut table, "b.d.e", Some(3.into())).unwrap();
        assert_eq!(at(&table, "b.d.e"), Some(&Value::Integer(3)));
        put(&mut table, "b.c", None).unwrap();
        assert_eq!(at(&table, "b.c"), None);
        assert!(put(&mut table, "a.b", Some(1.into())).unwrap_err().to_string().contains("`a` is not a table"));
    }
}
