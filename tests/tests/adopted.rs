//! Networks that graft cannot take apart: kept as they are, served with the answers that they give elsewhere, and refused by
//! name for everything else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use models::channels::ChannelOrder;
use models::preprocess::{Batch, Preset};
use models::scores::softmax;
use models::{Labels, ModelSpec};
use onnx::parity::relative_difference;
use onnx::{Adoption, Batching, EngineKind, ModelFile, engine};
use serde_json::Value;
use tests::server::{Place, json};
use tests::{images, library};

/// File, how its images are prepared, and whether it takes any number of them. Answers differ by the order of the sums, by
/// the rounding of half precision, and where the file quantises its probabilities, by 1/255 of them.
const FILES: [(&str, Preset, ChannelOrder, bool, f64); 4] = [
    ("quantized", Preset::Torchvision, ChannelOrder::Rgb, true, 1e-2),
    ("attention", Preset::KerasTf, ChannelOrder::Rgb, false, 1e-5),
    ("bytes_last", Preset::Bytes, ChannelOrder::Rgb, true, 1e-5),
    ("half", Preset::ZeroOne, ChannelOrder::Bgr, true, 2e-3),
];
const SIDE: usize = 32;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/foreign").join(format!("{name}.onnx"))
}

fn pixels(images: usize) -> Batch {
    let picture = (0..3 * SIDE * SIDE).map(|index| (index * 7919 % 256) as f32);
    Batch::from_raw([images, 3, SIDE, SIDE], picture.cycle().take(images * 3 * SIDE * SIDE).collect())
}

#[test]
fn a_wrapped_file_answers_as_onnx_runtime_answers_in_python() {
    if !library::load() {
        return;
    }
    // Written by tests/reference/foreign.py.
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/foreign.json")).unwrap();
    let expected: BTreeMap<String, Vec<f32>> = serde_json::from_str(&text).unwrap();
    for (name, preset, channel_order, any_number, tolerance) in FILES {
        let file = ModelFile::decode(std::fs::read(path(name)).unwrap()).unwrap();
        assert!(file.import().is_err(), "{name} is taken apart");
        let labels = Some(Labels::new((0..5).map(|class| class.to_string()).collect()));
        let preprocess = preset.preprocess(SIDE as u32, SIDE as u32);
        let spec = ModelSpec { architecture: name.into(), labels, preprocess, training: None };
        let run = |batch: Batching, images: usize| {
            let wrapped = file.adopt(&Adoption { spec: &spec, channel_order, batch }).unwrap();
            assert_eq!(onnx::metadata::spec(&wrapped).unwrap().as_ref(), Some(&spec), "{name}");
            let mut engine = engine::open(EngineKind::Ort, &wrapped, 1.try_into().unwrap())?;
            Ok::<_, onnx::EngineError>(engine.run(&pixels(images))?.first()?.clone())
        };
        for images in [1, 3] {
            let logits = run(Batching::Declared, images).unwrap();
            assert_eq!(logits.data().len(), 5 * images, "{name}");
            for row in logits.data().chunks(5) {
                // The quantised file ends in a softmax; its logits come before.
                let found = if name == "quantized" { softmax(row, 1.0) } else { row.to_vec() };
                let difference = relative_difference(&expected[name], &found);
                assert!(difference < tolerance, "{name}: {difference:.1e}, {found:?}");
            }
        }
        assert_eq!(run(Batching::Dynamic, 2).is_ok(), any_number, "{name} with two images at once");
    }
}

#[test]
fn it_is_served_and_classifies_and_nothing_else() {
    if !library::load() {
        return;
    }
    let place = Place::default();
    let file = path("quantized").display().to_string();
    let printed = place.succeed(&["import", &file, "--name", "small"]);
    assert!(printed.contains("quantised") && printed.contains("it can be served, but not fine-tuned"), "{printed}");
    assert!(printed.contains("tract: cannot run it"), "{printed}");
    let picture = place.path("red.bmp");
    images::write(&picture, &images::example("red"));
    let picture = picture.display().to_string();
    let line = place.succeed(&["classify", "--model", "small", "--format", "json", &picture]);
    let alone: Value = serde_json::from_str(&line).unwrap();
    let server = place.serve(&[]);
    let answer = json(server.post_images("/classify?model=small", &[("red.bmp", images::example("red"))]));
    let [served, printed] = [&answer["results"][0]["predictions"][0], &alone["predictions"][0]];
    assert_eq!(served["label"], printed["label"]);
    let error = place.fail(&["finetune", "--base", "small", "--data", &picture, "--name", "other"]);
    assert!(error.contains("it can be served, but not fine-tuned"), "{error}");
    let out = place.path("small.onnx").display().to_string();
    assert!(place.fail(&["export", "--model", "small", "--out", &out, "--opset", "15"]).contains("in another form"));
    assert!(place.succeed(&["export", "--model", "small", "--out", &out]).contains("wrote"));
    let stored = std::fs::read(place.path("data/models/small/1/model.onnx")).unwrap();
    assert!(std::fs::read(out).unwrap() == stored, "the file that was written is not the stored one");
}

#[test]
fn a_quantised_file_is_reported_with_what_to_do() {
    let place = Place::default();
    let file = path("quantized").display().to_string();
    let output = place.run(&["--engine", "tract", "check", &file]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{printed}");
    assert!(printed.contains("a quantised network, of images [n, 3, 32, 32]"), "{printed}");
    assert!(printed.contains("tract does not run quantised networks; serve it with --engine ort"), "{printed}");
    if library::load() {
        let printed = place.succeed(&["--engine", "ort", "check", &file]);
        assert!(printed.contains("ort         ok"), "{printed}");
    }
}
