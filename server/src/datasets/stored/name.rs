//! Names of data sets, and labels.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use trainer::data::normalized;

use crate::store::is_plain_name;

/// A data set's name: 1 to 64 letters, digits, `.`, `_` and `-`, the first of them no dot. It is a folder's name and a part
/// of URLs, and needs no quoting in either.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatasetName(String);

/// A text that is no data set's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a name of a data set; use 1 to 64 letters, digits, `.`, `_` and `-`, not beginning with a dot")]
pub struct InvalidDatasetName(String);

/// The class of an image: 1 to 200 characters in composed form, without control characters and slashes and not beginning
/// with a dot, so that it can be a folder's name. An image of several classes has them sorted, with slashes between, and one
/// of none a slash alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

/// A text that is no label.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` cannot be a label; use 1 to 200 characters without backslashes and control characters, not beginning with a dot, \
     because it is a folder's name when the data set is exported; slashes separate several labels of an image"
)]
pub struct InvalidLabel(String);

/// The most labels of an image.
const MOST_LABELS: usize = 256;
/// The longest label, in characters; four bytes each and an ending still make a file's name.
const LONGEST_LABEL: usize = 200;
/// The longest name of a file, in bytes.
const LONGEST_FILE_NAME: usize = 255;

/// The last part of a file's name as a client sends it, or nothing of use.
pub(crate) fn file_name(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name).trim().trim_start_matches('.');
    let mut name: String = name.chars().filter(|letter| !letter.is_control()).collect();
    while name.len() > LONGEST_FILE_NAME {
        name.remove(0);
    }
    (!name.is_empty()).then_some(name)
}

impl DatasetName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DatasetName {
    type Error = InvalidDatasetName;

    fn try_from(name: String) -> Result<Self, InvalidDatasetName> {
        if is_plain_name(&name) { Ok(Self(name)) } else { Err(InvalidDatasetName(name)) }
    }
}

impl FromStr for DatasetName {
    type Err = InvalidDatasetName;

    fn from_str(name: &str) -> Result<Self, InvalidDatasetName> {
        name.to_owned().try_into()
    }
}

impl From<DatasetName> for String {
    fn from(name: DatasetName) -> Self {
        name.0
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Label {
    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of an image that shows these classes.
    ///
    /// # Errors
    /// [`InvalidLabel`] naming the first that cannot be one.
    pub fn of<'a>(classes: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidLabel> {
        let mut labels = classes.into_iter().map(single).collect::<Result<Vec<_>, _>>()?;
        labels.sort();
        labels.dedup();
        let joined = labels.join("/");
        if labels.len() > MOST_LABELS {
            return Err(InvalidLabel::new(&joined));
        }
        Ok(Self(if labels.is_empty() { "/".to_owned() } else { joined }))
    }
}

impl InvalidLabel {
    fn new(text: &str) -> Self {
        Self(text.chars().take(LONGEST_LABEL).collect())
    }
}

/// One label in composed form.
fn single(text: &str) -> Result<String, InvalidLabel> {
    let label = normalized(text);
    let forbidden = |letter: char| letter.is_control() || letter == '/' || letter == '\\';
    let fits = (1..=LONGEST_LABEL).contains(&label.chars().count());
    if fits && !label.starts_with('.') && !label.contains(forbidden) { Ok(label) } else { Err(InvalidLabel::new(text)) }
}

impl TryFrom<String> for Label {
    type Error = InvalidLabel;

    fn try_from(text: String) -> Result<Self, InvalidLabel> {
        match text.trim() {
            "/" => Self::of([]),
            labels => Self::of(labels.split('/')).map_err(|_| InvalidLabel::new(&text)),
        }
    }
}

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        text.to_owned().try_into()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_folder_names_in_composed_form() {
        for (text, expected) in [("rose", "rose"), (" e\u{301} ", "\u{e9}"), ("New York", "New York")] {
            assert_eq!(text.parse::<Label>().unwrap().as_str(), expected);
        }
        let long = "x".repeat(201);
        for text in ["", "  ", ".hidden", "..", "a/../b", "/a", "a/", "a//b", "a\\b", "a\nb", "a\0b", long.as_str()] {
            let error = text.parse::<Label>().unwrap_err().to_string();
            assert!(error.contains(" cannot be a label; use 1 to 200 characters"), "{text:?}: {error}");
        }
    }

    #[test]
    fn several_labels_are_a_sorted_set_and_a_slash_alone_is_none() {
        for (text, expected) in [("tulip/rose", "rose/tulip"), (" rose / rose", "rose"), ("/", "/"), (" / ", "/")] {
            assert_eq!(text.parse::<Label>().unwrap().as_str(), expected);
        }
        assert_eq!(Label::of(["b", "a"]).unwrap().as_str(), "a/b");
        assert_eq!(Label::of([]).unwrap().as_str(), "/");
        // A class with a slash in its name is no two classes.
        assert!(Label::of(["a/b"]).unwrap_err().to_string().starts_with("`a/b` cannot be a label; "));
        assert!(Label::of((0..257).map(|_| "x").collect::<Vec<_>>()).is_ok());
        let many: Vec<String> = (0..257).map(|number| number.to_string()).collect();
        assert!(many.join("/").parse::<Label>().is_err());
    }

    #[test]
    fn of_a_files_name_its_last_part_is_kept() {
        for (name, expected) in [
            ("rose.jpg", Some("rose.jpg")),
            ("C:\\pictures\\rose.jpg", Some("rose.jpg")),
            ("../../etc/passwd", Some("passwd")),
            (".hidden.jpg", Some("hidden.jpg")),
            ("a\r\nb.jpg", Some("ab.jpg")),
            ("..", None),
            ("", None),
        ] {
            assert_eq!(file_name(name).as_deref(), expected, "{name:?}");
        }
        assert_eq!(file_name(&"\u{e9}".repeat(200)).map(|name| name.len()), Some(254));
    }
}
