//! A finished model on labeled images, from the command line and over HTTP.

use std::fs;

use serde_json::{Value, json};
use tests::images::{base_model, color_folders, write};
use tests::server::{Sandbox, Server, json, text};

/// A sandbox with a model `colors` of three plain colors, and its images.
fn sandbox() -> (Sandbox, String) {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = text(&color_folders(sandbox.path("pictures"), 12)).to_owned();
    let _output = sandbox.succeed(&["finetune", "--base", "base", "--data", &data, "--name", "colors"]);
    (sandbox, data)
}

fn evaluated(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let output = sandbox.succeed(&[&["evaluate", "--output", "json"], arguments].concat());
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

fn report(sandbox: &Sandbox) -> Value {
    let file = sandbox.path("data/models/colors/1/report.json");
    serde_json::from_slice(&fs::read(file).expect("a report")).expect("JSON")
}

/// Engines and the trainer's executor agree on logits within 1e-4 of the largest.
fn close(a: &Value, b: &Value) -> bool {
    let [a, b] = [a, b].map(|value| value.as_f64().expect("a number"));
    (a - b).abs() < 1e-3
}

#[test]
fn the_images_that_training_left_out_give_the_figures_of_its_report() {
    let (sandbox, data) = sandbox();
    let result = evaluated(&sandbox, &["--model", "colors", "--data", &data, "--subset", "test"]);
    let expected = &report(&sandbox)["test"];
    assert_eq!(result["result"]["confusion"], expected["confusion"]);
    assert_eq!([&result["result"]["top1"], &result["version"]], [&expected["top1"], &json!(1)]);
    assert!(close(&result["result"]["loss"], &expected["loss"]), "{result}");
    assert!(close(&result["result"]["reliability"]["ece"], &expected["reliability"]["ece"]), "{result}");

    let file = sandbox.path("colors.onnx");
    let _output = sandbox.succeed(&["export", "--model", "colors", "--out", text(&file)]);
    let of_file = evaluated(&sandbox, &["--model", text(&file), "--data", &data, "--subset", "test"]);
    assert_eq!(of_file["result"]["confusion"], expected["confusion"]);
    assert_eq!((of_file.get("version"), &of_file["model"]), (None, &json!(text(&file))));
}

#[test]
fn people_are_told_what_was_measured_and_what_was_left_out() {
    let (sandbox, data) = sandbox();
    fs::rename(format!("{data}/blue"), format!("{data}/bleu")).unwrap();
    let output = sandbox.run(&["evaluate", "--model", "colors", "--data", &data]);
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(out.contains("top-1 100.0 % (95 % interval 86.2 to 100.0 %), top-5 100.0 % of 24 images"), "{out}");
    assert!(out.contains("left out: 12 images of classes that the model does not know"), "{out}");
    assert!(out.contains("no image of blue"), "{out}");
    assert!(
        err.contains("left out 12 image(s) of `bleu`, which is no class of the model; did you mean `blue`?"),
        "{err}"
    );
}

#[test]
fn what_cannot_be_evaluated_is_refused_with_advice() {
    let (sandbox, data) = sandbox();
    let refused = |arguments: &[&str]| sandbox.fail(&[&["evaluate"], arguments].concat());
    let foreign = sandbox.path("foreign.onnx");
    let tensor = [("model", &["--model", "nobody"][..]), ("file", &["--model", "nowhere.onnx"])];
    for (what, model) in tensor {
        let error = refused(&[model, &["--data", &data]].concat());
        assert!(error.contains(if what == "model" { "there is no model `nobody`" } else { "nowhere.onnx" }), "{error}");
    }
    write(&foreign, b"no model");
    let error = refused(&["--model", text(&foreign), "--data", &data]);
    assert!(error.contains("foreign.onnx"), "{error}");
    let error = refused(&["--model", "base", "--data", &data]);
    assert!(error.contains("none of the images' classes (`blue`, `green`, `red`) is one of the model's"), "{error}");
    fs::create_dir(sandbox.path("empty")).unwrap();
    let error = refused(&["--model", "colors", "--data", text(&sandbox.path("empty"))]);
    assert!(error.contains("holds no data set"), "{error}");
}

/// Waits until an evaluation is over.
fn finished(server: &Server, id: &str) -> Value {
    server.wait("the evaluation is over", || {
        let job = json(server.get(&format!("/evaluate/{id}")));
        let over = !["queued", "running"].contains(&job["state"].as_str()?);
        over.then_some(job)
    })
}

#[test]
fn an_evaluation_over_http_is_a_job_with_a_report() {
    let (sandbox, data) = sandbox();
    let server = sandbox.serve(&[]);
    let dataset = json!({"layout": "folder", "path": data});
    let request = json!({"model": "colors", "dataset": dataset, "options": {"subset": "test"}});
    let accepted = server.post_json("/evaluate", &request);
    assert_eq!(accepted.status(), 202);
    let location = accepted.headers()["location"].to_str().unwrap().to_owned();
    let id = json(accepted)["id"].as_str().unwrap().to_owned();
    assert_eq!(location, format!("/evaluate/{id}"));
    let job = finished(&server, &id);
    assert_eq!((&job["state"], &job["report"]["version"]), (&json!("succeeded"), &json!(1)), "{job}");
    assert_eq!(job["report"]["result"]["confusion"], report(&sandbox)["test"]["confusion"], "{job}");
    let events = json(server.get(&format!("/evaluate/{id}/events?limit=1000")));
    assert!(events["data"].as_array().unwrap().iter().any(|event| event["event"]["type"] == "metrics"), "{events}");
    assert_eq!(json(server.get("/models/colors"))["versions"], json!([1]), "nothing is published");

    let list = json(server.get("/evaluate"));
    assert_eq!((&list["data"][0]["id"], list["data"][0].get("report")), (&json!(id), None), "{list}");
    assert_eq!(json(server.get("/finetune"))["data"], json!([]));
    let other = server.get(&format!("/finetune/{id}"));
    assert_eq!(other.status(), 404);
    assert!(json(other)["detail"].as_str().unwrap().contains(&format!("/evaluate/{id}")));
    assert_eq!(server.post_json(&format!("/evaluate/{id}/cancel"), &json!({})).status(), 409);

    for (wrong, detail) in [
        (json!({"model": "colours", "dataset": dataset}), "there is no model `colours`"),
        (json!({"model": "colors", "version": 7, "dataset": dataset}), "has no version 7"),
        (json!({"model": "colors", "dataset": dataset, "options": {"max_megapixels": 0}}), "max_megapixels"),
        (json!({"model": "colors", "dataset": {"layout": "folder", "path": "/nowhere"}}), "/nowhere"),
    ] {
        let refused = server.post_json("/evaluate", &wrong);
        assert_eq!(refused.status(), 422, "{wrong}");
        let problem = json(refused);
        assert_eq!(problem["code"], "evaluation_refused", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    }

    // What only the images tell is the job's error.
    let strangers = sandbox.path("strangers");
    for name in ["cat", "dog"] {
        fs::create_dir_all(strangers.join(name)).unwrap();
        fs::copy(format!("{data}/red/000.bmp"), strangers.join(name).join("1.bmp")).unwrap();
    }
    let request = json!({"model": "colors", "dataset": {"layout": "folder", "path": text(&strangers)}});
    let id = json(server.post_json("/evaluate", &request))["id"].as_str().unwrap().to_owned();
    let job = finished(&server, &id);
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("failed"), &json!("invalid_dataset")), "{job}");
}
