//! Opaque models: served with the answers that they give elsewhere, given a new head, and refused by name for everything
//! else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use models::channels::ChannelOrder;
use models::ops::{Linear, Shape};
use models::preprocess::{ImageBatch, Preset};
use models::scores::softmax;
use models::{GraphBuilder, Labels, ModelSpec, Network, Params, Tensor};
use onnx::parity::relative_difference;
use onnx::{Batching, EngineKind, ModelFile, OpaqueOptions, SignatureOptions, engine};
use serde::Deserialize;
use serde_json::{Value, json as value};
use tests::server::{Sandbox, json, text};
use tests::{images, library};

/// File, how its images are prepared, and whether it takes any number of them. Answers differ by the order of the sums, by
/// the rounding of half precision, and where the file quantises its probabilities, by 1/255 of them.
const FILES: [(&str, Preset, ChannelOrder, bool, f64); 6] = [
    ("quantized", Preset::Torchvision, ChannelOrder::Rgb, true, 1e-2),
    ("attention", Preset::KerasTf, ChannelOrder::Rgb, false, 1e-5),
    ("bytes_last", Preset::Bytes, ChannelOrder::Rgb, true, 1e-5),
    ("half", Preset::ZeroOne, ChannelOrder::Bgr, true, 2e-3),
    ("integers", Preset::Torchvision, ChannelOrder::Rgb, true, 1e-2),
    ("dynamic", Preset::Torchvision, ChannelOrder::Rgb, true, 1e-5),
];
/// Files that end in a softmax; their logits come before.
const SQUASHED: [&str; 3] = ["quantized", "integers", "dynamic"];
const SIDE: usize = 32;

/// What ONNX Runtime answers in Python, written by `tests/reference/foreign.py`.
#[derive(Deserialize)]
struct Answers {
    scores: Vec<f32>,
    features: Vec<f32>,
}

fn expected() -> BTreeMap<String, Answers> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/foreign.json"));
    serde_json::from_str(&text.expect("the answers are there")).expect("as they were written")
}

fn spec(name: &str, preset: Preset) -> ModelSpec {
    let labels = Some(Labels::new((0..5).map(|class| class.to_string()).collect()));
    let preprocess = preset.preprocess(SIDE as u32, SIDE as u32);
    ModelSpec::new(name, labels, preprocess)
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/foreign").join(format!("{name}.onnx"))
}

/// The file with its logits as the only output, as an import takes it.
fn scored(name: &str) -> ModelFile {
    let bytes = std::fs::read(path(name)).expect("a file of the reference script");
    let file = ModelFile::decode(bytes).expect("an ONNX file");
    let signature = file.signature(&SignatureOptions::default()).expect("a classifier");
    file.scored(&signature).expect("a file with scores")
}

fn pixels(images: usize) -> ImageBatch {
    let picture = (0..3 * SIDE * SIDE).map(|index| (index * 7919 % 256) as f32);
    ImageBatch::from_raw([images, 3, SIDE, SIDE], picture.cycle().take(images * 3 * SIDE * SIDE).collect())
}

#[test]
fn a_wrapped_file_answers_as_onnx_runtime_answers_in_python() {
    if !library::load() {
        return;
    }
    let expected = expected();
    for (name, preset, channel_order, any_number, tolerance) in FILES {
        let file = scored(name);
        assert!(matches!(file.import(), Err(onnx::ImportError::Node { .. })), "{name}");
        let spec = spec(name, preset);
        let run = |batch: Batching, images: usize| {
            let options = OpaqueOptions { spec: &spec, channel_order, batch, width: Some(5) };
            let wrapped = file.wrap_opaque(&options).unwrap();
            assert_eq!(onnx::metadata::spec(&wrapped).unwrap().as_ref(), Some(&spec), "{name}");
            let mut engine = engine::open(EngineKind::Ort, &wrapped, 1.try_into().unwrap())?;
            Ok::<_, onnx::EngineError>(engine.run(&pixels(images))?.first()?.clone())
        };
        for images in [1, 3] {
            let logits = run(Batching::Declared, images).unwrap();
            assert_eq!(logits.data().len(), 5 * images, "{name}");
            for row in logits.data().chunks(5) {
                let actual = if SQUASHED.contains(&name) { softmax(row, 1.0) } else { row.to_vec() };
                let difference = relative_difference(&expected[name].scores, &actual);
                assert!(difference < tolerance, "{name}: {difference:.1e}, {actual:?}");
            }
        }
        assert_eq!(run(Batching::Dynamic, 2).is_ok(), any_number, "{name} with two images at once");
    }
}

