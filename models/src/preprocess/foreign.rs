//! What a file is, told by its first bytes: an image of a format that graft reads, or what the message names.

use super::{ImageError, ImageFormat};

/// How far into a file the marks of texts are looked for.
const TEXT_HEAD: usize = 1024;

/// How a file begins.
enum Mark {
    /// These bytes, from here on.
    At(usize, &'static [u8]),
    /// An ISO base media file with one of these brands (ISO/IEC 14496-12).
    Brand(&'static [&'static [u8; 4]]),
    /// A text that begins so, behind white space and a byte order mark.
    Text(&'static str),
    /// A text that begins so and has this a little later, in whatever case.
    Markup(&'static str, &'static str),
}

/// What such a file is.
enum Kind {
    /// An image, of this format.
    Image(&'static str),
    /// Anything else, with what to do about it.
    Other(&'static str, &'static str),
}

use Kind::{Image, Other};
use Mark::{At, Brand, Markup, Text};

const UNPACK: &str = "unpack it and send each image by itself";
const UNCOMPRESS: &str =
    "uncompress it and send the image as it is, without `Content-Encoding` too: images are compressed already";
const DECODE: &str = "decode it and send the bytes of the image file";
const RENDER: &str = "convert the page to PNG or JPEG";
const FRAME: &str = "send one of its frames as PNG or JPEG";
const SAVE: &str = "the image was probably not found where it was fetched from; send the image file itself";
const STORAGE: &str = "it was probably not found in the storage that it was fetched from; send the image file itself";
const FILE: &str = "send the image file itself";

/// Every kind, by its own mark; those that another row contains come first.
const FOREIGN: &[(Mark, Kind)] = &[
    (At(0, &[0x1f, 0x8b]), Other("gzip data", UNCOMPRESS)),
    (At(0, b"\x28\xb5\x2f\xfd"), Other("zstd data", UNCOMPRESS)),
    (At(0, b"\xfd7zXZ\0"), Other("xz data", UNCOMPRESS)),
    (At(0, b"BZh"), Other("bzip2 data", UNCOMPRESS)),
    (At(0, b"PK\x03\x04"), Other("a zip archive", UNPACK)),
    (At(0, b"PK\x05\x06"), Other("a zip archive", UNPACK)),
    (At(0, b"7z\xbc\xaf\x27\x1c"), Other("a 7-Zip archive", UNPACK)),
    (At(0, b"Rar!\x1a\x07"), Other("a RAR archive", UNPACK)),
    (At(257, b"ustar"), Other("a tar archive", UNPACK)),
    (At(0, b"%PDF-"), Other("a PDF document", RENDER)),
    (At(0, b"%!PS"), Other("a PostScript document", RENDER)),
    (Brand(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]), Image("HEIC")),
    (Brand(&[b"avif", b"avis"]), Image("AVIF")),
    (Brand(&[b"crx "]), Image("camera raw (CR3)")),
    (Brand(&[]), Other("a video", FRAME)),
    (At(0, b"\x1a\x45\xdf\xa3"), Other("a video", FRAME)),
    (At(8, b"AVI "), Other("a video", FRAME)),
    (At(8, b"WAVE"), Other("a sound", FILE)),
    (At(0, b"II*\0"), Image("TIFF")),
    (At(0, b"MM\0*"), Image("TIFF")),
    (At(0, b"II+\0"), Image("TIFF")),
    (At(0, b"MM\0+"), Image("TIFF")),
    (At(0, b"IIU\0"), Image("camera raw (RW2)")),
    (At(0, b"IIRO"), Image("camera raw (ORF)")),
    (At(0, b"FUJIFILM"), Image("camera raw (RAF)")),
    (At(0, b"\xff\x0a"), Image("JPEG XL")),
    (At(4, b"JXL \r\n"), Image("JPEG XL")),
    (At(4, b"jP  \r\n"), Image("JPEG 2000")),
    (At(0, b"\xff\x4f\xff\x51"), Image("JPEG 2000")),
    (At(0, b"8BPS"), Image("Photoshop")),
    (At(0, b"\0\0\x01\0"), Image("icon")),
    // A Targa file without a palette; a cursor's file has a count there.
    (At(0, b"\0\0\x02\0\0\0\0\0"), Image("Targa")),
    (At(0, b"\0\0\x0a\0\0\0\0\0"), Image("Targa")),
    (At(0, b"\0\0\x02\0"), Image("cursor")),
    (At(0, b"P1\n"), Image("PNM")),
    (At(0, b"P2\n"), Image("PNM")),
    (At(0, b"P3\n"), Image("PNM")),
    (At(0, b"P4\n"), Image("PNM")),
    (At(0, b"P5\n"), Image("PNM")),
    (At(0, b"P6\n"), Image("PNM")),
    (At(0, b"P7\n"), Image("PAM")),
    (At(0, b"qoif"), Image("QOI")),
    (At(0, b"DDS "), Image("DDS")),
    (At(0, b"farbfeld"), Image("farbfeld")),
    (At(0, b"\x76\x2f\x31\x01"), Image("OpenEXR")),
    (At(0, b"#?RADIANCE"), Image("Radiance HDR")),
    (At(0, b"\x8aMNG"), Image("MNG")),
    (At(128, b"DICM"), Image("DICOM")),
    (At(0, b"\xd7\xcd\xc6\x9a"), Image("WMF")),
    (At(0, b"\x93NUMPY"), Other("a NumPy array", "save it as PNG, as `PIL.Image.fromarray` does, and send that")),
    (At(0, b"\x89HDF"), Other("an HDF5 file", FILE)),
    (Text("data:image/"), Other("a data URI", DECODE)),
    // What the signatures of JPEG, PNG, GIF and WebP become.
    (Text("/9j/"), Other("a JPEG as base64 text", DECODE)),
    (Text("iVBORw0KGgo"), Other("a PNG as base64 text", DECODE)),
    (Text("R0lGODlh"), Other("a GIF as base64 text", DECODE)),
    (Text("R0lGODdh"), Other("a GIF as base64 text", DECODE)),
    (Text("UklGR"), Other("a WebP as base64 text", DECODE)),
    (Markup("<svg", ""), Image("SVG")),
    (Markup("<?xml", "<svg"), Image("SVG")),
    (Markup("<!doctype svg", ""), Image("SVG")),
    (Markup("<!doctype html", ""), Other("an HTML page", SAVE)),
    (Markup("<html", ""), Other("an HTML page", SAVE)),
    (Markup("<?xml", "<html"), Other("an HTML page", SAVE)),
    (Markup("<?xml", "<Error"), Other("an XML document", STORAGE)),
    (Markup("<?xml", ""), Other("an XML document", FILE)),
    (Markup("{", "\""), Other("JSON", "send the bytes of the image file, neither in a field nor as base64")),
    (Markup("[\"", ""), Other("JSON", "send the bytes of the image file, neither in a field nor as base64")),
    (Text("version https://git-lfs"), Other("a pointer of Git LFS", "fetch the file itself with `git lfs pull`")),
    (Markup("--", "content-disposition: form-data"), Other("a form", "send forms to `POST /classify`")),
];

impl ImageFormat {
    /// Tells the format by the file's first bytes.
    ///
    /// # Errors
    /// [`ImageError`] for bytes of no image, or of one in another format.
    pub fn of(bytes: &[u8]) -> Result<Self, ImageError> {
        use image::ImageFormat as Known;
        if bytes.is_empty() {
            return Err(ImageError::Empty);
        }
        match image::guess_format(bytes) {
            Ok(Known::Bmp) => Ok(Self::Bmp),
            Ok(Known::Gif) => Ok(Self::Gif),
            Ok(Known::Jpeg) => Ok(Self::Jpeg),
            Ok(Known::Png) => Ok(Self::Png),
            Ok(Known::WebP) => Ok(Self::WebP),
            _ => Err(refusal(bytes)),
        }
    }
}

/// Why a file that begins like none of the formats that are read is refused.
fn refusal(bytes: &[u8]) -> ImageError {
    match FOREIGN.iter().find(|(mark, _)| mark.is_on(bytes)) {
        Some((_, Image(name))) => ImageError::UnsupportedFormat { name },
        Some((_, Other(name, advice))) => ImageError::OtherFile { name, advice },
        None => ImageError::NotAnImage,
    }
}

impl Mark {
    fn is_on(&self, bytes: &[u8]) -> bool {
        match self {
            At(offset, mark) => bytes.get(*offset..).is_some_and(|rest| rest.starts_with(mark)),
            Brand(brands) => {
                let brand = bytes.get(8..12).filter(|_| bytes.get(4..8) == Some(b"ftyp"));
                brand.is_some_and(|brand| brands.is_empty() || brands.iter().any(|known| brand == *known))
            }
            Text(start) => text(bytes).starts_with(start.as_bytes()),
            Markup(start, within) => {
                let head = text(bytes).to_ascii_lowercase();
                let within = within.to_ascii_lowercase();
                let has = within.is_empty() || head.windows(within.len()).any(|part| part == within.as_bytes());
                head.starts_with(start.as_bytes()) && has
            }
        }
    }
}

/// The beginning of a text, without a byte order mark and white space.
fn text(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    &bytes[..bytes.len().min(TEXT_HEAD)]
}
