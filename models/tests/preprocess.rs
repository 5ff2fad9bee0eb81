//! What preprocessing promises.
//!
//! The expected pixels come from PIL and torchvision, through `models/reference/preprocess.py`.

use std::fs;
use std::path::PathBuf;

use models::preprocess::{
    ColorMode, Crop, Filter, ImageBatch, ImageError, ImageFormat, Limits, Preprocess, PreprocessError, Region, Resize,
    RgbImage, decode, probe, resample, traits,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Manifest {
    geometry: Vec<GeometryCase>,
    decode: Vec<DecodeCase>,
}

#[derive(Deserialize)]
struct GeometryCase {
    name: String,
    source: String,
    expected: String,
    preprocess: Preprocess,
}

#[derive(Deserialize)]
struct DecodeCase {
    name: String,
    source: String,
    expected: String,
    tolerance: u8,
}

fn manifest() -> Manifest {
    serde_json::from_slice(&file("manifest.json")).expect("the reference script wrote it")
}

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/preprocess").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn picture(name: &str) -> RgbImage {
    decode(&file(name), &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The largest difference in grey levels, or why the two cannot be compared.
fn difference(actual: &RgbImage, expected: &RgbImage) -> Result<u8, String> {
    let size = |image: &RgbImage| format!("{}x{}", image.width(), image.height());
    if size(actual) != size(expected) {
        return Err(format!("{} instead of {}", size(actual), size(expected)));
    }
    let differences = actual.data().iter().zip(expected.data()).map(|(a, b)| a.abs_diff(*b));
    Ok(differences.max().unwrap_or(0))
}

/// Fails with all failures, not with the first.
fn assert_none(failures: &[String]) {
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

// Geometry

/// To the bit: the resampling is PIL's own arithmetic, so there is nothing to allow for.
#[test]
fn pixels_are_torchvisions() {
    let mut failures = Vec::new();
    for case in manifest().geometry {
        let actual = case.preprocess.fit(&picture(&case.source), &Limits::default());
        match actual.map(|actual| difference(&actual, &picture(&case.expected))) {
            Ok(Ok(0)) => {}
            wrong => failures.push(format!("{}: {wrong:?}", case.name)),
        }
    }
    assert_none(&failures);
}

#[test]
fn a_plain_image_of_any_size_stays_plain() {
    let mut failures = Vec::new();
    let sides = (1..=40).chain([63, 64, 65, 99, 341, 1023, 4099, 16_384]);
    for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
        let preprocess = Preprocess { filter, ..Preprocess::torchvision(35, 35) };
        for (width, height) in sides.clone().flat_map(|side| [(side, 7), (7, side), (side, 37), (side, side.min(64))]) {
            let image = plain(width, height);
            match preprocess.fit(&image, &Limits::default()) {
                Ok(actual) if actual == plain(35, 35) => {}
                wrong => failures.push(format!("{filter:?} {width}x{height}: {wrong:?}")),
            }
        }
    }
    assert_none(&failures);
}

#[test]
fn an_image_smaller_than_the_crop_gets_a_black_border() {
    let preprocess = Preprocess { resize: Resize::None, ..Preprocess::torchvision(4, 5) };
    let actual = preprocess.fit(&plain(2, 3), &Limits::default()).expect("a valid crop");
    let red: Vec<u8> = actual.data().iter().step_by(3).copied().collect();
    #[rustfmt::skip]
    assert_eq!(red, [
        0, 200, 200, 0, 0,
        0, 200, 200, 0, 0,
        0, 200, 200, 0, 0,
        0,   0,   0, 0, 0,
    ]);
}

#[test]
fn a_resize_without_a_crop_stays_within_the_limits() {
    let preprocess = Preprocess { crop: None, ..Preprocess::torchvision(224, 224) };
    let limits = Limits::default();
    let actual = preprocess.fit(&plain(1, 16_384), &limits);
    let (width, height, resized_width, resized_height) = (1, 16_384, 256, 4_194_304);
    assert_eq!(actual, Err(ImageError::TooElongated { width, height, resized_width, resized_height, limits }));
}

#[test]
fn only_regions_within_the_image_are_resampled() {
    let image = plain(10, 6);
    let whole = Region { left: 0.0, top: 0.0, width: 10.0, height: 6.0 };
    let half_a_pixel = Region { left: 9.5, top: 5.5, width: 0.5, height: 0.5 };
    for region in [whole, half_a_pixel] {
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            assert_eq!(resample(&image, region, (3, 4), filter), Ok(plain(4, 3)), "{region:?}");
        }
    }
    let wrong = [
        Region { left: 0.1, ..whole },
        Region { top: -0.1, ..whole },
        Region { height: 0.0, ..whole },
        Region { width: f64::NAN, ..whole },
        Region { left: 10.0, width: 1.0, ..whole },
        Region { height: f64::INFINITY, ..whole },
    ];
    for region in wrong {
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            let actual = resample(&image, region, (3, 4), filter);
            assert!(matches!(actual, Err(PreprocessError::Region { .. })), "{region:?}: {actual:?}");
        }
    }
    let empty = resample(&image, whole, (0, 4), Filter::Bilinear);
    assert!(matches!(empty, Err(PreprocessError::Region { .. })), "{empty:?}");
}

