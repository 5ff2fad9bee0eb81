//! Doc comments that say nothing but the name of their item. Good enough for text that rustfmt has laid out, without a parser.

use std::collections::HashSet;

/// Words that say nothing beside a name: articles and the like, and those that only ask.
const FILLERS: [&str; 26] = [
    "a", "an", "are", "as", "do", "does", "has", "have", "how", "is", "it", "its", "not", "of", "that", "the", "their",
    "them", "these", "they", "this", "those", "what", "where", "which", "why",
];

/// What may stand between the beginning of an item and its name.
const KEYWORDS: [&str; 12] =
    ["async", "const", "enum", "extern", "fn", "mod", "pub", "static", "struct", "trait", "type", "unsafe"];

/// The doc comments of a file that have no word beside `FILLERS` and the words of the item's own name, each with its line,
/// counted from 1.
#[must_use]
pub fn repetitions(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let (mut repetitions, mut at) = (Vec::new(), 0);
    while at < lines.len() {
        let doc: Vec<&str> = lines[at..].iter().map_while(|line| line.strip_prefix("///").map(str::trim)).collect();
        let end = at + doc.len();
        let doc = doc.join(" ");
        if end > at && name(&lines[end..]).is_some_and(|name| repeats(&doc, name)) {
            repetitions.push((at + 1, doc));
        }
        at = end.max(at + 1);
    }
    repetitions
}

/// Whether a doc comment has no word beside fillers and those of a name, in the singular or the plural.
fn repeats(doc: &str, name: &str) -> bool {
    let known: HashSet<String> = name_words(name).chain([name.to_lowercase()]).map(|word| singular(&word)).collect();
    let words = doc.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let mut telling = words.map(str::to_lowercase).filter(|word| !FILLERS.contains(&word.as_str()) && word != "s");
    telling.all(|word| known.contains(&singular(&word)))
}

/// The name of the item that some lines begin with, behind its attributes and comments.
fn name<'a>(lines: &[&'a str]) -> Option<&'a str> {
    let mut depth = 0;
    let item = lines.iter().find(|line| {
        let is_beside = depth > 0 || line.starts_with("#[") || line.starts_with("//");
        if is_beside && !line.starts_with("//") {
            depth += line.matches(['[', '(', '{']).count();
            depth -= line.matches([']', ')', '}']).count().min(depth);
        }
        !is_beside
    })?;
    let item = match item.strip_prefix("pub(").and_then(|rest| rest.split_once(')')) {
        Some((_, item)) => item,
        None => item,
    };
    let mut words = item.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    words.find(|word| !KEYWORDS.contains(word))
}

/// `image` and `count` of `image_count` and of `ImageCount`, in lower case.
fn name_words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c != '_') {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_numeric();
    }
    words.into_iter().filter(|word| !word.is_empty())
}

/// `class` of `classes`, `entry` of `entries`, `image` of `images`. That the rest is a word does not matter: both sides are
/// shortened alike.
fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    let stem = word.strip_suffix("es").filter(|stem| stem.ends_with(['s', 'x'])).or_else(|| word.strip_suffix('s'));
    stem.filter(|stem| stem.len() > 2 && !word.ends_with("ss")).unwrap_or(word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, String)> {
        repetitions(text)
    }

    fn docs(text: &str) -> Vec<String> {
        found(text).into_iter().map(|(_, doc)| doc).collect()
    }

    #[test]
    fn a_doc_comment_of_the_name_alone_is_found_behind_attributes_and_visibility() {
        let text = "/// A page of images.\n#[derive(Debug)]\n#[serde(\n    tag = \"kind\",\n)]\npub(crate) struct ImagePage {\n    \
                    /// The classes.\n    pub class: Vec<String>,\n    /// Its `entries`.\n    // Sorted.\n    pub(in crate::data) entry: u64,\n}\n";
        let expected = [(1, "A page of images."), (7, "The classes."), (9, "Its `entries`.")];
        assert_eq!(found(text), expected.map(|(line, doc)| (line, doc.to_owned())));
        assert_eq!(docs("/// It is.\nServed,\n"), ["It is."]);
        assert_eq!(docs("/// Why.\nreason: String,\n"), ["Why."]);
        assert_eq!(
            docs("/// The id\n/// of the request.\npub async fn request_id(&self) -> &str {\n"),
            ["The id of the request."]
        );
        assert_eq!(docs("/// `max_images`.\npub const MAX_IMAGES: usize = 4;\n"), ["`max_images`."]);
    }

    #[test]
    fn one_more_word_is_a_doc_comment() {
        for text in [
            "/// The class's name.\nclass: String,\n",
            "/// `[n, classes]`.\nclasses: Vec<f32>,\n",
            "/// `dnnl_dims_t`.\ntype Dims = [i64; 12];\n",
            "/// Seconds, wall clock.\nseconds: f64,\n",
            "/// The address.\nurl: String,\n",
            "//! The file.\nmod file;\n",
            "// The file.\nfile: File,\n",
            "let text = \"/// The file.\";\nlet file = 1;\n",
        ] {
            assert_eq!(docs(text), [""; 0], "{text}");
        }
    }
}
