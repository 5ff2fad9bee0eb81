//! Class names as programs write them into metadata: JSON, or the repr of a Python dictionary or list.

use std::collections::BTreeMap;

/// Names by class, of `["rose", "iris"]`, `{"0": "rose", "1": "iris"}`, `{0: 'rose', 1: "lady's slipper"}` or
/// `['rose', 'iris']`. `None` for anything else, and when a class between zero and the last has no name.
pub(super) fn parse(text: &str) -> Option<Vec<String>> {
    let mut reader = Reader { rest: text.trim() };
    let names = if reader.skip('{') { reader.dictionary()? } else { reader.list()? };
    (reader.rest.is_empty() && !names.is_empty()).then_some(names)
}

/// What is left of the text.
struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn dictionary(&mut self) -> Option<Vec<String>> {
        let mut names = BTreeMap::new();
        while !self.skip('}') {
            let class = self.class()?;
            self.skip(':').then_some(())?;
            names.insert(class, self.string()?);
            self.separator('}')?;
        }
        let complete = names.keys().copied().eq(0..names.len());
        complete.then(|| names.into_values().collect())
    }

    fn list(&mut self) -> Option<Vec<String>> {
        self.skip('[').then_some(())?;
        let mut names = Vec::new();
        while !self.skip(']') {
            names.push(self.string()?);
            self.separator(']')?;
        }
        Some(names)
    }

    /// A comma, or the closing bracket, which is left.
    fn separator(&mut self, end: char) -> Option<()> {
        (self.skip(',') || self.rest.starts_with(end)).then_some(())
    }

    /// Takes this character and the white space around it.
    fn skip(&mut self, wanted: char) -> bool {
        match self.rest.trim_start().strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    /// A number, quoted or not.
    fn class(&mut self) -> Option<usize> {
        if self.rest.starts_with(['"', '\'']) {
            return self.string()?.parse().ok();
        }
        let end = self.rest.find(|c: char| !c.is_ascii_digit())?;
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        digits.parse().ok()
    }

    /// A string in either kind of quotes. Python escapes what JSON escapes, and the quotes.
    fn string(&mut self) -> Option<String> {
        let quote = self.rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let mut characters = self.rest[1..].char_indices();
        let mut text = String::new();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'x' => text.push(hexadecimal(&mut characters, 2)?),
                    'u' => text.push(hexadecimal(&mut characters, 4)?),
                    other => text.push(other),
                },
                character if character == quote => {
                    self.rest = self.rest[at + 2..].trim_start();
                    return Some(text);
                }
                character => text.push(character),
            }
        }
        None
    }
}

fn hexadecimal(characters: &mut impl Iterator<Item = (usize, char)>, digits: usize) -> Option<char> {
    let mut code = 0;
    for _ in 0..digits {
        code = code * 16 + characters.next()?.1.to_digit(16)?;
    }
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_python_are_read_alike() {
        for text in [
            r#"["rose", "colts' foot"]"#,
            r#"{"0": "rose", "1": "colts' foot"}"#,
            r#"{0: 'rose', 1: "colts' foot"}"#,
            r"{1: 'colts\' foot', 0: 'rose',}",
            r" ['rose', 'colts\x27 foot'] ",
        ] {
            assert_eq!(parse(text).unwrap(), ["rose", "colts' foot"], "{text}");
        }
        assert_eq!(parse(r#"["lys \u00e9toil\u00e9"]"#).unwrap(), ["lys étoilé"]);
    }

    #[test]
    fn anything_else_is_not_guessed_at() {
        for text in
            ["", "rose", "[]", "{}", "{0: 'rose', 2: 'iris'}", "['rose'", "{0 'rose'}", "['rose'] x", "[1, 2]", r"['\"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
