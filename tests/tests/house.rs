//! House rules of CONTRIBUTING.md that no lint knows: the length of files and functions, circles between files, doc comments
//! that repeat a name, and words that the glossary has replaced.

use std::path::{Path, PathBuf};

use tests::circles::circles;
use tests::doc_comments::repetitions;

const LONGEST: usize = 500;
const LONGEST_FUNCTION: usize = 60;

/// Longer functions: the end of the file's path, the function, and the reason.
const LONGER: [(&str, &str, &str); 7] = [
    ("server/src/http/router.rs", "routes", "a table, a line for each address"),
    ("server/src/serve/mod.rs", "run", "what the server starts and ends, in that order, on one page"),
    ("trainer/src/data/doubt.rs", "fmt", "a match, an arm for each doubt"),
    ("trainer/src/backend/tests/reference.rs", "compute", "a match, an arm for each operator"),
    ("trainer/src/data/sources/tests.rs", "layouts_of_tutorials_and_competitions_are_understood", "a table of layouts"),
    (
        "tests/tests/counters.rs",
        "counts_agree_with_the_clients_while_models_are_reloaded",
        "one server, counted at its end",
    ),
    (
        "tests/tests/quantize.rs",
        "a_quantized_model_is_a_new_version_with_variants_that_are_measured_and_answer",
        "one model from its training to its answers",
    ),
];

/// Old names of `docs/glossary.md` which are no name for anything else either.
const REPLACED: [&str; 46] = [
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
    "Found",
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
    "Pass",
    "Place",
    "Rectified",
    "Saved",
    "Single",
    "Way",
    "Wish",
    "Workplace",
    "centre",
    "centred",
    "colour",
    "colours",
    "divisions",
    "doubles",
    "initialiser",
    "initialisers",
    "labelled",
    "looks",
    "neighbour",
    "neighbours",
    "normalise",
    "optimiser",
    "recognise",
    "recognised",
];

/// The same of types; a variant may be called so.
const REPLACED_TYPES: [&str; 1] = ["Waiting"];

#[test]
fn no_source_file_is_longer_than_500_lines() {
    let too_long = sources(&["rs", "py", "js", "mjs"]).into_iter().filter_map(|path| {
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
            let replaced = identifiers(line).find(|word| REPLACED.contains(word)).or_else(|| replaced_type(line));
            violations.extend(replaced.map(|word| format!("{}:{number}: {word}", path.display())));
        }
    }
    assert!(violations.is_empty(), "see docs/glossary.md: {violations:#?}");
}

#[test]
fn no_function_is_longer_than_60_lines_without_a_reason() {
    let (mut too_long, mut reasons) = (Vec::new(), LONGER.to_vec());
    for path in sources(&["rs"]) {
        let text = std::fs::read_to_string(&path).expect("a text file");
        for (name, lines) in functions(&text).into_iter().filter(|(_, lines)| *lines > LONGEST_FUNCTION) {
            let before = reasons.len();
            reasons.retain(|(file, function, _)| !(path.ends_with(file) && name == *function));
            if reasons.len() == before {
                too_long.push(format!("{}: {name}: {lines}", path.display()));
            }
        }
    }
    assert!(too_long.is_empty(), "{too_long:#?}");
    assert!(reasons.is_empty(), "these are short enough by now: {reasons:#?}");
}

#[test]
fn files_do_not_use_each_other_in_circles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found = ["models", "onnx", "trainer", "server", "tests"].map(|name| {
        let circles = circles(&root.join(name).join("src"));
        circles.into_iter().map(|circle| format!("{name}: {circle}")).collect::<Vec<_>>()
    });
    let found = found.concat();
    assert!(found.is_empty(), "move what two of the files share to a third: {found:#?}");
}

#[test]
fn no_doc_comment_says_nothing_but_the_name_of_its_item() {
    let found = sources(&["rs"]).into_iter().flat_map(|path| {
        let text = std::fs::read_to_string(&path).expect("a text file");
        let show = |(line, doc)| format!("{}:{line}: {doc}", path.display());
        repetitions(&text).into_iter().map(show).collect::<Vec<_>>()
    });
    let found: Vec<String> = found.collect();
    assert!(found.is_empty(), "say shape, unit, range or error, or nothing: {found:#?}");
}

/// The functions of a file that rustfmt has laid out, with the lines that each takes.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let signature = line.trim_start();
        let indent = &line[..line.len() - signature.len()];
        let Some((before, after)) = signature.split_once("fn ") else { continue };
        let mut words = before.split_whitespace();
        let is_function = words.all(|word| word.starts_with("pub") || ["async", "const", "unsafe"].contains(&word));
        if !is_function || line.ends_with(';') {
            continue;
        }
        let is_end = |line: &&str| line.strip_prefix(indent) == Some("}");
        let length = lines[start..].iter().position(is_end).map_or(1, |end| end + 1);
        functions.push((after.split(['(', '<']).next().unwrap_or_default(), length));
    }
    functions
}

/// The old name that a line gives a type, if it does.
fn replaced_type(line: &str) -> Option<&str> {
    let words: Vec<&str> = identifiers(line).collect();
    let named = words.windows(2).filter(|pair| ["struct", "enum", "trait", "type"].contains(&pair[0]));
    named.map(|pair| pair[1]).find(|word| REPLACED_TYPES.contains(word))
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
                folders.extend((!path.ends_with("target") && !path.ends_with("node_modules")).then_some(path));
            } else if path.extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension)) {
                files.push(path);
            }
        }
    }
    files
}
