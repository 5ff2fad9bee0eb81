//! JPEGs that are decoded at a fraction of their size.
//!
//! The expected pixels come from PIL's `draft`, through `models/reference/preprocess.py`.

use std::path::PathBuf;

use models::Preprocess;
use models::preprocess::{Decoding, ImageError, Limits, RgbImage, decode};
use serde::Deserialize;

/// The stated bound of scaled decoding: grey levels by which prepared pixels may differ from those of all pixels, on average over an
/// image, where twice the size remains that the image is resized to. Measured on photographs: see `docs/performance.md`.
const TOLERANCE: f64 = 1.0;

#[derive(Deserialize)]
struct Manifest {
    scaled: Vec<ScaledCase>,
}

#[derive(Deserialize)]
struct ScaledCase {
    source: String,
    expected: String,
    shorter_side: u32,
}

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/preprocess").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn scaled(shorter_side: u32) -> Preprocess {
    Preprocess { decoding: Decoding::Scaled { shorter_side }, ..Preprocess::torchvision(224, 224) }
}

#[test]
fn scaled_pictures_are_those_of_pils_draft() {
    let manifest: Manifest = serde_json::from_slice(&file("manifest.json")).expect("the reference script wrote it");
    assert_eq!(manifest.scaled.len(), 12);
    let limits = Limits::default();
    for ScaledCase { source, expected, shorter_side } in manifest.scaled {
        let image = scaled(shorter_side).decode(&file(&source), &limits).unwrap();
        let pils = decode(&file(&expected), &limits).unwrap();
        let sizes = [&image, &pils].map(|image: &RgbImage| (image.width(), image.height()));
        assert_eq!(sizes[0], sizes[1], "{source} with {shorter_side}");
        assert!(image.data() == pils.data(), "{source} with {shorter_side}: the pixels are not PIL's");
    }
}

#[test]
fn other_formats_and_limits_are_as_ever() {
    let limits = Limits::default();
    let whole = decode(&file("decode/rgb.png"), &limits).unwrap();
    assert_eq!(scaled(2).decode(&file("decode/rgb.png"), &limits).unwrap().data(), whole.data());
    // What the header says counts, not what would be decoded.
    let error = scaled(2).decode(&file("decode/scaled_444.jpg"), &Limits { max_width: 260, ..limits }).unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { width: 261, .. }), "{error}");
    let bytes = file("decode/scaled_444.jpg");
    let error = scaled(22).decode(&bytes[..bytes.len() / 2], &limits).unwrap_err();
    assert!(matches!(error, ImageError::Truncated { .. }), "{error}");
}

/// On real photographs, where there are some that are large enough.
#[test]
fn what_a_network_sees_differs_by_less_than_is_stated() {
    let Some(folder) = fixtures::real_data("imagenet/samples") else { return };
    // A quarter of what torchvision's preset takes, so that photographs of half a thousand pixels are large.
    let exact = Preprocess::torchvision(56, 56);
    let scaled = exact.scaled().unwrap();
    let mut compared = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let limits = Limits::default();
        let (Ok(whole), Ok(part)) = (exact.decode(&bytes, &limits), scaled.decode(&bytes, &limits)) else { continue };
        if part.width() == whole.width() {
            continue;
        }
        let [whole, part] =
            [(&exact, &whole), (&scaled, &part)].map(|(preprocess, image)| preprocess.fit(image, &limits).unwrap());
        let differences: f64 = whole.data().iter().zip(part.data()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
        let mean = differences / whole.data().len() as f64;
        assert!(mean < TOLERANCE, "{}: {mean:.2} grey levels", path.display());
        compared += 1;
    }
    assert!(compared > 20, "{compared} photographs are large enough");
}
