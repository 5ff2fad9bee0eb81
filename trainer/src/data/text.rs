//! Names compared as text: what looks alike is alike.

use unicode_normalization::UnicodeNormalization;

/// The name in composed form (NFC) without surrounding space. File systems keep `é` as one or as two code points, and
/// folder names end in spaces that nobody sees.
#[must_use]
pub fn normalized(name: &str) -> String {
    name.trim().nfc().collect()
}

/// The name without the difference of upper and lower case.
pub(super) fn caseless(name: &str) -> String {
    normalized(name).to_lowercase()
}

/// The words of a name in lower case, digits left out: `TrainingSet_2` is `training`, `set`.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for letter in normalized(name).chars() {
        if !letter.is_alphabetic() || (letter.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphabetic(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
        lower_before = letter.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Quoted names in a sentence, with the number of the others when there are more than `limit`.
pub(crate) fn quoted<S: AsRef<str>>(names: impl IntoIterator<Item = S>, limit: usize) -> String {
    let mut names = names.into_iter();
    let mut text: Vec<String> = names.by_ref().take(limit).map(|name| format!("`{}`", name.as_ref())).collect();
    let others = names.count();
    if others > 0 {
        text.push(format!("{others} more"));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composed_and_decomposed_names_and_unseen_spaces_are_alike() {
        assert_eq!(normalized("cafe\u{301} "), "caf\u{e9}");
        assert_eq!(caseless("CAFE\u{301}"), "caf\u{e9}");
    }

    #[test]
    fn words_end_at_signs_digits_and_capitals() {
        let cases = [
            ("training_set", vec!["training", "set"]),
            ("TrainingSet", vec!["training", "set"]),
            ("ILSVRC2012_img_train", vec!["ilsvrc", "img", "train"]),
            ("test1", vec!["test"]),
            ("2012", vec![]),
        ];
        for (name, expected) in cases {
            assert_eq!(words(name), expected, "{name}");
        }
    }

    #[test]
    fn names_behind_the_limit_are_counted() {
        assert_eq!(quoted(["a", "b", "c"], 2), "`a`, `b`, 1 more");
    }
}
