//! Every operation against torchvision and PIL, on what trainer/reference/augment.py wrote; the random parts by hand.

use std::collections::HashMap;

use models::preprocess::{Crop, Filter, Resize};
use serde::Deserialize;

use super::affine::{Drawing, rotate, shear_x, shear_y, translate};
use super::geometry::{Window, mirrored, padded_crop, resized_crop, upside_down};
use super::rand_augment::OPERATIONS;
use super::*;

#[derive(Deserialize)]
struct Reference {
    images: HashMap<String, Picture>,
    magnitudes: HashMap<String, HashMap<u32, f64>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Picture {
    width: u32,
    height: u32,
    pixels: String,
}

#[derive(Deserialize)]
struct Case {
    image: String,
    operation: String,
    parameter: f64,
    result: Picture,
}

impl Picture {
    fn image(&self) -> RgbImage {
        let digits = self.pixels.as_bytes().as_chunks::<2>().0;
        let bytes = digits.iter().map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap());
        RgbImage::new(self.width, self.height, bytes.collect()).unwrap()
    }
}

static LIMITS: std::sync::LazyLock<Limits> = std::sync::LazyLock::new(Limits::default);
const FILL: [u8; 3] = [124, 116, 104];

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../../tests/data/augment.json")).unwrap()
}

#[test]
fn every_operation_gives_the_pixels_of_torchvision() {
    let reference = reference();
    let mut failures = Vec::new();
    for case in &reference.cases {
        let (found, expected) = (apply(case, &reference.images[&case.image].image()), case.result.image());
        let different = found.data().iter().zip(expected.data()).filter(|(a, b)| a != b).count();
        if (found.width(), found.height()) != (expected.width(), expected.height()) || different > 0 {
            failures.push(format!("{} {} of {}: {different} levels", case.operation, case.parameter, case.image));
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), reference.cases.len(), failures.join("\n"));
}

fn apply(case: &Case, image: &RgbImage) -> RgbImage {
    let p = case.parameter;
    let drawing = |interpolation| Drawing { interpolation, fill: FILL };
    let (nearest, bilinear) = (drawing(Interpolation::Nearest), drawing(Interpolation::Bilinear));
    let (width, height) = (image.width(), image.height());
    let result = match case.operation.as_str() {
        "brightness" => color::brightness(image, p),
        "contrast" => color::contrast(image, p),
        "saturation" => color::saturation(image, p),
        "sharpness" => color::sharpness(image, p),
        "hue" => color::hue(image, p),
        "posterize" => levels::posterize(image, p as u32),
        "solarize" => levels::solarize(image, p),
        "autocontrast" => levels::autocontrast(image),
        "equalize" => levels::equalize(image),
        "rotate-nearest" => rotate(image, p, nearest),
        "rotate-bilinear" => rotate(image, p, bilinear),
        "shear-x" => shear_x(image, p, nearest),
        "shear-y" => shear_y(image, p, nearest),
        "translate-x" => translate(image, (p as i32, 0), nearest),
        "translate-y" => translate(image, (0, p as i32), nearest),
        "mirrored" => mirrored(image),
        "upside-down" => upside_down(image),
        "resized-crop" => {
            resized_crop(image, Window { left: 3, top: 2, width: 6, height: 5 }, (8, 8), Filter::Bilinear)
        }
        "padded-crop" => padded_crop(image, 4, Window { left: 1, top: 6, width, height }, FILL),
        other => panic!("the test knows no operation {other}"),
    };
    result.unwrap()
}

#[test]
fn magnitudes_are_those_of_torchvision() {
    let magnitudes = reference().magnitudes;
    let names = [
        "Identity",
        "ShearX",
        "ShearY",
        "TranslateX",
        "TranslateY",
        "Rotate",
        "Brightness",
        "Color",
        "Contrast",
        "Sharpness",
        "Posterize",
        "Solarize",
        "AutoContrast",
        "Equalize",
    ];
    for (operation, name) in OPERATIONS.into_iter().zip(names) {
        for (&bin, &expected) in &magnitudes[name] {
            let found = operation.magnitude(bin, (64, 48));
            // torchvision's are f32: six digits.
            assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{name} {bin}: {found}, torchvision {expected}");
        }
    }
}