fn plain(width: u32, height: u32) -> RgbImage {
    let data = [200, 100, 50].repeat(width as usize * height as usize);
    RgbImage::new(width, height, data).expect("three bytes a pixel")
}

// Decoding

/// The tolerances come with the cases: zero unless the format is lossy.
#[test]
fn every_kind_of_file_decodes_to_what_pil_sees() {
    let mut failures = Vec::new();
    for case in manifest().decode {
        let actual = decode(&file(&case.source), &Limits::default());
        match actual.map(|actual| difference(&actual, &picture(&case.expected))) {
            Ok(Ok(actual)) if actual <= case.tolerance => {}
            wrong => failures.push(format!("{}: {wrong:?}, tolerance {}", case.name, case.tolerance)),
        }
    }
    assert_none(&failures);
}

/// The other tests read their expectations with the decoder they test. This one knows a pixel by heart: the reference
/// script's `photo` is [40, 220, 90] in its first, and the orientation says where that goes.
#[test]
fn the_first_pixel_goes_where_the_orientation_says() {
    const RGB: [u8; 3] = [40, 220, 90];
    let (right, bottom) = (32, 20);
    let corners = [(0, 0), (right, 0), (right, bottom), (0, bottom), (0, 0), (bottom, 0), (bottom, right), (0, right)];
    let mut failures = Vec::new();
    for (value, (x, y)) in (1..).zip(corners) {
        let image = picture(&format!("decode/orientation_{value}.jpg"));
        let at = (y * image.width() as usize + x) * 3;
        let actual = &image.data()[at..at + 3];
        if actual.iter().zip(RGB).any(|(actual, expected)| actual.abs_diff(expected) > 4) {
            failures.push(format!("orientation {value}: {actual:?} at {x}, {y}"));
        }
    }
    assert_none(&failures);
}

#[test]
fn the_header_tells_format_and_stored_size() {
    let cases = [
        ("rgb.bmp", ImageFormat::Bmp, 33, 21),
        ("palette.gif", ImageFormat::Gif, 33, 21),
        ("small_420.jpg", ImageFormat::Jpeg, 11, 5),
        ("orientation_6.jpg", ImageFormat::Jpeg, 33, 21),
        ("rgb_16.png", ImageFormat::Png, 33, 21),
        ("lossy.webp", ImageFormat::WebP, 33, 21),
    ];
    for (name, format, width, height) in cases {
        let info = probe(&file(&format!("decode/{name}")), &Limits::default()).expect(name);
        assert_eq!((info.format, info.width, info.height), (format, width, height), "{name}");
    }
}

// Refusals

/// Each of these files is tiny and declares gigabytes. Where `decode` got as far as allocating them, the test would be
/// killed or take seconds; `probe` proves that the header was enough.
#[test]
fn an_enormous_image_is_refused_from_its_header() {
    let cases = [
        ("bomb.bmp", 60_000, 60_000),
        ("bomb.gif", 65_535, 65_535),
        ("bomb.jpg", 65_535, 65_535),
        ("bomb.png", 100_000, 100_000),
        ("bomb.webp", 16_000, 16_000),
    ];
    for (name, width, height) in cases {
        let bytes = file(&format!("bombs/{name}"));
        let limits = Limits::default();
        let expected = ImageError::TooLarge { width, height, limits };
        assert_eq!(decode(&bytes, &limits), Err(expected.clone()), "{name}");
        assert_eq!(probe(&bytes, &limits), Err(expected), "{name}");
    }
}

/// The header promises 8x8; a frame of 17 GB comes later.
#[test]
fn an_enormous_frame_on_a_small_screen_is_refused() {
    let actual = decode(&file("bombs/frame_bomb.gif"), &Limits::default());
    let limits = Limits::default();
    assert_eq!(actual, Err(ImageError::TooLarge { width: 65_535, height: 65_535, limits }));
}

