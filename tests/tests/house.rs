//! Two house rules of CONTRIBUTING.md that no lint knows: the length of files, and words that the glossary has replaced.

use std::path::{Path, PathBuf};

const LONGEST: usize = 500;

/// Old names of `docs/glossary.md` which are no name for anything else either.
const REPLACED: [&str; 32] = [
    "Adapted",
    "Adopted",
    "Adoption",
    "Affine",
    "Asked",
    "Back",
    "BatchNormed",
    "Brain",
    "Convolved",
    "Dropped",
    "Headless",
    "Kept",
    "LAST_BREATH",
    "Looked",
    "Made",
    "MaxPooled",
    "Meetings",
    "Moment",
    "Opening",
    "Optimiser",
    "Pace",
    "Place",
    "Rectified",
    "Saved",
    "Way",
    "Wish",
    "Workplace",
    "divisions",
    "doubles",
    "looks",
    "normalise",
    "optimiser",
];

#[test]
fn no_source_file_is_longer_than_500_lines() {
    let too_long = sources(&["rs", "py"]).into_iter().filter_map(|path| {
        let lines = std::fs::read_to_string(&path).ok()?.lines().count();
        (lines > LONGEST).then(|| format!("{}: {lines}", path.display()))
    });
    let too_long: Vec<String> = too_long.collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
}

#[test]
fn no_identifier_is_a_word_that_the_glossary_has_replaced() {
    let mut violations = Vec::new();
    for path in sources(&["rs"]).into_iter().filter(|path| !path.ends_with(file!())) {
        let text = std::fs::read_to_string(&path).expect("a text file");
        for (number, line) in (1..).zip(text.lines()) {
            let replaced = identifiers(line).find(|word| REPLACED.contains(word));
            violations.extend(replaced.map(|word| format!("{}:{number}: {word}", path.display())));
        }
    }
    assert!(violations.is_empty(), "see docs/glossary.md: {violations:#?}");
}

/// The words of a line outside of its comment and its strings. Good enough for text that rustfmt has laid out: of a string
/// over several lines only the first and the last are recognized.
fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    let outside = code.split('"').step_by(2);
    outside.flat_map(|part| part.split(|c: char| !c.is_alphanumeric() && c != '_'))
}

/// Files of the workspace with one of these extensions.
fn sources(extensions: &[&str]) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<PathBuf> = ["models", "onnx", "trainer", "server", "tests"].map(|name| root.join(name)).into();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.extend((!path.ends_with("target")).then_some(path));
            } else if path.extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension)) {
                files.push(path);
            }
        }
    }
    files
}
