//! Findings in folders that have them.

use models::preprocess::{ColorMode, Filter, Limits, Region, decode, resample, test_card};

use super::{CopyKind, Diagnosis, ImageGroup};
use crate::data::testing::write;
use crate::data::{BadFilePolicy, DatasetSource, Layout};

/// An image file of the test card, resampled to another size and saved again.
fn resized(card: &[u8], (height, width): (u32, u32)) -> Vec<u8> {
    let image = decode(card, &Limits::default()).unwrap();
    let whole = Region { left: 0.0, top: 0.0, width: image.width().into(), height: image.height().into() };
    bmp(&resample(&image, whole, (height, width), Filter::Bicubic).unwrap())
}

/// A 24-bit BMP; the width has to be a multiple of four.
fn bmp(image: &models::preprocess::RgbImage) -> Vec<u8> {
    let (width, height) = (image.width(), image.height());
    let pixels = width * height * 3;
    let mut file = b"BM".to_vec();
    for word in [54 + pixels, 0, 54, 40, width, height, 1 | 24 << 16, 0, pixels, 0, 0, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    let rows: Vec<&[u8]> = image.data().chunks(3 * width as usize).collect();
    for row in rows.into_iter().rev() {
        file.extend(row.chunks(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]));
    }
    file
}

fn diagnosis(folder: &std::path::Path) -> Diagnosis {
    let dataset = DatasetSource::new(Layout::Auto, folder).open().unwrap();
    let inspection = dataset.inspect(BadFilePolicy::Refuse, &Limits::default()).unwrap();
    Diagnosis::new(&dataset, &inspection, |sample| sample.name_below(folder))
}

#[test]
fn copies_are_found_by_their_bytes_and_by_their_looks() {
    let folder = tempfile::tempdir().unwrap();
    let card = |seed| test_card(seed, 160, 120);
    let files = [
        ("train/a/1.png", card(1)),
        ("train/a/2.png", card(2)),
        ("train/a/3.png", card(3)),
        ("train/b/4.png", card(4)),
        ("train/b/again.png", card(1)),
        ("train/b/5.png", card(5)),
        ("test/a/6.png", card(6)),
        ("test/b/half.bmp", resized(&card(5), (60, 80))),
        ("test/b/7.png", card(7)),
    ];
    write(folder.path(), files);
    let copies = diagnosis(folder.path()).copies;
    let found: Vec<_> = copies
        .iter()
        .map(|group| {
            let images: Vec<&str> = group.images.iter().map(|copy| copy.image.as_str()).collect();
            (group.kind, group.across_classes, group.across_subsets, images)
        })
        .collect();
    let expected = [
        (CopyKind::Exact, true, false, vec!["train/a/1.png", "train/b/again.png"]),
        (CopyKind::Similar, false, true, vec!["train/b/5.png", "test/b/half.bmp"]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn tiny_images_and_classes_of_very_different_size_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..10 {
        write(folder.path(), [(&*format!("many/{number}.png"), test_card(number, 64, 64))]);
    }
    let card = |seed| test_card(seed, 64, 64);
    write(folder.path(), [("few/1.png", card(20)), ("few/2.png", card(21)), ("few/3.png", test_card(22, 40, 31))]);
    let Diagnosis { tiny, copies, imbalance, .. } = diagnosis(folder.path());
    let tiny: Vec<_> = tiny.iter().map(|image| (&*image.image, image.width, image.height)).collect();
    assert_eq!((tiny, copies.len()), (vec![("few/3.png", 40, 31)], 0));
    let imbalance = imbalance.unwrap();
    assert_eq!((&*imbalance.largest, imbalance.largest_images), ("many", 10));
    assert_eq!((&*imbalance.smallest, imbalance.smallest_images), ("few", 3));
}

#[test]
fn turned_images_unusual_colors_and_stray_folders_are_named() {
    let reference = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/data/preprocess/decode");
    let reference = |name: &str| std::fs::read(reference.join(name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("a/1.png", test_card(1, 40, 40)),
        ("a/2.png", test_card(2, 40, 40)),
        ("a/turned.jpg", reference("orientation_6.jpg")),
        ("b/3.png", test_card(3, 40, 40)),
        ("b/inks.jpg", reference("cmyk.jpg")),
        ("b/deep.png", reference("rgb_16.png")),
        ("notes/plan.txt", b"what we want to do".to_vec()),
        ("notes/costs.txt", b"what it costs".to_vec()),
    ];
    write(folder.path(), files);
    let storage = diagnosis(folder.path()).storage;
    assert_eq!(storage.turned, ImageGroup { count: 1, examples: vec!["a/turned.jpg".to_owned()] });
    assert_eq!(storage.deep.examples, ["b/deep.png"]);
    let modes: Vec<_> = storage.modes.iter().map(|group| (group.mode, group.images.count)).collect();
    assert_eq!(modes, [(ColorMode::Rgb, 5), (ColorMode::Cmyk, 1)]);
    let stray: Vec<_> = storage.stray_folders.iter().map(|stray| (stray.folder.as_str(), stray.entries)).collect();
    assert!(matches!(stray[..], [(name, 2)] if name.ends_with("notes")), "{stray:?}");
}
