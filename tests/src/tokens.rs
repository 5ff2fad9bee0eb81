//! What a source file names: its paths, re-exports and modules for tests, told without a parser.

/// Something that a source file names outside of code for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A path of `use` or of code, such as `crate::a::A`.
    Path(Vec<String>),
    /// A re-export: the name, and the path of what it names.
    Export(String, Vec<String>),
    /// A module that only tests have.
    TestModule(String),
}

/// All of a file.
#[must_use]
pub fn items(text: &str) -> Vec<Item> {
    let tokens = tokens(text);
    let (mut items, mut at, mut public) = (Vec::new(), 0, false);
    while at < tokens.len() {
        let rest = &tokens[at..];
        let is =
            |words: &[&str]| rest.len() >= words.len() && rest.iter().zip(words).all(|(token, word)| token == word);
        at += if is(&["#", "[", "cfg", "(", "test", ")", "]"]) {
            let length = item_length(&rest[7..]);
            items.extend(test_module(&rest[7..7 + length]).map(Item::TestModule));
            7 + length
        } else if is(&["use"]) {
            let length = rest.iter().position(|token| token == ";").unwrap_or(rest.len() - 1) + 1;
            for (name, path) in tree(&rest[1..length - 1], &[]) {
                items.push(if public { Item::Export(name, path) } else { Item::Path(path) });
            }
            length
        } else {
            let path = leading_path(rest);
            let length = (2 * path.len()).max(2) - 1;
            items.extend((path.len() > 1).then_some(Item::Path(path)));
            length
        };
        // `pub`, or the end of `pub(…)`.
        public = is(&["pub"]) || (public && ["(", "in", "crate", "super", ")"].contains(&rest[0].as_str()));
    }
    items
}

/// The names of a path at the beginning of some tokens.
fn leading_path(tokens: &[String]) -> Vec<String> {
    let mut path = Vec::new();
    for pair in tokens.chunks(2) {
        if !pair[0].starts_with(|c: char| c.is_alphabetic() || c == '_') {
            break;
        }
        path.push(pair[0].clone());
        if pair.get(1).is_none_or(|token| token != "::") {
            break;
        }
    }
    path
}

/// The tokens of one item: to its semicolon, or to the end of its braces.
fn item_length(tokens: &[String]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The name of an item that is a module in a file of its own.
fn test_module(item: &[String]) -> Option<String> {
    match item {
        [.., module, name, end] if module == "mod" && end == ";" => Some(name.clone()),
        _ => None,
    }
}

/// The names that a tree of `use` makes, each with its path.
fn tree(tokens: &[String], prefix: &[String]) -> Vec<(String, Vec<String>)> {
    let mut names = Vec::new();
    for branch in split(tokens) {
        let path = leading_path(branch);
        let whole = [prefix, &path].concat();
        let rest = &branch[(2 * path.len()).saturating_sub(1).min(branch.len())..];
        match rest {
            [sign, open, inner @ .., _] if sign == "::" && open == "{" => names.extend(tree(inner, &whole)),
            [open, inner @ .., _] if open == "{" => names.extend(tree(inner, &whole)),
            [word, alias] if word == "as" => names.push((alias.clone(), whole)),
            _ => names.extend(whole.last().cloned().map(|name| (name, whole.clone()))),
        }
    }
    names
}

/// What stands between the outermost commas.
fn split(tokens: &[String]) -> Vec<&[String]> {
    let (mut depth, mut parts, mut start) = (0, Vec::new(), 0);
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 0 => {
                parts.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Words and signs without comments and texts.
fn tokens(text: &str) -> Vec<String> {
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(length) = text_length(rest) {
            length
        } else if word > 0 {
            tokens.push(rest[..word].to_owned());
            word
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            tokens.push(first.to_string());
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of a text or a character that the code begins with.
fn text_length(code: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""]
        .into_iter()
        .find(|prefix| code.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(['"', '#', '\''])))?;
    let rest = &code[prefix.len()..];
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    if prefix.ends_with('r') && rest[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let start = prefix.len() + hashes + 1;
        return Some(start + code[start..].find(&end)? + end.len());
    }
    let quote = rest.chars().next().filter(|quote| *quote != '#')?;
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            // `'a` without an end is a lifetime.
            _ if quote == '\'' && c != '\'' && at > 1 && !rest[..at].contains('\\') => return None,
            _ if c == quote => return Some(prefix.len() + at + 1),
            _ => {}
        }
    }
    None
}