#[test]
fn each_limit_holds_by_itself() {
    let bytes = file("decode/rgb.png");
    let exact = Limits { max_width: 33, max_height: 21, max_pixels: 33 * 21 };
    assert!(decode(&bytes, &exact).is_ok());
    for limits in [
        Limits { max_width: 32, ..exact },
        Limits { max_height: 20, ..exact },
        Limits { max_pixels: 33 * 21 - 1, ..exact },
    ] {
        let expected = ImageError::TooLarge { width: 33, height: 21, limits };
        assert_eq!(decode(&bytes, &limits), Err(expected));
    }
}

#[test]
fn a_file_cut_off_anywhere_is_truncated() {
    // Of each format, and how many bytes at the end may be missing in Pillow 13: the largest `n` for which
    // `Image.open(BytesIO(data[:-n])).load()` succeeds. BMP is read more strictly, its last byte being padding; GIF as far as its pixels go, a byte further.
    let cases = [
        ("rgb.bmp", 0),
        ("palette.gif", 3),
        ("grey.jpg", 0),
        ("colour_420.jpg", 0),
        ("progressive_420.jpg", 0),
        ("orientation_6.jpg", 0),
        ("cmyk.jpg", 2),
        ("rgb.png", 22),
        ("rgb_16.png", 21),
        ("lossless.webp", 0),
        ("lossy.webp", 0),
        ("orientation_6.webp", 0),
        ("animated.webp", 0),
    ];
    let mut failures = Vec::new();
    for (name, dispensable) in cases {
        let bytes = file(&format!("decode/{name}"));
        let whole = decode(&bytes[..bytes.len() - dispensable], &Limits::default());
        assert_eq!(whole, decode(&bytes, &Limits::default()), "{name}");
        // Shorter than that, and it is not even an image.
        for length in 12..bytes.len() - dispensable {
            match decode(&bytes[..length], &Limits::default()) {
                Err(ImageError::Truncated { .. }) => {}
                wrong => failures.push(format!("{name}, {length} of {} bytes: {:?}", bytes.len(), wrong.map(drop))),
            }
        }
    }
    assert_none(&failures);
}

#[test]
fn a_thumbnails_end_is_not_the_photographs() {
    let photograph = file("decode/colour_420.jpg");
    let thumbnail = file("decode/small_444.jpg");
    let length = u16::try_from(thumbnail.len() + 2).expect("small").to_be_bytes();
    let (start, rest) = photograph.split_at(2);
    let bytes = [start, &[0xff, 0xe1], &length, &thumbnail, rest].concat();
    assert_eq!(decode(&bytes, &Limits::default()), decode(&photograph, &Limits::default()));
    let cut_off = decode(&bytes[..bytes.len() - 20], &Limits::default());
    assert_eq!(cut_off, Err(ImageError::Truncated { format: ImageFormat::Jpeg }));
}

#[test]
fn corrupt_files_are_refused_with_a_reason() {
    let mut png = file("decode/rgb.png");
    let middle = png.len() / 2;
    png[middle] ^= 0xff;
    let mut webp = file("decode/lossless.webp");
    let middle = webp.len() / 2;
    webp[middle..].fill(0xff);
    let mut jpeg = file("decode/colour_444.jpg");
    jpeg[4..200].fill(0);
    for bytes in [png, webp, jpeg] {
        match decode(&bytes, &Limits::default()) {
            Err(ImageError::Corrupt { reason, .. }) => assert!(!reason.is_empty()),
            wrong => panic!("{wrong:?}"),
        }
    }
}

/// Some decoders let us see the zero, some refuse the header in words of their own.
#[test]
fn an_image_without_pixels_is_refused() {
    let mut jpeg = file("decode/grey.jpg");
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a baseline frame header");
    let mut bmp = file("decode/rgb.bmp");
    let mut gif = file("decode/palette.gif");
    jpeg[frame + 7..frame + 9].fill(0);
    bmp[18..22].fill(0);
    gif[6..8].fill(0);
    let gif = decode(&gif, &Limits::default());
    assert_eq!(gif, Err(ImageError::ZeroSized { width: 0, height: 21 }));
    let jpeg = decode(&jpeg, &Limits::default());
    assert_eq!(jpeg, Err(ImageError::ZeroSized { width: 0, height: 21 }));
    let bmp = decode(&bmp, &Limits::default());
    assert!(matches!(bmp, Err(ImageError::UnsupportedEncoding { .. })), "{bmp:?}");
}

