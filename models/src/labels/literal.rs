//! JSON, and the repr of Python's dictionaries and lists, as programs write class names.

/// A value that is written out.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Text(String),
    /// A whole number from zero on.
    Number(usize),
    List(Vec<Literal>),
    /// In the order of the text. Numbers as keys are texts of digits here.
    Map(Vec<(String, Literal)>),
    /// Truth values, nothing, and other numbers.
    Other,
}

/// Lists in lists in lists that are read.
const DEEPEST: usize = 16;

/// A list or dictionary of JSON or Python. `None` for anything else, and for text behind it.
pub(super) fn parse(text: &str) -> Option<Literal> {
    let mut reader = LiteralParser { rest: text.trim() };
    let literal = reader.value(DEEPEST)?;
    let whole = reader.rest.is_empty() && matches!(literal, Literal::List(_) | Literal::Map(_));
    whole.then_some(literal)
}

/// The rest of the text.
struct LiteralParser<'t> {
    rest: &'t str,
}

impl LiteralParser<'_> {
    fn value(&mut self, depth: usize) -> Option<Literal> {
        let depth = depth.checked_sub(1)?;
        match self.rest.chars().next()? {
            '{' => self.map(depth),
            '[' => self.list(('[', ']'), depth),
            // A tuple.
            '(' => self.list(('(', ')'), depth),
            '"' | '\'' => self.string().map(Literal::Text),
            _ => self.word(),
        }
    }

    fn map(&mut self, depth: usize) -> Option<Literal> {
        self.skip('{').then_some(())?;
        let mut entries = Vec::new();
        while !self.skip('}') {
            let key = match self.value(1)? {
                Literal::Text(key) => key,
                Literal::Number(key) => key.to_string(),
                _ => return None,
            };
            self.skip(':').then_some(())?;
            entries.push((key, self.value(depth)?));
            self.separator('}')?;
        }
        Some(Literal::Map(entries))
    }

    fn list(&mut self, (open, close): (char, char), depth: usize) -> Option<Literal> {
        self.skip(open).then_some(())?;
        let mut values = Vec::new();
        while !self.skip(close) {
            values.push(self.value(depth)?);
            self.separator(close)?;
        }
        Some(Literal::List(values))
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

    /// A number, or one of the words of JSON and Python.
    fn word(&mut self) -> Option<Literal> {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+')))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        match word {
            "true" | "false" | "null" | "True" | "False" | "None" => Some(Literal::Other),
            _ if word.bytes().all(|byte| byte.is_ascii_digit()) => word.parse().ok().map(Literal::Number),
            _ => word.parse::<f64>().ok().map(|_| Literal::Other),
        }
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

    fn texts(names: &[&str]) -> Literal {
        Literal::List(names.iter().map(|&name| Literal::Text(name.to_owned())).collect())
    }

    #[test]
    fn json_and_python_are_read_alike() {
        for text in [r#"["rose", "colts' foot"]"#, r" ['rose', 'colts\x27 foot',] ", r#"('rose', "colts' foot")"#] {
            assert_eq!(parse(text), Some(texts(&["rose", "colts' foot"])), "{text}");
        }
        let map = |text: &str| match parse(text) {
            Some(Literal::Map(entries)) => entries,
            other => panic!("{other:?}"),
        };
        assert_eq!(map(r#"{0: 'rose'}"#), map(r#"{"0": "rose"}"#));
        assert_eq!(map(r#"{"a": [1, -2.5e3, true, None], "b": {}}"#)[1], ("b".to_owned(), Literal::Map(vec![])));
        assert_eq!(parse(r#"["lys \u00e9toil\u00e9"]"#), Some(texts(&["lys étoilé"])));
    }

    #[test]
    fn every_escape_is_read() {
        // What JSON's own writer makes of these, what Python's `json.dumps` does, and what Python's `repr` does.
        let names = ["\u{8}\u{c}\n\r\t/\\\"\u{1}", "🌹"];
        assert_eq!(parse(&serde_json::to_string(&names).unwrap()), Some(texts(&names)));
        assert_eq!(parse(r#"["\b\f\n\r\t\/\\\"\u0001", "\ud83c\udf39"]"#), Some(texts(&names)));
        assert_eq!(parse(r#"['\x08\x0c\n\r\t/\\"\x01', '\U0001f339']"#), Some(texts(&names)));
        for text in [r"['\ud83c']", r"['\ud83c\ud83c']", r"['\udf39\ud83c']", r"['\U00110000']", r"['\x1']"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn anything_else_is_not_guessed_at() {
        let deep = "[".repeat(100_000);
        for text in
            ["", "rose", "7", "'rose'", "['rose'", "{0 'rose'}", "['rose'] x", "[rose]", "{[]: 1}", r"['\", &deep]
        {
            assert_eq!(parse(text), None, "{}", &text[..text.len().min(20)]);
        }
    }
}
