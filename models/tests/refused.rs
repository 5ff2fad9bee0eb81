//! Files that are no images or labels, or damaged, are refused in our words and called what they are.

use std::fs;
use std::path::Path;

use fixtures::words::{damaged, foreign_words};
use models::Labels;
use models::preprocess::{Limits, decode, probe};

/// The first bytes are those of the formats' specifications.
#[test]
fn what_is_no_image_is_called_what_it_is() {
    const SUPPORTED: &str = "convert it to one of: bmp, gif, jpeg, png, webp";
    let tar = [vec![b'a'; 257], b"ustar\x0000".to_vec()].concat();
    let form = b"--x\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\n";
    let cases: [(&[u8], &str, &str); 36] = [
        (b"", "the image is empty (0 bytes)", "send the contents of an image file"),
        (b"hello", "not an image", "send one of these formats: bmp, gif, jpeg, png, webp"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "not an image but gzip data", "without `Content-Encoding`"),
        (b"\x28\xb5\x2f\xfd\x04", "not an image but zstd data", "uncompress it"),
        (b"BZh91AY&SY", "not an image but bzip2 data", "uncompress it"),
        (b"PK\x03\x04\x14\0", "not an image but a zip archive", "unpack it"),
        (&tar, "not an image but a tar archive", "unpack it"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "not an image but a 7-Zip archive", "unpack it"),
        (b"Rar!\x1a\x07\x01\0", "not an image but a RAR archive", "unpack it"),
        (b"%PDF-1.7", "not an image but a PDF document", "convert the page to PNG or JPEG"),
        (b"\0\0\0\x20ftypheic\0\0\0\0", "HEIC images are not supported", SUPPORTED),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "HEIC images are not supported", SUPPORTED),
        (b"\0\0\0\x20ftypavif\0\0\0\0", "AVIF images are not supported", SUPPORTED),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "not an image but a video", "send one of its frames"),
        (b"RIFF\x24\0\0\0AVI LIST", "not an image but a video", "send one of its frames"),
        (b"II*\0\x08\0\0\0", "TIFF images are not supported", SUPPORTED),
        (b"MM\0*\0\0\0\x08", "TIFF images are not supported", SUPPORTED),
        (b"\xff\x0a\xfa\x1f", "JPEG XL images are not supported", SUPPORTED),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 images are not supported", SUPPORTED),
        (b"8BPS\0\x01", "Photoshop images are not supported", SUPPORTED),
        (b"\0\0\x01\0\x01\0", "icon images are not supported", SUPPORTED),
        (b"\0\0\x02\0\x01\0", "cursor images are not supported", SUPPORTED),
        (b"\0\0\x02\0\0\0\0\0\0\0\0\0", "Targa images are not supported", SUPPORTED),
        (b"P6\n2 2\n255\n", "PNM images are not supported", SUPPORTED),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG images are not supported", SUPPORTED),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a --><svg/>", "SVG images are not supported", SUPPORTED),
        (b"\n<!DOCTYPE html><html></html>", "not an image but an HTML page", "send the image file itself"),
        (b"<html><body>404</body></html>", "not an image but an HTML page", "was probably not found"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey", "not an image but an XML document", "not found"),
        (b"{\"image\": \"/9j/4AAQ\"}", "not an image but JSON", "neither in a field nor as base64"),
        (b"[\"/9j/4AAQ\"]", "not an image but JSON", "neither in a field nor as base64"),
        (b"data:image/png;base64,iVBORw0KGgo", "not an image but a data URI", "decode it"),
        (b"/9j/4AAQSkZJRgABAQ", "not an image but a JPEG as base64 text", "decode it"),
        (b"iVBORw0KGgoAAAANSUhEUg", "not an image but a PNG as base64 text", "decode it"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "not an image but a pointer of Git LFS", "git lfs pull"),
        (form, "not an image but a form", "`POST /classify`"),
    ];
    for (bytes, what, advice) in cases {
        let message = decode(bytes, &Limits::default()).expect_err("no image").to_string();
        assert!(message.starts_with(&format!("{what}; ")) && message.contains(advice), "{message}");
        assert_eq!(probe(bytes, &Limits::default()).expect_err("no image").to_string(), message);
    }
}

#[test]
fn damaged_images_of_every_kind_are_refused_in_our_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/preprocess/decode");
    let mut refused = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.display().to_string().ends_with(".expected.png") {
            continue;
        }
        for bytes in damaged(&fs::read(&path).unwrap()) {
            let limits = Limits::default();
            for error in [probe(&bytes, &limits).err(), decode(&bytes, &limits).err()].into_iter().flatten() {
                refused += 1;
                let message = error.to_string();
                assert_eq!(foreign_words(&message), [""; 0], "{}: {message}", path.display());
            }
        }
    }
    assert!(refused > 1000, "only {refused} times was a damaged file refused");
}

#[test]
fn label_files_that_are_none_are_refused_in_our_words() {
    let files: [&[u8]; 10] = [
        b"",
        b"\n\n",
        b"rose\n\niris",
        b"[\"rose\", ",
        b"{0: 'rose', 2: 'iris'}",
        b"{\"rose\": 0.5}",
        b"[[[[[[",
        b"\xff\xfer\0o\0",
        b"\xfcbel\n",
        b"\x89PNG\r\n\x1a\n\0\0",
    ];
    for file in files {
        let message = Labels::parse_bytes(file).unwrap_err().to_string();
        assert_eq!(foreign_words(&message), [""; 0], "{}: {message}", file.escape_ascii());
    }
}
