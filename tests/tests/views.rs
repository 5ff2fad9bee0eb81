//! Views of an image whose answers are averaged.

use serde_json::Value;
use tests::images::{base_model, color_folders, stripes, write};
use tests::server::{Sandbox, json, text};

/// The same picture in a mirror: a BMP of 48 pixels a row.
fn mirrored(bmp: &[u8]) -> Vec<u8> {
    let (header, pixels) = bmp.split_at(54);
    let rows = pixels.chunks(48 * 3).flat_map(|row| row.chunks(3).rev().flatten().copied().collect::<Vec<u8>>());
    header.iter().copied().chain(rows).collect()
}

/// The scores by class.
fn scores(answer: &Value) -> Vec<f64> {
    let mut scores = vec![0.0; 10];
    for prediction in answer["predictions"].as_array().expect("predictions") {
        let class = prediction["class"].as_u64().expect("a class") as usize;
        scores[class] = prediction["score"].as_f64().expect("a score");
    }
    scores
}

#[test]
fn a_flip_answers_the_mean_of_the_logits_of_an_image_and_its_mirror_image() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let picture = stripes(&["blue", "green"]);
    write(&sandbox.path("plain.bmp"), &picture);
    write(&sandbox.path("mirrored.bmp"), &mirrored(&picture));
    let classify = |file: &str, tta: &str| {
        let arguments = ["classify", "--model", "base", "--top-k", "10", "--format", "jsonl", "--tta", tta];
        let line = sandbox.succeed(&[&arguments[..], &[text(&sandbox.path(file))]].concat());
        scores(&serde_json::from_str(&line).expect("JSON"))
    };
    let (plain, other, both) =
        (classify("plain.bmp", "none"), classify("mirrored.bmp", "none"), classify("plain.bmp", "flip"));
    assert!(plain.iter().zip(&other).any(|(a, b)| (a - b).abs() > 0.01), "left and right differ: {plain:?} {other:?}");
    // The mean of logits is the geometric mean of scores, up to a factor.
    let means: Vec<f64> = plain.iter().zip(&other).map(|(a, b)| (a * b).sqrt()).collect();
    let sum: f64 = means.iter().sum();
    for (found, mean) in both.iter().zip(&means) {
        // Scores are printed as f32, and engines agree within 1e-4 of the largest logit.
        assert!((found - mean / sum).abs() < 1e-3, "{both:?} {means:?}");
    }
    let server = sandbox.serve(&[]);
    let answer = json(server.post("/classify/bytes?model=base&top_k=10&tta=flip", "image/bmp", picture.clone()));
    for (found, ours) in scores(&answer["results"][0]).iter().zip(&both) {
        assert!((found - ours).abs() < 1e-3, "{answer} {both:?}");
    }
    let refused = json(server.post("/classify/bytes?model=base&tta=turn", "image/bmp", picture));
    assert_eq!(refused["code"], "invalid_parameter", "{refused}");
}

#[test]
fn an_evaluation_takes_views_too() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = text(&color_folders(sandbox.path("pictures"), 12)).to_owned();
    let _output = sandbox.succeed(&["finetune", "--base", "base", "--data", &data, "--name", "colors"]);
    let output =
        sandbox.succeed(&["evaluate", "--model", "colors", "--data", &data, "--tta", "flip", "--output", "json"]);
    let report: Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!((&report["options"]["tta"], &report["result"]["top1"]), (&"flip".into(), &1.0.into()), "{report}");
}