// Parameters

#[test]
fn torchvisions_preset_is_the_pretrained_networks() {
    let size = |side| match Preprocess::torchvision(side, side).resize {
        Resize::ShorterSide { size } => size,
        other => panic!("{other:?}"),
    };
    // Inception's crop of 299 comes with 342 in torchvision, too.
    assert_eq!([224, 299, 35].map(size), [256, 342, 40]);
    let preset = Preprocess::torchvision(224, 192);
    assert_eq!(preset.output_size(), Some((224, 192)));
    assert_eq!(preset.resize, Resize::ShorterSide { size: 219 });
    assert_eq!(preset.validate(), Ok(()));
}

#[test]
fn parameters_are_stored_as_json_and_read_back() {
    let preset = Preprocess::torchvision(224, 224);
    let json = serde_json::to_string(&preset).expect("numbers and names");
    assert_eq!(
        json,
        r#"{"version":1,"resize":{"mode":"shorter_side","size":256},"filter":"bilinear","#.to_owned()
            + r#""crop":{"height":224,"width":224},"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]}"#
    );
    assert_eq!(serde_json::from_str::<Preprocess>(&json).expect("what was written"), preset);
    // `printf '%s' '…' | sha256sum` of the text above.
    assert_eq!(preset.checksum(), "04f20786595d9e7f7ccb8a3f77b600cc646a3a1dba1d9f6fdd227c491334a537");
    let other = Preprocess { filter: Filter::Bicubic, ..preset.clone() };
    assert_ne!(preset.checksum(), other.checksum());
    let misspelt = json.replace("crop", "corp");
    let error = serde_json::from_str::<Preprocess>(&misspelt).expect_err("an unknown field").to_string();
    assert!(error.contains("unknown field `corp`"), "{error}");
}

#[test]
fn the_output_size_is_known_when_the_parameters_fix_it() {
    let preset = Preprocess::torchvision(35, 40);
    let exact = Resize::Exact { width: 50, height: 60 };
    assert_eq!(preset.output_size(), Some((35, 40)));
    assert_eq!(Preprocess { resize: exact, ..preset.clone() }.output_size(), Some((35, 40)));
    assert_eq!(Preprocess { resize: exact, crop: None, ..preset.clone() }.output_size(), Some((60, 50)));
    assert_eq!(Preprocess { crop: None, ..preset }.output_size(), None);
}

#[test]
fn parameters_that_make_no_sense_are_refused() {
    let good = Preprocess::torchvision(224, 224);
    let crop = |height, width| Preprocess { crop: Some(Crop { height, width }), ..good.clone() };
    let resize = |resize| Preprocess { resize, ..good.clone() };
    let cases = [
        (Preprocess { version: 2, ..good.clone() }, PreprocessError::Version { found: 2 }),
        (crop(0, 224), PreprocessError::Side { what: "crop height", value: 0 }),
        (crop(224, 9000), PreprocessError::Side { what: "crop width", value: 9000 }),
        (resize(Resize::ShorterSide { size: 0 }), PreprocessError::Side { what: "resize size", value: 0 }),
        (resize(Resize::Exact { width: 0, height: 9 }), PreprocessError::Side { what: "resize width", value: 0 }),
        (crop(257, 257), PreprocessError::CropTooLarge { height: 257, width: 257 }),
        (resize(Resize::Exact { width: 300, height: 223 }), PreprocessError::CropTooLarge { height: 224, width: 224 }),
        (
            Preprocess { mean: [0.5, f32::INFINITY, 0.5], ..good.clone() },
            PreprocessError::Mean { channel: 1, value: f32::INFINITY },
        ),
        (Preprocess { std: [0.2, 0.2, 0.0], ..good.clone() }, PreprocessError::Std { channel: 2, value: 0.0 }),
    ];
    for (parameters, expected) in cases {
        assert_eq!(parameters.validate(), Err(expected.clone()));
        let applied = parameters.apply(&file("decode/rgb.png"), &Limits::default());
        assert_eq!(applied, Err(ImageError::Parameters(expected)));
    }
    assert_eq!(good.validate(), Ok(()));
    // A panorama fills it; what does not is padded.
    assert_eq!(crop(224, 448).validate(), Ok(()));
}

// Inputs and batches

