//! Files as people have them: too few, damaged, of many labels, or larger than most.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use models::init;
use models::scores::ScoreKind;
use models::spec::ScoreSpec;
use models::{Labels, ModelSpec, Network, Preprocess, zoo};
use serde_json::{Value, json};
use tests::images::{base_model, color_folders, example, write};
use tests::server::{Sandbox, json, text};

#[test]
fn a_recipe_that_would_validate_on_most_of_a_small_data_set_is_refused_with_the_way_on() {
    let sandbox = Sandbox::default();
    let data = color_folders(sandbox.path("pictures"), 60);
    let recipe = ["train", "--recipe", "he2015-cifar10", "--set", "depth=20", "--data", text(&data)];
    let runs = text(&sandbox.path("runs")).to_owned();
    let run = ["--out", &runs, "--run-id", "r", "--epochs", "1"];
    let refused = sandbox.fail(&[&recipe[..], &run].concat());
    assert!(
        refused.contains("the recipe validates on 500 images of each class, and class `blue` has 60 in all")
            && refused.contains("--set validation_set=0.1"),
        "{refused}"
    );
    let said =
        sandbox.succeed(&[&recipe[..], &run, &["--set", "validation_set=0.1", "--set", "batch_size=27"]].concat());
    // A tenth of 60 in each of three classes.
    assert!(said.contains("162 train, 18 validate, 0 test"), "{said}");
}

#[test]
fn a_file_that_cannot_be_classified_is_named_and_the_others_are_answered() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    write(&sandbox.path("1.bmp"), &example("red"));
    write(&sandbox.path("2.jpg"), b"<!DOCTYPE html><html>404</html>");
    write(&sandbox.path("3.bmp"), &example("blue"));
    let paths = ["1.bmp", "2.jpg", "3.bmp", "missing.png"].map(|name| text(&sandbox.path(name)).to_owned());
    let command =
        [&["classify", "--model", "base", "--format", "json"][..], &paths.each_ref().map(String::as_str)].concat();
    let output = sandbox.run(&command);
    assert_eq!(output.status.code(), Some(3));
    let lines: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let files: Vec<&Value> = lines.iter().map(|line| &line["file"]).collect();
    assert_eq!(files, paths.each_ref().map(|path| json!(path)).iter().collect::<Vec<_>>());
    let answered = lines.iter().map(|line| (line["predictions"].is_array(), line["error"].as_str()));
    let [first, page, third, missing] = answered.collect::<Vec<_>>()[..] else { panic!("{lines:?}") };
    assert_eq!([first, third], [(true, None); 2]);
    assert!(!page.0 && page.1.unwrap().starts_with("not an image but an HTML page"), "{page:?}");
    assert!(!missing.0 && missing.1.unwrap().contains("No such file"), "{missing:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("2 of 4 image(s) could not be used"));
}

#[test]
fn pixels_that_do_not_decode_are_named_all_at_once_although_their_headers_are_sound() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = color_folders(sandbox.path("pictures"), 8);
    let bad = ["blue/001.bmp", "green/003.bmp", "green/005.bmp", "red/007.bmp"];
    for name in bad {
        let bytes = std::fs::read(data.join(name)).unwrap();
        write(&data.join(name), &bytes[..bytes.len() - 100]);
    }
    let command = ["finetune", "--base", "base", "--data", text(&data), "--name", "x"];
    let refused = sandbox.fail(&command);
    assert!(bad.iter().all(|name| refused.contains(name)) && refused.contains("--bad-files skip"), "{refused}");
    let server = sandbox.serve(&[]);
    let request = json!({"base_model": "base", "name": "x", "dataset": {"path": data}});
    let job = server.finished(json(server.post_json("/finetune", &request))["id"].as_str().unwrap());
    let message = job["error"]["message"].as_str().unwrap();
    assert!(bad.iter().all(|name| message.contains(name)), "{job}");
    let mut skips = request.clone();
    skips["options"] = json!({"bad_files": "skip", "epochs": 5});
    let job = server.finished(json(server.post_json("/finetune", &skips))["id"].as_str().unwrap());
    assert_eq!(job["state"], "succeeded", "{job}");
}

/// A network of independent labels with random weights, as an ONNX file.
fn multi_label_model() -> Vec<u8> {
    let preprocess = Preprocess::torchvision(64, 64);
    let graph = zoo::find("resnet18").unwrap().graph([64; 2], 4).unwrap().normalized(&preprocess.normalize()).unwrap();
    let labels = ["indoor", "people", "night", "blurred"].map(str::to_owned).to_vec();
    let spec = ModelSpec {
        scores: ScoreSpec { kind: ScoreKind::Sigmoid, ..ScoreSpec::default() },
        ..ModelSpec::new("resnet18", Some(Labels::new(labels)), preprocess)
    };
    let network = Network::new(graph.clone(), &init::scrambled(&graph, 3), spec).unwrap();
    onnx::export(&network, &onnx::ExportOptions::default()).unwrap()
}