/// An image of which every pixel is another.
fn numbered(width: u32, height: u32) -> RgbImage {
    let pixels = (0..width * height).flat_map(|pixel| [pixel as u8, (pixel >> 8) as u8, 200]);
    RgbImage::new(width, height, pixels.collect()).unwrap()
}

fn preprocess(side: u32) -> Preprocess {
    let resize = Resize::ShorterSide { size: side };
    Preprocess { resize, crop: Some(Crop { height: side, width: side }), ..Preprocess::torchvision(side, side) }
}

fn geometry(preprocess: &Preprocess) -> Geometry<'_> {
    Geometry { preprocess, limits: &LIMITS }
}

fn augmented(policy: AugmentationPolicy, image: &RgbImage, key: SampleKey) -> RgbImage {
    policy.augmentation().apply(image, geometry(&preprocess(32)), key).unwrap()
}

#[test]
fn a_key_decides_and_nothing_else() {
    let image = numbered(40, 36);
    let moment = |sample| SampleKey { seed: 7, epoch: 3, sample };
    for policy in [
        AugmentationPolicy::None,
        AugmentationPolicy::Flip,
        AugmentationPolicy::Standard,
        AugmentationPolicy::Cifar,
        AugmentationPolicy::Strong,
    ] {
        let first: Vec<RgbImage> = (0..40).map(|sample| augmented(policy, &image, moment(sample))).collect();
        let again: Vec<RgbImage> = (0..40).rev().map(|sample| augmented(policy, &image, moment(sample))).collect();
        assert!(first.iter().eq(again.iter().rev()), "{policy:?}");
        assert!(first.iter().all(|image| (image.width(), image.height()) == (32, 32)), "{policy:?}");
        let differ = first.iter().any(|image| *image != first[0]);
        assert_eq!(differ, policy != AugmentationPolicy::None, "{policy:?}");
    }
}

#[test]
fn half_of_the_images_are_mirrored() {
    let image = numbered(32, 32);
    let plain = augmented(AugmentationPolicy::None, &image, SampleKey { seed: 0, epoch: 0, sample: 0 });
    let flipped = mirrored(&plain).unwrap();
    let results: Vec<RgbImage> = (0..1000)
        .map(|sample| augmented(AugmentationPolicy::Flip, &image, SampleKey { seed: 0, epoch: 0, sample }))
        .collect();
    assert!(results.iter().all(|result| *result == plain || *result == flipped));
    let mirrored = results.iter().filter(|result| **result == flipped).count();
    // Five standard deviations of a binomial with n = 1000, p = 1/2 are 79.
    assert!((421..=579).contains(&mirrored), "{mirrored}");
}

#[test]
fn every_place_of_a_padded_crop_comes() {
    let image = numbered(32, 32);
    let crop = Augmentation(vec![Transform::PadAndCrop { padding: 1, fill: [1, 2, 3] }]);
    let mut corners = std::collections::HashSet::new();
    for sample in 0..300 {
        let key = SampleKey { seed: 0, epoch: 0, sample };
        let result = crop.apply(&image, geometry(&preprocess(32)), key).unwrap();
        corners.insert(pixels::at(&result, 0, 0));
    }
    // The corner is the border's in five of nine places and one of the four pixels there in the others.
    assert_eq!(corners.len(), 5);
    assert!(corners.contains(&[1, 2, 3]));
}

#[test]
fn jitter_keeps_to_its_factors_and_zero_changes_nothing() {
    let gray = RgbImage::new(1, 1, vec![100; 3]).unwrap();
    let jitter = |brightness| {
        Augmentation(vec![Transform::ColorJitter { brightness, contrast: 0.0, saturation: 0.0, hue: 0.0 }])
    };
    let preprocess = Preprocess { resize: Resize::None, crop: None, ..preprocess(32) };
    let levels = |brightness: f64| -> Vec<u8> {
        let at = |sample| SampleKey { seed: 0, epoch: 0, sample };
        let apply = |s| jitter(brightness).apply(&gray, geometry(&preprocess), at(s)).unwrap().data()[0];
        (0..500).map(apply).collect()
    };
    assert_eq!(levels(0.0), [100; 500]);
    let found = levels(0.4);
    let (low, high) = (found.iter().min().copied(), found.iter().max().copied());
    // Levels 60 to 140; the extremes of 500 draws lie within a fortieth of the ends.
    assert!(low >= Some(60) && low <= Some(62) && high <= Some(140) && high >= Some(137), "{low:?} {high:?}");
}

