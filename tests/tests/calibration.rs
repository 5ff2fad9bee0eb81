//! Scores mean what they say, wherever the model runs.

use std::fs;
use std::num::NonZeroUsize;

use models::preprocess::{ImageBatch, Limits};
use onnx::EngineKind;
use serde_json::{Value, json};
use tests::images::{base_model, color_folders, example, plain, write};
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
fn an_answer_is_uncertain_where_the_model_says_so_over_http_and_on_the_command_line() {
    let (sandbox, data) = sandbox();
    let arguments = ["finetune", "--base", "base", "--data", &data, "--name", "colors", "--target-precision", "0.9"];
    let output = sandbox.succeed(&arguments);
    assert!(output.contains("so that 90 % of the others are right"), "{output}");
    let certainty = &report(&sandbox, "colors")["certainty"];
    let [images, sure, right] = ["images", "sure", "right"].map(|field| certainty[field].as_u64().expect("a count"));
    assert!(images == 9 && right <= sure && sure <= images, "{certainty}");

    let file = fs::read(sandbox.path("data/models/colors/1/model.onnx")).unwrap();
    let doubt = onnx::metadata::spec(&file).unwrap().unwrap().scores.doubt.expect("thresholds");
    assert_eq!((doubt.precision, doubt.thresholds.len()), (0.9, 3));

    // Gray is none of the three colors.
    write(&sandbox.path("pictures/gray.png"), &plain([128, 128, 128]));
    let lines = sandbox.succeed(&["classify", "--model", "colors", "--output", "json", &data]);
    let answers: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(answers.len(), 37, "{lines}");
    let mut uncertain = 0;
    for answer in &answers {
        let best = &answer["predictions"][0];
        let [class, score] = ["class", "score"].map(|field| best[field].as_f64().expect("a number"));
        let familiarity = answer["familiarity"].as_f64().expect("a number");
        let expected = if familiarity < f64::from(doubt.familiarity) {
            json!("unfamiliar")
        } else if score < f64::from(doubt.thresholds[class as usize]) {
            json!("low_score")
        } else {
            Value::Null
        };
        assert_eq!(answer["uncertain"], expected, "{answer} {doubt:?}");
        uncertain += usize::from(!expected.is_null());
    }
    assert!((1..18).contains(&uncertain), "{uncertain} of 37: {lines}");
    let gray = answers.iter().find(|answer| answer["file"].as_str().is_some_and(|file| file.ends_with("gray.png")));
    let reason = &gray.expect("an answer")["uncertain"];
    assert!(reason.is_string(), "{gray:?}");
    let text = sandbox.succeed(&["classify", "--model", "colors", text(&sandbox.path("pictures/gray.png"))]);
    assert!(text.contains("gray.png  (uncertain: "), "{text}");

    let server = sandbox.serve(&[]);
    let gray = server.post("/classify/bytes?model=colors", "application/octet-stream", plain([128, 128, 128]));
    assert_eq!(json(gray)["results"][0]["uncertain"], *reason);
    // The base has classes of its own, and thresholds of none of them.
    let base = server.post("/classify/bytes?model=base", "application/octet-stream", plain([128, 128, 128]));
    assert_eq!(json(base)["results"][0].get("uncertain"), None);
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
