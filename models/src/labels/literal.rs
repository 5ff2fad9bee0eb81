//! Class names as programs write them into metadata: JSON, or the repr of a Python dictionary or list.

use std::collections::BTreeMap;

/// Names by class, of `["rose", "iris"]`, `{"0": "rose", "1": "iris"}`, `{0: 'rose', 1: "lady's slipper"}` or
/// `['rose', 'iris']`. `None` for anything else, and when a class between zero and the last has no name.
pub(super) fn parse(text: &str) -> Option<Vec<String>> {
    let mut reader = LiteralParser { rest: text.trim() };
    let names = if reader.skip('{') { reader.dictionary()? } else { reader.list()? };
    (reader.rest.is_empty() && !names.is_empty()).then_some(names)
}

/// What is left of the text.
struct LiteralParser<'t> {
    rest: &'t str,
}

impl LiteralParser<'_> {
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

    /// A string in either kind of quotes. Where JSON and Python escape the same, they do it alike.
    fn string(&mut self) -> Option<String> {
        let quote = self.rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let mut characters = self.rest[1..].char_indices();
        let mut text = String::new();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next()?.1 {
                    'b' => text.push('\u{8}'),
                    'f' => text.push('\u{c}'),
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    'x' => text.push(char::from_u32(hexadecimal(&mut characters, 2)?)?),
                    'u' => text.push(sixteen_bits(&mut characters)?),
                    'U' => text.push(char::from_u32(hexadecimal(&mut characters, 8)?)?),
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

/// A character of JSON's `\u`. Of those that take more than sixteen bits there are two, one after the other.
fn sixteen_bits(characters: &mut impl Iterator<Item = (usize, char)>) -> Option<char> {
    let first = hexadecimal(characters, 4)?;
    let second = match first {
        0xd800..0xdc00 => match [characters.next()?.1, characters.next()?.1] {
            ['\\', 'u'] => hexadecimal(characters, 4)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?,
            _ => return None,
        },
        _ => return char::from_u32(first),
    };
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + second)
}

fn hexadecimal(characters: &mut impl Iterator<Item = (usize, char)>, digits: usize) -> Option<u32> {
    let mut code: u32 = 0;
    for _ in 0..digits {
        code = code * 16 + characters.next()?.1.to_digit(16)?;
    }
    Some(code)
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
    fn every_escape_is_read() {
        // What JSON's own writer makes of these, what Python's `json.dumps` does, and what Python's `repr` does.
        let names = ["\u{8}\u{c}\n\r\t/\\\"\u{1}", "🌹"];
        assert_eq!(parse(&serde_json::to_string(&names).unwrap()).unwrap(), names);
        assert_eq!(parse(r#"["\b\f\n\r\t\/\\\"\u0001", "\ud83c\udf39"]"#).unwrap(), names);
        assert_eq!(parse(r#"['\x08\x0c\n\r\t/\\"\x01', '\U0001f339']"#).unwrap(), names);
        for text in [r"['\ud83c']", r"['\ud83c\ud83c']", r"['\udf39\ud83c']", r"['\U00110000']", r"['\x1']"] {
            assert_eq!(parse(text), None, "{text}");
        }
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
