//! Class names in lines of text.

use super::literal;
use super::{document, without_synset};

/// One name a line. A WordNet id or the class's number, where every line begins with one, is no part of the name.
pub(super) fn names(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let synsets: Option<Vec<&str>> = lines.iter().map(|line| without_synset(line)).collect();
    let numbered = || (0..).zip(&lines).map(|(class, line)| without_number(line, class)).collect::<Option<Vec<&str>>>();
    let names = synsets.or_else(|| numbered().filter(|names| names.len() > 1)).unwrap_or(lines);
    names.into_iter().map(str::to_owned).collect()
}

/// `Class A` of `0 Class A`, as Teachable Machine writes it, of `0: Class A` and of `0,Class A`.
fn without_number(line: &str, class: usize) -> Option<&str> {
    let rest = line.strip_prefix(&class.to_string())?;
    let name = rest.strip_prefix([' ', ':', ',', '\t', ';'])?.trim();
    (!name.is_empty()).then_some(name)
}

/// The names in YAML with a key `names`, as Ultralytics' data sets have it: a list in brackets or of dashes, or names by class.
/// `None` for text without such a key.
pub(super) fn of_yaml(text: &str) -> Option<Vec<String>> {
    let mut lines = text.lines().map(|line| line.split(" #").next().unwrap_or(line).trim_end());
    let value = lines.find_map(|line| line.strip_prefix("names:"))?.trim();
    if value.is_empty() {
        let inner = lines.take_while(|line| line.is_empty() || line.starts_with([' ', '-', '\t']));
        let entries: Vec<&str> =
            inner.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        return (0..).zip(&entries).map(|(class, entry)| entry_name(entry, class)).collect();
    }
    let quoted = literal::parse(value).as_ref().and_then(document::names);
    quoted.or_else(|| {
        let words = value.strip_prefix('[')?.strip_suffix(']')?.split(',').map(unquoted);
        Some(words.filter(|word| !word.is_empty()).collect())
    })
}

/// `rose` of `- rose` and of `0: rose`.
fn entry_name(entry: &str, class: usize) -> Option<String> {
    let by_class = || entry.strip_prefix(&class.to_string())?.strip_prefix(':');
    let name = entry.strip_prefix("- ").or_else(by_class).map(unquoted);
    name.filter(|name| !name.is_empty())
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_count_the_lines_are_no_part_of_the_names() {
        for text in ["0 Class A\n1 Class B", "0: Class A\n1: Class B", "0,Class A\n1,Class B"] {
            assert_eq!(names(text), ["Class A", "Class B"], "{text}");
        }
        // Names that begin with numbers of their own.
        assert_eq!(names("1 euro\n2 euro"), ["1 euro", "2 euro"]);
        assert_eq!(names("0\n1\n2"), ["0", "1", "2"]);
        assert_eq!(names("0 degrees"), ["0 degrees"]);
    }

    #[test]
    fn the_names_of_a_data_set_in_yaml_are_read() {
        for text in [
            "path: flowers\nnc: 2\nnames:\n  0: rose\n  1: iris\n",
            "names: ['rose', 'iris']\nnc: 2",
            "names: [rose, iris]  # two",
            "names:\n- rose\n- \"iris\"\nval: images",
            "names:\n  - rose\n\n  - iris",
        ] {
            assert_eq!(of_yaml(text).unwrap(), ["rose", "iris"], "{text}");
        }
        assert_eq!(of_yaml("rose\niris"), None);
        assert_eq!(of_yaml("names:\n  0: rose\n  2: iris"), None);
    }
}
