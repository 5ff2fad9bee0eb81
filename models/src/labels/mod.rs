//! Class names.

mod document;
mod lines;
mod literal;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The names of a model's classes; the index is the logit's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(Vec<String>);

impl Labels {
    /// Names in the order of the logits.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// ImageNet's thousand classes (ILSVRC-2012) in the order of every pretrained network, under torchvision's names.
    #[must_use]
    pub fn imagenet() -> Self {
        Self(imagenet_classes().map(|(_, name)| name.to_owned()).collect())
    }

    /// Reads a label file: one name a line (behind WordNet ids or numbers, if every line has one), a list of names or names by
    /// class in JSON, Python or under `names` in YAML, or a document of another program with such a list, as `config.json` of
    /// Hugging Face.
    ///
    /// # Errors
    /// [`LabelsError`] for a file without names, with an empty one, or with brackets but no such list.
    pub fn parse(text: &str) -> Result<Self, LabelsError> {
        let text = text.trim_start_matches('\u{feff}').trim();
        let names: Vec<String> = if text.starts_with('[') || text.starts_with('{') {
            literal::parse(text).as_ref().and_then(document::names).ok_or(LabelsError::Literal)?
        } else {
            lines::of_yaml(text).unwrap_or_else(|| lines::names(text))
        };
        match names.iter().position(|name| name.trim().is_empty()) {
            _ if names.is_empty() => Err(LabelsError::Empty),
            Some(index) => Err(LabelsError::EmptyName { line: index + 1 }),
            None => Ok(Self(names)),
        }
    }

    /// As [`parse`](Self::parse), of the bytes of a label file.
    ///
    /// # Errors
    /// [`LabelsError`], also for bytes that are no UTF-8 text.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, LabelsError> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| LabelsError::Encoding)?)
    }

    /// Class names in a file's metadata: as a label file, but only in brackets, or, where there are none, separated by
    /// commas. `None` for anything else.
    #[must_use]
    pub fn parse_metadata(text: &str) -> Option<Self> {
        if text.trim_start().starts_with(['[', '{']) {
            return literal::parse(text).as_ref().and_then(document::names).map(Self);
        }
        let names: Vec<String> = text.split([',', '\n']).map(|name| name.trim().to_owned()).collect();
        (names.len() > 1 && names.iter().all(|name| !name.is_empty())).then_some(Self(names))
    }

    /// The number of classes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no classes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of a class.
    #[must_use]
    pub fn get(&self, class: usize) -> Option<&str> {
        self.0.get(class).map(String::as_str)
    }

    /// All names in the order of the logits.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// Why a label file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LabelsError {
    /// An empty file.
    #[error("the label file is empty; it should hold one class name a line, or a JSON array of names")]
    Empty,
    /// A file in another encoding, or no text at all.
    #[error("the labels are not UTF-8 text; save the file as UTF-8, one class name a line")]
    Encoding,
    /// A class without a name.
    #[error("class name {line} is empty; remove the blank line or name the class")]
    EmptyName {
        /// The line, counted from one.
        line: usize,
    },
    /// Brackets around something other than names.
    #[error(
        "the labels are neither a list of names nor names by class, from 0 on and without gaps; write one name a line"
    )]
    Literal,
}

/// WordNet's id and the name of each of ImageNet's classes.
pub fn imagenet_classes() -> impl Iterator<Item = (&'static str, &'static str)> {
    include_str!("imagenet.txt").lines().filter_map(|line| line.split_once(' '))
}

/// `tench, Tinca tinca` of `n01440764 tench, Tinca tinca`.
fn without_synset(line: &str) -> Option<&str> {
    let (id, name) = line.split_once(' ')?;
    is_synset(id).then_some(name)
}

/// Whether this is an id of WordNet, as `n01440764`.
fn is_synset(id: &str) -> bool {
    id.strip_prefix('n').is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_json_and_synsets_are_read() {
        for text in [
            "rose\ntulip\n",
            "[\"rose\", \"tulip\"]",
            "{0: 'rose', 1: 'tulip'}",
            "n00000001 rose\r\nn00000002 tulip",
            "\u{feff}rose\ntulip",
        ] {
            assert_eq!(Labels::parse(text).unwrap().names(), ["rose", "tulip"], "{text:?}");
        }
    }

    #[test]
    fn a_wordnet_id_is_only_stripped_when_every_line_has_one() {
        let labels = Labels::parse("n00000001 rose\ntulip").unwrap();
        assert_eq!(labels.names(), ["n00000001 rose", "tulip"]);
    }

    #[test]
    fn imagenet_has_a_thousand_classes_in_the_usual_order() {
        let labels = Labels::imagenet();
        assert_eq!((labels.len(), labels.get(0), labels.get(999)), (1000, Some("tench"), Some("toilet tissue")));
        assert_eq!(imagenet_classes().nth(207), Some(("n02099601", "golden retriever")));
    }

    #[test]
    fn files_without_names_are_refused() {
        assert_eq!(Labels::parse(" \n"), Err(LabelsError::Empty));
        assert_eq!(Labels::parse_bytes(b"\xff\xfer\0"), Err(LabelsError::Encoding), "UTF-16");
        assert_eq!(Labels::parse("rose\n\ntulip"), Err(LabelsError::EmptyName { line: 2 }));
        assert_eq!(Labels::parse("{\"1\": \"rose\"}"), Err(LabelsError::Literal));
        assert_eq!(Labels::parse("names: []"), Err(LabelsError::Empty));
    }
}
