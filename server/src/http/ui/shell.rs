//! The page before its scripts run, in the language of the reader.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::{HeaderMap, header};

use super::assets::{ASSETS, Asset, text};
use crate::report::escaped;

/// The scripts that the first page needs; named in it, so that they come at once and not one after another.
const FIRST: &[&str] = &[
    "api.js",
    "dom.js",
    "key.js",
    "notice.js",
    "pictures.js",
    "rooms/try.js",
    "text.js",
    "try/answer.js",
    "try/camera.js",
];
/// The cookie of a choice that the reader has made on the page.
const COOKIE: &str = "graft_language";

/// A language that the page is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

impl Language {
    /// The one that the reader has chosen, or else prefers (RFC 9110, section 12.5.4).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let cookies = values(header::COOKIE).flat_map(|value| value.split(';'));
        let mut chosen = cookies.filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='));
        if let Some(language) = chosen.find_map(Self::named) {
            return language;
        }
        let ranges = values(header::ACCEPT_LANGUAGE).flat_map(|value| value.split(','));
        let mut wanted: Vec<(f32, Self)> = ranges
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let language = Self::named(parts.next()?.split('-').next()?)?;
                let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
                Some((quality.unwrap_or(1.0), language))
            })
            .collect();
        wanted.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        wanted.first().map_or(Self::English, |(_, language)| *language)
    }

    fn named(code: &str) -> Option<Self> {
        match code.to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "zh" => Some(Self::Chinese),
            _ => None,
        }
    }

    /// Its code, as in the attribute `lang`.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// The page in it.
    pub(super) fn shell(self) -> &'static Asset {
        static ENGLISH: LazyLock<Asset> = LazyLock::new(|| render(Language::English));
        static CHINESE: LazyLock<Asset> = LazyLock::new(|| render(Language::Chinese));
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }

    fn texts(self) -> BTreeMap<String, String> {
        serde_json::from_str(text(&format!("strings/{}.json", self.code()))).expect("a test reads it")
    }
}

fn render(language: Language) -> Asset {
    let (assets, texts) = (ASSETS.address(), language.texts());
    let preloads: Vec<String> =
        FIRST.iter().map(|file| format!("<link rel=\"modulepreload\" href=\"{assets}/{file}\">")).collect();
    let page = text("index.html")
        .replace("{{assets}}", &assets)
        .replace("{{lang}}", language.code())
        .replace("{{preloads}}", &preloads.join("\n"));
    let page = texts.iter().fold(page, |page, (key, text)| page.replace(&format!("{{{{{key}}}}}"), &escaped(text)));
    Asset::new("text/html; charset=utf-8", page.into_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn language(headers: &[(header::HeaderName, &'static str)]) -> Language {
        let pairs = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        Language::of(&pairs.collect())
    }

    #[test]
    fn the_page_is_in_the_language_that_the_reader_prefers() {
        use Language::{Chinese, English};
        for (accept, expected) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Chinese),
            ("de,en;q=0.7,zh;q=0.3", English),
            ("fr;q=1, zh-TW;q=0.5, en;q=0.2", Chinese),
            ("de-CH", English),
            ("", English),
        ] {
            assert_eq!(language(&[(header::ACCEPT_LANGUAGE, accept)]), expected, "{accept}");
        }
        let accept = (header::ACCEPT_LANGUAGE, "zh");
        assert_eq!(language(&[accept.clone(), (header::COOKIE, "a=b; graft_language=en")]), English);
        assert_eq!(language(&[accept, (header::COOKIE, "graft_language=xx")]), Chinese);
    }

    #[test]
    fn nothing_is_left_open_in_the_page() {
        for language in [Language::English, Language::Chinese] {
            let page = language.shell().text();
            assert!(!page.contains("{{"), "{page}");
            assert!(page.starts_with("<!doctype html>\n<html lang=\""));
            // A strict policy forbids both.
            assert!(!page.contains("style=") && !page.contains("<script>"));
        }
        assert!(Language::Chinese.shell().text().contains("跳到内容"));
    }

    #[test]
    fn both_languages_have_every_text() {
        let forms = |language: Language| {
            let texts = language.texts();
            assert!(texts.values().all(|text| !text.trim().is_empty()));
            // Chinese has one form for all numbers.
            texts.into_keys().filter(|key| !key.ends_with(".one")).collect::<BTreeSet<_>>()
        };
        assert_eq!(forms(Language::English), forms(Language::Chinese));
    }

    #[test]
    fn the_first_page_is_below_100_kilobytes_over_the_wire() {
        let files = FIRST.iter().chain(&["app.js", "style.css", "strings/en.json", "icon.svg"]);
        let version = ASSETS.address().rsplit('/').next().unwrap().to_owned();
        let sizes = files.map(|file| ASSETS.get(&version, file).unwrap().compressed());
        let total: usize = sizes.sum::<usize>() + Language::English.shell().compressed();
        assert!(total < 100_000, "{total} bytes");
    }
}
