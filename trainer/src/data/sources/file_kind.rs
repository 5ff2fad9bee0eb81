//! Whether a file is a picture: by its ending, and where that says nothing, by its first bytes.

use super::content::Content;

/// What a file is, as far as a data set asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum FileKind {
    /// A picture in a format that the decoder reads.
    Picture,
    /// A picture in another format, with the format's name.
    ForeignPicture(&'static str),
    /// A table, as CSV, TSV or lines of JSON.
    Table,
    /// Anything else.
    Other,
}

/// Endings of the formats that the decoder reads.
const PICTURES: [&str; 13] =
    ["jpg", "jpeg", "jpe", "jfif", "jif", "pjpeg", "pjp", "png", "gif", "bmp", "dib", "webp", "apng"];
const TABLES: [&str; 3] = ["csv", "tsv", "jsonl"];
/// Endings of formats that the decoder does not read.
const FOREIGN: [(&str, &str); 28] = [
    ("tif", "TIFF"),
    ("tiff", "TIFF"),
    ("heic", "HEIC"),
    ("heif", "HEIF"),
    ("avif", "AVIF"),
    ("jxl", "JPEG XL"),
    ("jp2", "JPEG 2000"),
    ("j2k", "JPEG 2000"),
    ("jpx", "JPEG 2000"),
    ("psd", "Photoshop"),
    ("svg", "SVG"),
    ("ico", "an icon"),
    ("tga", "Targa"),
    ("ppm", "PPM"),
    ("pgm", "PGM"),
    ("pbm", "PBM"),
    ("pnm", "PNM"),
    ("exr", "OpenEXR"),
    ("hdr", "Radiance HDR"),
    ("dcm", "DICOM"),
    ("dng", "a camera's raw format"),
    ("cr2", "a camera's raw format"),
    ("cr3", "a camera's raw format"),
    ("nef", "a camera's raw format"),
    ("arw", "a camera's raw format"),
    ("orf", "a camera's raw format"),
    ("rw2", "a camera's raw format"),
    ("raf", "a camera's raw format"),
];
/// Endings of files that are certainly no pictures, and are not opened to find out.
const OTHERS: [&str; 31] = [
    "txt", "md", "rst", "html", "htm", "pdf", "doc", "docx", "xls", "xlsx", "json", "xml", "yaml", "yml", "toml", "py",
    "ipynb", "m", "sh", "mat", "npy", "npz", "pkl", "h5", "onnx", "zip", "tar", "gz", "mp4", "db", "log",
];

impl FileKind {
    /// By the file's name, and for endings that say nothing by its first bytes. A file that cannot be read is what its
    /// name says.
    pub(super) fn of(name: &str, content: &Content) -> Self {
        let ending = name.rsplit_once('.').map_or(String::new(), |(_, ending)| ending.to_ascii_lowercase());
        let is = |endings: &[&str]| endings.contains(&ending.as_str());
        if is(&PICTURES) {
            return Self::Picture;
        }
        if is(&TABLES) {
            return Self::Table;
        }
        if is(&OTHERS) {
            return Self::Other;
        }
        let named = FOREIGN.iter().find(|(known, _)| ending == *known).map(|(_, format)| *format);
        match (content.head::<12>(), named) {
            (Ok(head), _) if is_readable(&head) => Self::Picture,
            (_, Some(format)) => Self::ForeignPicture(format),
            _ => Self::Other,
        }
    }

    /// Whether a name is a picture's, in whatever format.
    pub(super) fn is_picture_name(name: &str) -> bool {
        let ending = name.rsplit_once('.').map_or(String::new(), |(_, ending)| ending.to_ascii_lowercase());
        PICTURES.contains(&ending.as_str()) || FOREIGN.iter().any(|(known, _)| ending == *known)
    }
}

/// By the signatures of JPEG, PNG, GIF, WebP and BMP.
fn is_readable(head: &[u8]) -> bool {
    match head {
        [0xff, 0xd8, 0xff, ..] | [0x89, b'P', b'N', b'G', ..] | [b'G', b'I', b'F', b'8', ..] => true,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => true,
        // The four reserved bytes of a BMP are zero, which keeps out texts that begin with these letters.
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => true,
        _ => false,
    }
}
