//! Scores mean what they say, wherever the model runs.

use std::fs;
use std::num::NonZeroUsize;

use models::preprocess::{ImageBatch, Limits};
use onnx::EngineKind;
use serde_json::{Value, json};
use tests::images::{base_model, color_folders, example, plain, write};
use tests::receiver::base64;
use tests::server::{Sandbox, Server, json, text};

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
    let table = sandbox.succeed(&["classify", "--model", "colors", "--output", "csv", "--top-k", "1", &data]);
    let mut rows = table.lines();
    assert_eq!(rows.next(), Some("file,model,version,label_1,score_1,error,uncertain"));
    for (row, answer) in rows.zip(&answers) {
        let expected = answer["uncertain"].as_str().unwrap_or_default();
        assert!(row.starts_with(answer["file"].as_str().expect("a file")), "{row} {answer}");
        assert_eq!(row.rsplit(',').next(), Some(expected), "{row}");
    }
    let gray = answers.iter().find(|answer| answer["file"].as_str().is_some_and(|file| file.ends_with("gray.png")));
    let reason = &gray.expect("an answer")["uncertain"];
    assert!(reason.is_string(), "{gray:?}");
    let text = sandbox.succeed(&["classify", "--model", "colors", text(&sandbox.path("pictures/gray.png"))]);
    assert!(text.contains("gray.png  (uncertain: "), "{text}");

    let server = sandbox.serve(&[]);
    let gray = server.post("/classify/bytes?model=colors", "application/octet-stream", plain([128, 128, 128]));
    assert_eq!(json(gray)["results"][0]["uncertain"], *reason);
    in_the_words_of_other_services(&server, reason.as_str().expect("a reason"));
    // The base has classes of its own, and thresholds of none of them.
    let base = server.post("/classify/bytes?model=base", "application/octet-stream", plain([128, 128, 128]));
    assert_eq!(json(base)["results"][0].get("uncertain"), None);
}

/// Answers to a gray picture, of which the model `colors` has this doubt, and to a red one, of which it has none.
fn in_the_words_of_other_services(server: &Server, doubt: &str) {
    let (gray, red) = (plain([128, 128, 128]), example("red"));
    let files = |name: &str, files: &[&Vec<u8>]| -> Vec<Value> {
        files.iter().map(|file| json!({name: base64(file)})).collect()
    };
    let images = json!([{"name": "image", "datatype": "BYTES", "shape": [2], "data": [base64(&gray), base64(&red)]}]);
    let v2 =
        |outputs: Value| server.post_json("/v2/models/colors/infer", &json!({"inputs": images, "outputs": outputs}));
    let answer = json(v2(json!([{"name": "uncertain"}])));
    let expected = json!([{"name": "uncertain", "datatype": "BYTES", "shape": [2, 1], "data": [doubt, ""]}]);
    assert_eq!(answer["outputs"], expected);
    let refused = v2(json!([{"name": "uncertain", "parameters": {"classification": 1}}]));
    assert_eq!(refused.status(), 400);
    let names = |outputs: &Value| -> Vec<Value> {
        outputs.as_array().expect("outputs").iter().map(|output| output["name"].clone()).collect()
    };
    assert_eq!(names(&json(v2(json!([])))["outputs"]), ["logits", "probabilities", "uncertain"]);
    let metadata = json(server.get("/v2/models/colors"));
    assert_eq!(metadata["outputs"][2], json!({"name": "uncertain", "datatype": "BYTES", "shape": [-1, 1]}));
    assert_eq!(names(&json(server.get("/v2/models/base"))["outputs"]), ["logits", "probabilities"]);

    let vision = "/customvision/v3.1/prediction/1ea5e1b4-3b0f-4a34-9c34-5f0a7d3e6b21/classify/iterations/colors/image";
    for address in [vision, "/endpoints/colors/invocations"] {
        let answer = |image: &Vec<u8>| json(server.post(address, "application/octet-stream", image.clone()));
        assert_eq!((&answer(&gray)["uncertain"], answer(&red).get("uncertain")), (&json!(doubt), None), "{address}");
    }
    let instances = json!({"instances": files("content", &[&gray, &red])});
    let vertex = json(server.post_json("/v1/projects/p/locations/l/endpoints/colors:predict", &instances));
    let predictions = &vertex["predictions"];
    assert_eq!((&predictions[0]["uncertain"], predictions[1].get("uncertain")), (&json!(doubt), None), "{vertex}");

    let task = |image: &Vec<u8>| json!({"data": {"image": format!("data:image/bmp;base64,{}", base64(image))}});
    let config = r#"<View><Image name="image" value="$image"/><Choices name="choice" toName="image"/></View>"#;
    let tasks = json!({"tasks": [task(&gray), task(&red)], "label_config": config});
    let studio = json(server.post_json("/label-studio/colors/predict", &tasks));
    let result = |at: usize| &studio["results"][at]["result"][0];
    let words = result(0)["meta"]["text"][0].as_str().unwrap_or_default();
    assert!(words.starts_with("uncertain: "), "{studio}");
    assert_eq!((&result(1)["type"], result(1).get("meta")), (&json!("choices"), None), "{studio}");
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
