//! Scores mean what they say, wherever the model runs.

use std::fs;
use std::num::NonZeroUsize;

use models::preprocess::{ImageBatch, Limits};
use onnx::EngineKind;
use serde_json::{Value, json};
use tests::images::{base_model, color_folders, example, write};
use tests::server::{Sandbox, json, text};

fn sandbox() -> (Sandbox, String) {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = text(&color_folders(sandbox.path("pictures"), 12)).to_owned();
    (sandbox, data)
}

fn report(sandbox: &Sandbox, name: &str) -> Value {
    let file = sandbox.path(&format!("data/models/{name}/1/report.json"));
    serde_json::from_slice(&fs::read(file).expect("a report")).expect("JSON")
}

#[test]
fn a_head_is_calibrated_on_training_images_that_were_left_out_and_every_engine_answers_its_scores() {
    let (sandbox, data) = sandbox();
    let output = sandbox.succeed(&["finetune", "--base", "base", "--data", &data, "--name", "colors"]);
    assert!(output.contains("scores are calibrated on 27 training images, each left out once"), "{output}");
    let report = report(&sandbox, "colors");
    let calibration = &report["calibration"];
    assert_eq!([&calibration["fitted_on"], &calibration["images"]], [&json!("cross_validation"), &json!(27)]);
    let [before, after] = ["ece_before", "ece_after"].map(|field| calibration[field].as_f64().expect("a share"));
    // Smoothed labels make a head too cautious about images that it always gets right.
    assert!(after < before && calibration["temperature"].as_f64().expect("a number") < 1.0, "{calibration}");
    assert_eq!(report["test"]["reliability"]["ece"].as_f64(), Some(after));

    // The file's own scores, by an engine that knows nothing of calibration.
    let file = fs::read(sandbox.path("data/models/colors/1/model.onnx")).unwrap();
    let spec = onnx::metadata::spec(&file).unwrap().unwrap();
    assert_eq!(spec.training.unwrap().metrics["temperature"], calibration["temperature"]);
    let input = spec.preprocess.apply(&example("green"), &Limits::default()).unwrap();
    let mut engine = onnx::engine::open(EngineKind::Tract, &file, NonZeroUsize::MIN).unwrap();
    let outputs = engine.run(&ImageBatch::stack(&[input]).unwrap()).unwrap();
    let scores = outputs.get("probabilities").expect("probabilities").data().to_vec();

    let server = sandbox.serve(&[]);
    let answer = json(server.post("/classify/bytes?model=colors", "application/octet-stream", example("green")));
    for prediction in answer["results"][0]["predictions"].as_array().unwrap() {
        let [class, score] = ["class", "score"].map(|field| prediction[field].as_f64().unwrap());
        // Engines agree on logits within 1e-4 of the largest.
        assert!((score - f64::from(scores[class as usize])).abs() < 1e-3, "{prediction} {scores:?}");
    }
    assert_eq!(json(server.get("/models/colors"))["report"]["calibration"], *calibration);
}

#[test]
fn trained_layers_are_calibrated_on_validation_images_where_there_are_enough() {
    let (sandbox, data) = sandbox();
    let tuned = |validation: &str, name: &str| {
        let arguments = ["finetune", "--base", "base", "--data", &data, "--name", name, "--strategy", "last_stage"];
        sandbox.succeed(&[&arguments[..], &["--tuning-epochs", "1", "--validation", validation]].concat())
    };
    let output = tuned("0.1", "few");
    assert!(output.contains("scores are not calibrated: 3 images"), "{output}");
    assert_eq!(report(&sandbox, "few").get("calibration"), None);
    // Seven of twelve images of each class.
    let output = tuned("0.6", "enough");
    assert!(output.contains("scores are calibrated on 21 validation images"), "{output}");
    assert_eq!(report(&sandbox, "enough")["calibration"]["fitted_on"], "validation");
}

#[test]
fn a_model_without_a_temperature_serves_as_before() {
    let (sandbox, _) = sandbox();
    let server = sandbox.serve(&[]);
    let model = json(server.get("/models/base"));
    assert_eq!((&model["state"], model.get("report")), (&json!("READY"), None));
    let answer = server.post("/classify/bytes?model=base", "application/octet-stream", example("red"));
    assert_eq!(answer.status(), 200);
}