#[test]
fn an_input_is_red_then_green_then_blue() {
    let keep = Preprocess { resize: Resize::None, crop: None, ..Preprocess::torchvision(224, 224) };
    let input = keep.apply(&file("decode/rgb.png"), &Limits::default()).expect("a good image");
    assert_eq!(input.shape(), [3, 21, 33]);
    let image = picture("decode/rgb.png");
    let planes = (0..3).flat_map(|channel| image.data().iter().skip(channel).step_by(3));
    assert!(input.data().iter().copied().eq(planes.map(|&value| f32::from(value))));
}

#[test]
fn a_batch_is_its_inputs_in_order() {
    let preprocess = Preprocess::torchvision(16, 12);
    let input = |name: &str| preprocess.apply(&file(name), &Limits::default()).expect(name);
    let inputs = ["decode/rgb.png", "decode/grey.jpg", "decode/lossy.webp"].map(input);
    let batch = ImageBatch::stack(&inputs).expect("one shape");
    assert_eq!((batch.shape(), batch.len(), batch.is_empty()), ([3, 3, 16, 12], 3, false));
    for (i, input) in inputs.iter().enumerate() {
        assert_eq!(batch.item(i), input.data());
    }
    assert_eq!(batch.data(), inputs.each_ref().map(|input| input.data()).concat());
}

#[test]
fn a_batch_has_one_shape_and_at_least_one_image() {
    assert_eq!(ImageBatch::stack(&[]), Err(PreprocessError::EmptyBatch));
    let bytes = file("decode/rgb.png");
    let inputs = [(16, 12), (16, 12), (12, 16)].map(|(height, width)| {
        Preprocess::torchvision(height, width).apply(&bytes, &Limits::default()).expect("a good image")
    });
    let (index, expected, found) = (2, [3, 16, 12], [3, 12, 16]);
    assert_eq!(ImageBatch::stack(&inputs), Err(PreprocessError::Shape { index, expected, found }));
}

#[test]
fn noise_is_the_same_for_the_same_seed() {
    let noise = ImageBatch::noise(2, [3, 8, 9], 7);
    assert_eq!((noise.shape(), noise.len()), ([2, 3, 8, 9], 2));
    assert_eq!(noise, ImageBatch::noise(2, [3, 8, 9], 7));
    assert_ne!(noise, ImageBatch::noise(2, [3, 8, 9], 8));
    assert!(noise.data().iter().all(|value| (0.0..=255.0).contains(value)));
    let mean = noise.data().iter().sum::<f32>() / noise.data().len() as f32;
    assert!((mean - 127.5).abs() < 15.0, "uniform in 0..=255, so about 127.5, not {mean}");
    assert_eq!(noise.data()[..2], [35.700867, 40.238007], "ChaCha8 is the same everywhere");
}

#[test]
fn a_file_says_how_it_stores_its_pixels() {
    use ColorMode::{Cmyk, Gray, GrayAlpha, Palette, Rgb, Rgba};
    // What `PIL.Image.open(file)` gives as `mode` (`1` and `I;16` are gray) and as EXIF tag 0x0112, but for three: PIL reads 16-bit
    // gray with transparency as RGBA, a gray palette of BMP as gray, and knows no transparency of BMP.
    for (name, mode, deep, turned) in [
        ("orientation_1.jpg", Rgb, false, false),
        ("orientation_2.jpg", Rgb, false, true),
        ("orientation_6.jpg", Rgb, false, true),
        ("orientation_6.png", Rgb, false, true),
        ("orientation_6.webp", Rgb, false, true),
        ("grey.jpg", Gray, false, false),
        ("cmyk.jpg", Cmyk, false, false),
        ("black_and_white.png", Gray, false, false),
        ("rgba.png", Rgba, false, false),
        ("grey_alpha.png", GrayAlpha, false, false),
        ("palette_transparent.png", Palette, false, false),
        ("rgb_16.png", Rgb, true, false),
        ("rgba_16.png", Rgba, true, false),
        ("grey_16.png", Gray, true, false),
        ("grey_alpha_16.png", GrayAlpha, true, false),
        ("lossless.webp", Rgb, false, false),
        ("lossy_alpha.webp", Rgba, false, false),
        ("animated.gif", Palette, false, false),
        ("rgb.bmp", Rgb, false, false),
        ("grey.bmp", Palette, false, false),
        ("palette.bmp", Palette, false, false),
    ] {
        let found = traits(&file(&format!("decode/{name}")), &Limits::default()).unwrap();
        assert_eq!((found.mode, found.deep, found.turned), (mode, deep, turned), "{name}");
    }
}
