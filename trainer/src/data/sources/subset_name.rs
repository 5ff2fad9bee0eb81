//! Subsets by the names that people give to folders, tables and columns.

use std::collections::BTreeMap;

use crate::data::Subset;
use crate::data::text::words;

/// A word for each subset.
const WORDS: [(&str, Subset); 19] = [
    ("train", Subset::Train),
    ("training", Subset::Train),
    ("trn", Subset::Train),
    ("trainset", Subset::Train),
    ("traindata", Subset::Train),
    ("val", Subset::Validation),
    ("valid", Subset::Validation),
    ("validation", Subset::Validation),
    ("validate", Subset::Validation),
    ("dev", Subset::Validation),
    ("valset", Subset::Validation),
    ("test", Subset::Test),
    ("testing", Subset::Test),
    ("tst", Subset::Test),
    ("testset", Subset::Test),
    ("testdata", Subset::Test),
    ("eval", Subset::Test),
    ("evaluation", Subset::Test),
    ("holdout", Subset::Test),
];
/// Words that say nothing beside those.
const FILLERS: [&str; 15] = [
    "set", "sets", "data", "dataset", "image", "images", "img", "imgs", "pictures", "photos", "samples", "split",
    "part", "folder", "dir",
];

/// The subset that a name means by itself: `train`, `Training_Set`, `test1`, `val-images`.
pub(super) fn named(name: &str) -> Option<Subset> {
    match split(name) {
        (Some(subset), rest) if rest.is_empty() => Some(subset),
        _ => None,
    }
}

/// Which of these sibling folders are subsets: by themselves, or together, as `seg_train` and `seg_test` are, whose other
/// words are the same.
pub(super) fn among<'n>(names: impl IntoIterator<Item = &'n str>) -> BTreeMap<&'n str, Subset> {
    let mut groups: BTreeMap<Vec<String>, Vec<(&str, Subset)>> = BTreeMap::new();
    for name in names {
        if let (Some(subset), rest) = split(name) {
            groups.entry(rest).or_default().push((name, subset));
        }
    }
    let together = |(rest, group): &(Vec<String>, Vec<(&str, Subset)>)| {
        rest.is_empty() || group.iter().any(|(_, subset)| *subset != group[0].1)
    };
    groups.into_iter().filter(together).flat_map(|(_, group)| group).collect()
}

/// The one subset word of a name, and its other words.
fn split(name: &str) -> (Option<Subset>, Vec<String>) {
    let (mut subsets, mut rest) = (vec![], vec![]);
    for word in words(name) {
        match WORDS.iter().find(|(known, _)| word == *known) {
            Some((_, subset)) => subsets.push(*subset),
            None if FILLERS.contains(&word.as_str()) => {}
            None => rest.push(word),
        }
    }
    match subsets[..] {
        [subset] => (Some(subset), rest),
        _ => (None, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_are_told_by_the_names_that_people_give() {
        let cases = [
            ("train", Some(Subset::Train)),
            ("Training_Set", Some(Subset::Train)),
            ("TrainingData", Some(Subset::Train)),
            ("trn", Some(Subset::Train)),
            ("valid", Some(Subset::Validation)),
            ("val-images", Some(Subset::Validation)),
            ("dev", Some(Subset::Validation)),
            ("test1", Some(Subset::Test)),
            ("EVAL", Some(Subset::Test)),
            ("train_station", None),
            ("trainer", None),
            ("contest", None),
            ("train_test", None),
            ("images", None),
        ];
        for (name, expected) in cases {
            assert_eq!(named(name), expected, "{name}");
        }
    }

    #[test]
    fn siblings_with_the_same_other_words_are_subsets_together() {
        let found = among(["seg_pred", "seg_test", "seg_train"]);
        assert_eq!(found, BTreeMap::from([("seg_test", Subset::Test), ("seg_train", Subset::Train)]));
        assert_eq!(among(["express train", "car", "plane"]), BTreeMap::new());
        assert_eq!(among(["ILSVRC2012_img_train", "ILSVRC2012_img_val"]).len(), 2);
    }
}