#[test]
fn the_features_are_those_that_the_classifier_takes_and_a_new_head_is_put_behind_them() {
    if !library::load() {
        return;
    }
    let expected = expected();
    let threads = 1.try_into().unwrap();
    for (name, preset, channel_order, _, tolerance) in FILES {
        let file = scored(name);
        let spec = spec(name, preset);
        let options = OpaqueOptions { spec: &spec, channel_order, batch: Batching::Declared, width: Some(5) };
        let wrapped = file.wrap_opaque(&options).unwrap();
        let extractor = ModelFile::decode(wrapped).unwrap().feature_extractor().unwrap();
        let mut engine = engine::open(EngineKind::Ort, &extractor.encode(), threads).unwrap();
        let features = engine.run(&pixels(2)).unwrap().first().unwrap().clone();
        let width = expected[name].features.len();
        assert_eq!(features.shape(), [2, width], "{name}");
        for row in features.data().chunks(width) {
            let difference = relative_difference(&expected[name].features, row);
            assert!(difference < tolerance, "{name}: {difference:.1e}");
        }
        // A head of two classes: the sum of the features, and half of the first and one.
        let mut graph = GraphBuilder::new("features", Shape::new([width]));
        let head = graph.push("graft.head", Linear::new(width, 2), &[graph.input()]).unwrap();
        let mut weight = vec![1.0; 2 * width];
        weight[width..].fill(0.0);
        weight[width] = 0.5;
        let mut params = Params::default();
        params.insert("graft.head.weight", Tensor::new([2, width], weight));
        params.insert("graft.head.bias", Tensor::new([2], vec![0.0, 1.0]));
        let labels = Some(Labels::new(vec!["sum".into(), "half".into()]));
        let network = Network::new(graph.finish(head), &params, ModelSpec { labels, ..spec }).unwrap();
        let grafted = extractor.with_head(&network).unwrap();
        assert_eq!(onnx::metadata::spec(&grafted).unwrap().unwrap(), network.spec, "{name}");
        let outputs = engine::open(EngineKind::Ort, &grafted, threads).unwrap().run(&pixels(2)).unwrap();
        let reference: Vec<f32> =
            features.data().chunks(width).flat_map(|row| [row.iter().sum(), row[0] / 2.0 + 1.0]).collect();
        let difference = relative_difference(&reference, outputs.get("logits").unwrap().data());
        // The sums of 8 or 16 numbers, in another order.
        assert!(difference < 1e-6, "{name}: {difference:.1e}");
        let sums: Vec<f32> =
            outputs.get("probabilities").unwrap().data().chunks(2).map(|row| row.iter().sum()).collect();
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6), "{name}: {sums:?}");
        // The head that was put there is found again, and the same in its place answers the same.
        let again = ModelFile::decode(grafted).unwrap().feature_extractor().unwrap().with_head(&network).unwrap();
        let answers = engine::open(EngineKind::Ort, &again, threads).unwrap().run(&pixels(2)).unwrap();
        assert_eq!(answers, outputs, "{name}");
    }
}

#[test]
fn it_is_fine_tuned_by_a_head_and_by_nothing_else() {
    if !library::load() {
        return;
    }
    for (name, ..) in FILES {
        let sandbox = Sandbox::default();
        let _output = sandbox.succeed(&["import", text(&path(name)), "--name", "base"]);
        let data = images::color_folders(sandbox.path("pictures"), 12);
        let tune = |strategy: &'static str| {
            ["finetune", "--base", "base", "--data", text(&data), "--name", "colours", "--strategy", strategy]
                .map(str::to_owned)
        };
        let run = |strategy| sandbox.run(&tune(strategy).each_ref().map(String::as_str));
        let refused = run("staged");
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && error.contains("cannot train its layers as `staged` does; use `head`"),
            "{error}"
        );
        let output = run("auto");
        let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{name}: {printed}");
        assert!(printed.contains("strategy head: the base is an opaque ONNX file"), "{name}: {printed}");
        // Three plain colors on the features of random weights: chance is 33 %.
        let top1 = printed.split("test top-1 ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(top1.parse::<f64>().unwrap() > 80.0, "{name}: {printed}");
        // The stored file is the base up to its features, so it can be a base itself.
        let _output = sandbox.succeed(&["finetune", "--base", "colours", "--data", text(&data), "--name", "again"]);
        let server = sandbox.serve(&[]);
        for model in ["colours", "again"] {
            let uri = format!("/classify?model={model}");
            let answer = json(server.post_images(&uri, &[("red.bmp", images::example("red"))]));
            assert_eq!(answer["results"][0]["predictions"][0]["label"], "red", "{name}: {answer}");
        }
    }
}