#[test]
fn padding_is_minus_the_mean_after_centring() {
    // tflearn pads with zeros before it subtracts the featurewise mean, so what is padded ends as minus the mean.
    let image = RgbImage::new(32, 32, vec![200; 3 * 32 * 32]).unwrap();
    let mut moments = PixelSums::default();
    moments.add(&image);
    let mean = moments.statistics().unwrap().mean.map(|mean| (mean * 255.0) as f32);
    let padded =
        (0..50).map(|sample| augmented(AugmentationPolicy::Cifar, &image, SampleKey { seed: 1, epoch: 0, sample }));
    let centered: Vec<f32> =
        padded.flat_map(|image| image.into_data()).map(|level| f32::from(level) - mean[0]).collect();
    assert_eq!(mean, [200.0; 3]);
    assert!(centered.iter().all(|&value| value == 0.0 || value == -200.0));
    assert!(centered.contains(&-200.0));
}

#[test]
fn statistics_are_those_of_paper() {
    let mut moments = PixelSums::default();
    // Red 0 and 255; green 51 and 51; blue 0 and 102: of 0..=1, 0 and 1; 0.2 and 0.2; 0 and 0.4.
    moments.add(&RgbImage::new(1, 1, vec![0, 51, 0]).unwrap());
    moments.add(&RgbImage::new(1, 1, vec![255, 51, 102]).unwrap());
    let found = moments.statistics().unwrap();
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    found.mean.into_iter().zip([0.5, 0.2, 0.2]).for_each(|(found, expected)| close(found, expected));
    found.std.into_iter().zip([0.5, 0.0, 0.2]).for_each(|(found, expected)| close(found, expected));
    close(found.overall_mean, 0.3);
    // Mean of squares (1 + 0.04 + 0.04 + 0.16) / 6 less 0.09.
    close(found.overall_std, (1.24_f64 / 6.0 - 0.09).sqrt());
    assert_eq!(PixelSums::default().statistics(), None);
}

#[test]
fn views_are_fixed_and_differ() {
    let image = numbered(48, 40);
    let look = |view: View| view.of(&image, &preprocess(32), &Limits::default()).unwrap();
    let images: Vec<RgbImage> = views(6).into_iter().map(look).collect();
    assert_eq!(images, views(6).into_iter().map(look).collect::<Vec<_>>());
    assert_eq!(images[0], preprocess(32).fit(&image, &Limits::default()).unwrap());
    assert_eq!(images[1], mirrored(&images[0]).unwrap());
    assert!((0..6).all(|a| (0..a).all(|b| images[a] != images[b])));
    assert_eq!(views(1), [View::Plain]);
}

#[test]
fn recipes_name_transforms_and_refuse_what_they_do_not_know() {
    let text = r#"[{"kind": "pad-and-crop", "padding": 2}, {"kind": "horizontal-flip"},
        {"kind": "colour-jitter", "hue": 0.1}, {"kind": "rand-augment", "magnitude": 5}]"#;
    let augmentation: Augmentation = serde_json::from_str(text).unwrap();
    assert_eq!(augmentation.0[0], Transform::PadAndCrop { padding: 2, fill: [0; 3] });
    assert_eq!(augmentation.0[1], Transform::HorizontalFlip { probability: 0.5 });
    augmentation.validate().unwrap();
    let again: Augmentation = serde_json::from_str(&serde_json::to_string(&augmentation).unwrap()).unwrap();
    assert_eq!(again, augmentation);
    for (wrong, named) in [
        (r#"[{"kind": "horizontal-flip", "p": 0.5}]"#, "unknown field `p`"),
        (r#"[{"kind": "mixup"}]"#, "unknown variant `mixup`"),
    ] {
        let error = serde_json::from_str::<Augmentation>(wrong).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    for wrong in
        [r#"[{"kind": "horizontal-flip", "probability": 2}]"#, r#"[{"kind": "rand-augment", "magnitude": 31}]"#]
    {
        let augmentation: Augmentation = serde_json::from_str(wrong).unwrap();
        assert!(matches!(augmentation.validate(), Err(AugmentError::Parameter { .. })), "{wrong}");
    }
}