fn scores(answer: &Value) -> BTreeMap<String, f64> {
    let predictions = answer["results"][0]["predictions"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let entry = |one: &Value| (one["label"].as_str().unwrap().to_owned(), one["score"].as_f64().unwrap());
    predictions.iter().map(entry).collect()
}

#[test]
fn a_multi_label_network_answers_each_label_by_itself_over_http() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("labels.onnx"), &multi_label_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("labels.onnx")), "--name", "labels"]);
    write(&sandbox.path("red.bmp"), &example("red"));
    let server = sandbox.serve(&[]);
    let model = json(server.get("/models/labels"));
    assert_eq!(model["scores"], "sigmoid", "{model}");
    let answer = json(server.post("/classify/bytes?model=labels&top_k=4", "image/bmp", example("red")));
    assert_eq!((&answer["scores"], &answer["threshold"]), (&json!("sigmoid"), &json!(0.5)), "{answer}");
    let found = scores(&answer);
    // The same logits through the sigmoid, from the executor, which shares no code with the engine that serves.
    let network = onnx::import(multi_label_model()).unwrap();
    let input = Preprocess::torchvision(64, 64).apply(&example("red"), &Default::default()).unwrap();
    let batch = models::preprocess::ImageBatch::stack(&[input]).unwrap();
    let executor = trainer::backend::CpuExecutor::new(&network.graph, &network.params).unwrap();
    let logits = executor.infer_batch(&batch).unwrap();
    for (label, logit) in ["indoor", "people", "night", "blurred"].into_iter().zip(logits.data()) {
        let expected = 1.0 / (1.0 + f64::from(-logit).exp());
        // Engines add in other orders: 1e-4 of a logit, and the sigmoid is no steeper than a quarter.
        assert!((found[label] - expected).abs() < 1e-3, "{label}: {found:?}, expected {expected}");
    }
    for one in answer["results"][0]["predictions"].as_array().unwrap() {
        assert_eq!(one["present"], json!(one["score"].as_f64().unwrap() >= 0.5), "{one}");
    }
    let all = json(server.post("/classify/bytes?model=labels&top_k=4&threshold=0", "image/bmp", example("red")));
    let present = all["results"][0]["predictions"].as_array().unwrap().iter().all(|one| one["present"] == true);
    assert!(present, "{all}");
}

/// A JPEG of one gray level: blocks of 8x8 pixels that say they are as the one before, in two bits each.
fn gray_jpeg([width, height]: [u16; 2]) -> Vec<u8> {
    let segment = |marker: u8, content: &[u8]| {
        let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
        [&[0xff, marker], &length[..], content].concat()
    };
    let sides = [height.to_be_bytes(), width.to_be_bytes()].concat();
    // Symbol 0, a difference of nothing, is the bit 0; symbol 7, a difference of seven bits, is the bits 10.
    let dc = [&[0, 1, 1][..], &[0; 14], &[0, 7]].concat();
    // The end of the block is the bit 0.
    let ac = [&[0x10, 1][..], &[0; 15], &[0]].concat();
    let head = [
        vec![0xff, 0xd8],
        segment(0xdb, &[&[0][..], &[8; 64]].concat()),
        segment(0xc0, &[&[8][..], &sides, &[1, 1, 0x11, 0]].concat()),
        segment(0xc4, &dc),
        segment(0xc4, &ac),
        segment(0xda, &[1, 1, 0, 0, 63, 0]),
    ];
    let blocks = usize::from(width.div_ceil(8)) * usize::from(height.div_ceil(8));
    // The first block: 10, the difference +72 in seven bits, and 0. A level of 128 + 72 * 8 / 8 = 200.
    let first = 0b10 << 8 | 72_u16 << 1;
    let bits = 10 + 2 * (blocks - 1);
    let mut data = vec![0; bits.div_ceil(8)];
    data[0] = (first >> 2) as u8;
    data[1] = ((first & 0b11) << 6) as u8;
    // What is left of the last byte is filled with ones.
    let fill = data.len() * 8 - bits;
    if let Some(last) = data.last_mut() {
        *last |= ((1_u16 << fill) - 1) as u8;
    }
    [head.concat(), data, vec![0xff, 0xd9]].concat()
}

/// Phones take 64 and 108 megapixels. The picture has one level, so that any size of it gives the same scores.
#[test]
#[ignore = "a minute without optimization, and a gigabyte"]
fn photographs_of_64_and_108_megapixels_are_classified_where_the_limit_allows_them() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let pictures = [("small", [480, 360]), ("64", [9248, 6936]), ("108", [12032, 9024])];
    for (name, size) in pictures {
        write(&sandbox.path(&format!("{name}.jpg")), &gray_jpeg(size));
    }
    let server = sandbox.serve(&["--max-megapixels", "120"]);
    let classified = |name: &str| {
        let bytes = std::fs::read(sandbox.path(&format!("{name}.jpg"))).unwrap();
        scores(&json(server.post("/classify/bytes?model=base&top_k=10", "image/jpeg", bytes)))
    };
    let expected = classified("small");
    for name in ["64", "108"] {
        let found = classified(name);
        for (label, score) in &expected {
            // The same pixels but for the rounding of the resampled edges.
            assert!((found[label] - score).abs() < 1e-4, "{name}, {label}: {found:?}, expected {expected:?}");
        }
        let file = text(&sandbox.path(&format!("{name}.jpg"))).to_owned();
        let said = sandbox.succeed(&["classify", "--model", "base", "--max-megapixels", "120", &file]);
        assert!(said.contains('%'), "{said}");
    }
    drop(server);
    let server = sandbox.serve(&[]);
    let bytes = std::fs::read(sandbox.path("108.jpg")).unwrap();
    let refused = server.post("/classify/bytes?model=base", "image/jpeg", bytes);
    assert_eq!(refused.status(), 422);
    let problem = json(refused);
    assert_eq!(problem["code"], "image_too_large", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("12032x9024"), "{problem}");
}
