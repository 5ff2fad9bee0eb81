//! Class names in the documents of other programs.

use std::collections::BTreeMap;

use super::is_synset;
use super::literal::Literal;

/// Keys under which programs keep the names of classes among other things: Hugging Face's `config.json`, timm's, Ultralytics'
/// data sets, torchvision's `meta`, COCO's categories, torchvision's and Keras' indices.
const KEYS: [&str; 12] = [
    "id2label",
    "label_names",
    "names",
    "class_names",
    "classes",
    "labels",
    "categories",
    "label2id",
    "class_to_idx",
    "class_indices",
    "idx_to_class",
    "meta",
];

/// The names in a document, in the order of their classes; `None` when it has none, or leaves a class between zero and the
/// last without a name.
pub(super) fn names(document: &Literal) -> Option<Vec<String>> {
    let names = match document {
        Literal::List(entries) => entries.iter().map(name).collect(),
        Literal::Map(entries) => by_class(entries).or_else(|| by_name(entries)).or_else(|| {
            let value = |key: &&str| entries.iter().find(|(name, _)| name == key).map(|(_, value)| value);
            KEYS.iter().find_map(value).and_then(names)
        }),
        _ => None,
    };
    names.filter(|names| !names.is_empty())
}

/// A name, the first of several, or the second behind a WordNet id; that of an object with one.
fn name(entry: &Literal) -> Option<String> {
    match entry {
        Literal::Text(name) => Some(name.clone()),
        Literal::List(names) => match &names[..] {
            [Literal::Text(id), Literal::Text(name), ..] if is_synset(id) => Some(name.clone()),
            [Literal::Text(name), ..] => Some(name.clone()),
            _ => None,
        },
        Literal::Map(entries) => entries.iter().find(|(key, _)| key == "name").and_then(|(_, value)| match value {
            Literal::Text(name) => Some(name.clone()),
            _ => None,
        }),
        Literal::Number(_) | Literal::Other => None,
    }
}

/// `{"0": "rose", "1": "iris"}`.
fn by_class(entries: &[(String, Literal)]) -> Option<Vec<String>> {
    let classes = entries.iter().map(|(class, value)| Some((class.parse().ok()?, name(value)?)));
    complete(classes.collect::<Option<BTreeMap<usize, String>>>()?)
}

/// `{"rose": 0, "iris": 1}`.
fn by_name(entries: &[(String, Literal)]) -> Option<Vec<String>> {
    let classes = entries.iter().map(|(name, class)| match class {
        Literal::Number(class) => Some((*class, name.clone())),
        _ => None,
    });
    let classes = classes.collect::<Option<BTreeMap<usize, String>>>()?;
    (classes.len() == entries.len()).then_some(classes).and_then(complete)
}

fn complete(names: BTreeMap<usize, String>) -> Option<Vec<String>> {
    names.keys().copied().eq(0..names.len()).then(|| names.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::literal;

    fn read(text: &str) -> Option<Vec<String>> {
        names(&literal::parse(text)?)
    }

    #[test]
    fn the_documents_of_other_programs_are_read() {
        for text in [
            // Keras' imagenet_class_index.json.
            r#"{"0": ["n00000001", "rose"], "1": ["n00000002", "iris"]}"#,
            // Hugging Face's config.json.
            r#"{"architectures": ["X"], "id2label": {"0": "rose", "1": "iris"}, "label2id": {"rose": 0, "iris": 1}, "x": 1e-5}"#,
            // What torchvision's ImageFolder and Keras' generators know.
            r#"{"iris": 1, "rose": 0}"#,
            r#"{"meta": {"num_params": 5, "categories": ["rose", "iris"]}}"#,
            r#"{"categories": [{"id": 1, "name": "rose"}, {"id": 2, "name": "iris"}]}"#,
            r#"{"0": ["rose", "Rosa"], "1": ["iris"]}"#,
            r#"{1: 'iris', 0: 'rose',}"#,
            r#"{'names': ['rose', 'iris'], 'nc': 2}"#,
        ] {
            assert_eq!(read(text).unwrap(), ["rose", "iris"], "{text}");
        }
    }

    #[test]
    fn what_names_no_classes_or_leaves_one_out_is_not_guessed_at() {
        for text in ["[]", "{}", "[1, 2]", "{0: 'rose', 2: 'iris'}", r#"{"rose": 0, "iris": 0}"#, r#"{"a": "b"}"#] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