#[test]
fn features_are_those_of_the_engine_that_is_asked_for() {
    if !library::load() {
        return;
    }
    let sandbox = Sandbox::default();
    let _output = sandbox.succeed(&["import", text(&path("attention")), "--name", "base"]);
    let data = images::color_folders(sandbox.path("pictures"), 12);
    for (engine, cached) in [("ort", 0), ("tract", 0), ("tract", 36)] {
        let finetune = ["finetune", "--base", "base", "--data", text(&data), "--name", "colours"];
        let output = sandbox.succeed(&[&["--engine", engine][..], &finetune].concat());
        assert!(output.contains(&format!("({cached} of 36 images cached)")), "{engine}: {output}");
    }
}

#[test]
fn the_interface_trains_a_head_on_it_and_refuses_what_it_cannot_train() {
    if !library::load() {
        return;
    }
    let sandbox = Sandbox::default();
    let _output = sandbox.succeed(&["import", text(&path("quantized")), "--name", "base"]);
    let data = images::color_folders(sandbox.path("pictures"), 12);
    let server = sandbox.serve(&[]);
    let ask = |strategy: &str| {
        let dataset = value!({"kind": "folder", "path": text(&data)});
        let options = value!({"strategy": strategy});
        server.post_json(
            "/finetune",
            &value!({"base_model": "base", "dataset": dataset, "name": "colours", "options": options}),
        )
    };
    let refused = ask("full");
    assert_eq!(refused.status(), 422);
    let problem = json(refused);
    assert!(problem["detail"].as_str().unwrap().contains("use `head`"), "{problem}");
    let accepted = ask("head");
    assert_eq!(accepted.status(), 202);
    let job = server.finished(json(accepted)["id"].as_str().unwrap());
    assert_eq!(job["state"], "succeeded", "{job}");
}

#[test]
fn it_is_served_and_classifies_and_is_given_back_as_it_is() {
    if !library::load() {
        return;
    }
    let sandbox = Sandbox::default();
    let file = path("quantized").display().to_string();
    let printed = sandbox.succeed(&["import", &file, "--name", "small"]);
    assert!(printed.contains("quantised") && printed.contains("its layers cannot be trained"), "{printed}");
    assert!(printed.contains("tract: cannot run it"), "{printed}");
    let picture = sandbox.path("red.bmp");
    images::write(&picture, &images::example("red"));
    let picture = picture.display().to_string();
    let line = sandbox.succeed(&["classify", "--model", "small", "--format", "json", &picture]);
    let alone: Value = serde_json::from_str(&line).unwrap();
    let server = sandbox.serve(&[]);
    let answer = json(server.post_images("/classify?model=small", &[("red.bmp", images::example("red"))]));
    let [served, printed] = [&answer["results"][0]["predictions"][0], &alone["predictions"][0]];
    assert_eq!(served["label"], printed["label"]);
    let out = sandbox.path("small.onnx").display().to_string();
    assert!(sandbox.fail(&["export", "--model", "small", "--out", &out, "--opset", "15"]).contains("in another form"));
    assert!(sandbox.succeed(&["export", "--model", "small", "--out", &out]).contains("wrote"));
    let file = std::fs::read(sandbox.path("data/models/small/1/model.onnx")).unwrap();
    assert!(std::fs::read(out).unwrap() == file, "the file that was written is not the stored one");
}

#[test]
fn a_quantized_file_is_reported_with_what_to_do() {
    let sandbox = Sandbox::default();
    let file = path("quantized").display().to_string();
    let output = sandbox.run(&["--engine", "tract", "check", &file]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "{printed}");
    assert!(printed.contains("a quantised network, of images [n, 3, 32, 32]"), "{printed}");
    assert!(printed.contains("tract does not run quantised networks; serve it with --engine ort"), "{printed}");
    if library::load() {
        let printed = sandbox.succeed(&["--engine", "ort", "check", &file]);
        assert!(printed.contains("ort         ok"), "{printed}");
    }
}

#[test]
fn an_image_is_answered_as_it_is_alone_whatever_is_beside_it() {
    if !library::load() {
        return;
    }
    let pictures: Vec<(&str, Vec<u8>)> = ["red", "green", "blue"].map(|name| (name, images::example(name))).into();
    for (name, one_at_a_time) in [("quantized", false), ("integers", false), ("dynamic", true)] {
        let sandbox = Sandbox::default();
        let printed = sandbox.succeed(&["import", text(&path(name)), "--name", "small"]);
        assert_eq!(printed.contains("so it is given one at a time"), one_at_a_time, "{name}: {printed}");
        let server = sandbox.serve(&[]);
        let answers = |pictures: &[(&str, Vec<u8>)]| {
            let answer = json(server.post_images("/classify?model=small", pictures));
            answer["results"].as_array().unwrap().iter().map(|result| result["predictions"].clone()).collect::<Vec<_>>()
        };
        let alone: Vec<Value> = pictures.iter().flat_map(|picture| answers(std::slice::from_ref(picture))).collect();
        assert_eq!(answers(&pictures), alone, "{name}");
    }
}
