//! The files of the page, compiled into the program.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::http::{HeaderMap, header};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// All files, compressed when the first is asked for.
pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(Assets::new);

/// Hexadecimal digits of the checksum in the addresses.
const DIGITS: usize = 16;

macro_rules! files {
    ($($name:literal)*) => {
        /// Every file by its path.
        const FILES: &[(&str, &[u8])] = &[$(($name, include_bytes!(concat!("assets/", $name)))),*];
    };
}

files! {
    "api.js"
    "app.js"
    "chart.js"
    "data/adding.js"
    "data/board.js"
    "data/column.js"
    "data/dropped.js"
    "data/findings.js"
    "data/thumbnails.js"
    "data/tus.js"
    "data/viewer.js"
    "data/zip.js"
    "dom.js"
    "download.js"
    "events.js"
    "icon.svg"
    "index.html"
    "key.js"
    "look/answers.js"
    "look/matrix.js"
    "look/report.js"
    "notice.js"
    "pictures.js"
    "rooms/data.js"
    "rooms/feedback.js"
    "rooms/look.js"
    "rooms/serve.js"
    "rooms/train.js"
    "rooms/try.js"
    "serve/add.js"
    "serve/shadow.js"
    "serve/snippets.js"
    "serve/traffic.js"
    "serve/versions.js"
    "strings/en.json"
    "strings/zh.json"
    "style.css"
    "text.js"
    "train/form.js"
    "train/job.js"
    "train/options.js"
    "try/answer.js"
    "try/camera.js"
}

/// The files under one address, which changes whenever one of them does.
pub(super) struct Assets {
    version: String,
    files: BTreeMap<&'static str, Asset>,
}

/// A file, and the same compressed.
pub(super) struct Asset {
    pub(super) media_type: &'static str,
    plain: Vec<u8>,
    gzip: Vec<u8>,
}

/// The bytes of a file as they go to a client.
pub(super) enum Encoded {
    Gzip(&'static [u8]),
    Plain(&'static [u8]),
}

impl Assets {
    fn new() -> Self {
        let checksum = FILES.iter().fold(Sha256::new(), |sum, (name, bytes)| {
            sum.chain_update(name.as_bytes())
                .chain_update([0])
                .chain_update(bytes.len().to_le_bytes())
                .chain_update(bytes)
        });
        let mut version = hex::encode(checksum.finalize());
        version.truncate(DIGITS);
        let files = FILES.iter().map(|(name, bytes)| (*name, Asset::new(media_type(name), bytes.to_vec()))).collect();
        Self { version, files }
    }

    /// The file of this path, if the page is of this program.
    pub(super) fn get(&self, version: &str, path: &str) -> Option<&Asset> {
        self.files.get(path).filter(|_| version == self.version)
    }

    /// The address that the paths of files go on from.
    pub(super) fn address(&self) -> String {
        format!("/ui/{}", self.version)
    }
}

impl Asset {
    pub(super) fn new(media_type: &'static str, plain: Vec<u8>) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let written = encoder.write_all(&plain).and_then(|()| encoder.finish());
        let gzip = written.expect("writing to memory does not fail");
        Self { media_type, plain, gzip }
    }

    /// The bytes that a client takes (RFC 9110, section 12.5.3).
    pub(super) fn encoded(&'static self, headers: &HeaderMap) -> Encoded {
        let values = headers.get_all(header::ACCEPT_ENCODING);
        let takes_gzip =
            values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|range| {
                let mut parts = range.split(';').map(str::trim);
                let gzip = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case("gzip"));
                gzip && !parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse::<f32>() == Ok(0.0)))
            });
        if takes_gzip { Encoded::Gzip(&self.gzip) } else { Encoded::Plain(&self.plain) }
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.plain).unwrap()
    }

    #[cfg(test)]
    pub(super) fn compressed(&self) -> usize {
        self.gzip.len()
    }
}

/// The text of a file of this program.
pub(super) fn text(name: &str) -> &'static str {
    let bytes = FILES.iter().find(|(file, _)| *file == name).map(|(_, bytes)| *bytes);
    bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).expect("the file is in the list and is text")
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn walk(folder: &Path, above: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{above}{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_in_the_program() {
        let mut found = BTreeSet::new();
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/ui/assets"), "", &mut found);
        let listed: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(listed, found);
    }

    #[test]
    fn a_file_is_only_there_under_the_address_of_this_program() {
        let version = ASSETS.version.clone();
        assert_eq!(ASSETS.address(), format!("/ui/{version}"));
        assert_eq!(version.len(), 16);
        assert!(ASSETS.get(&version, "app.js").is_some());
        assert!(ASSETS.get("0000000000000000", "app.js").is_none(), "an older page's");
        assert!(ASSETS.get(&version, "../assets.rs").is_none());
    }

    #[test]
    fn gzip_goes_to_clients_that_take_it() {
        let asset = ASSETS.get(&ASSETS.version, "style.css").unwrap();
        let sent = |accept: &str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accept.parse().unwrap())]);
            matches!(asset.encoded(&headers), Encoded::Gzip(_))
        };
        for (accept, gzip) in
            [("gzip, deflate, br, zstd", true), ("GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false), ("", false)]
        {
            assert_eq!(sent(accept), gzip, "{accept}");
        }
        assert!(matches!(asset.encoded(&HeaderMap::new()), Encoded::Plain(_)));
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*asset.gzip), &mut text).unwrap();
        assert_eq!(text, asset.text());
    }
}
