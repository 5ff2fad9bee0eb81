//! From pictures in folders to a classifier behind a URL, through the program as a user has it.

use serde_json::json;
use tests::images::{base_model, color_folders, example, write};
use tests::server::{Sandbox, json, text};

/// A sandbox with a stored base model, and a data set.
fn sandbox() -> (Sandbox, String) {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    assert!(output.contains("stored `base` version 1"), "{output}");
    let data = color_folders(sandbox.path("pictures"), 12);
    (sandbox, text(&data).to_owned())
}

#[test]
fn on_the_command_line() {
    let (sandbox, data) = sandbox();
    let output = sandbox.succeed(&["finetune", "--base", "base", "--data", &data, "--name", "colours"]);
    // Three plain colors: anything but a perfect result is a defect.
    assert!(output.contains("test top-1 100.0 %") && output.contains("stored `colours` version 1"), "{output}");

    let again =
        sandbox.succeed(&["finetune", "--base", "base", "--data", &data, "--name", "colours", "--epochs", "20"]);
    assert!(again.contains("36 of 36 images cached") && again.contains("version 2"), "{again}");

    write(&sandbox.path("leaf.bmp"), &example("green"));
    let picture = sandbox.path("leaf.bmp");
    let output = sandbox.succeed(&["classify", "--model", "colours", "--format", "json", text(&picture)]);
    let result: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(result["predictions"][0]["label"], "green", "{output}");

    let file = sandbox.path("colours.onnx");
    let _output = sandbox.succeed(&["export", "--model", "colours", "--out", text(&file)]);
    let output = sandbox.succeed(&["check", text(&file)]);
    assert!(output.contains("labels      3: blue") && output.contains("tract       ok"), "{output}");
    let _output = sandbox.succeed(&["import", text(&file), "--name", "copy"]);
    let output = sandbox.succeed(&["models"]);
    assert!(["base", "colours", "copy"].iter().all(|name| output.contains(name)), "{output}");
}

#[test]
fn over_http() {
    let (sandbox, data) = sandbox();
    let server = sandbox.serve(&[]);
    let request = json!({
        "base_model": "base", "name": "colours", "dataset": {"kind": "folder", "path": data},
        "options": {"epochs": 20},
    });
    let accepted = server.post_json("/finetune", &request);
    assert_eq!(accepted.status(), 202);
    let location = accepted.headers()["location"].to_str().unwrap().to_owned();
    let id = json(accepted)["id"].as_str().unwrap().to_owned();
    assert_eq!(location, format!("/finetune/{id}"));

    let job = server.finished(&id);
    assert_eq!((&job["state"], &job["result"]["version"]), (&json!("succeeded"), &json!(1)), "{job}");
    let events = json(server.get(&format!("/finetune/{id}/events?limit=1000")));
    let types: Vec<&str> =
        events["data"].as_array().unwrap().iter().filter_map(|event| event["event"]["type"].as_str()).collect();
    assert!(["phase", "epoch", "metrics"].iter().all(|wanted| types.contains(wanted)), "{events}");

    for class in ["red", "green", "blue"] {
        let answer = json(server.post("/classify/bytes?model=colours", "application/octet-stream", example(class)));
        assert_eq!(answer["results"][0]["predictions"][0]["label"], class, "{answer}");
    }
    let form = [("a.bmp", example("red")), ("b.bmp", example("blue"))];
    let answer = json(server.post_images("/classify?model=colours&top_k=1", &form));
    let labels: Vec<_> = answer["results"].as_array().unwrap().iter().map(|one| &one["predictions"]).collect();
    assert_eq!(labels.iter().map(|best| best.as_array().unwrap().len()).collect::<Vec<_>>(), [1, 1]);
    assert_eq!([&labels[0][0]["label"], &labels[1][0]["label"]], ["red", "blue"], "{answer}");
    assert_eq!(answer["results"][1]["file_name"], "b.bmp");

    let model = json(server.get("/models/colours"));
    assert_eq!(model["state"], "READY", "{model}");
}

#[test]
fn a_model_that_another_process_publishes_is_served_without_a_restart() {
    let (sandbox, data) = sandbox();
    let server = sandbox.serve(&[]);
    let _output = sandbox.succeed(&["finetune", "--base", "base", "--data", &data, "--name", "later"]);
    server.wait("the new model is ready", || {
        let models = json(server.get("/models"));
        models["data"].as_array()?.iter().find(|model| model["name"] == "later" && model["state"] == "READY").map(drop)
    });
    let answer = server.post("/classify/bytes?model=later", "image/bmp", example("red"));
    assert_eq!(json(answer)["results"][0]["predictions"][0]["label"], "red");
}

#[test]
fn a_job_survives_the_death_of_its_server() {
    let (sandbox, data) = sandbox();
    let server = sandbox.serve(&["--job-lease-seconds", "3"]);
    // Long enough to be killed within.
    let request = json!({
        "base_model": "base", "name": "colours", "dataset": {"kind": "folder", "path": data},
        "options": {"epochs": 100_000},
    });
    let id = json(server.post_json("/finetune", &request))["id"].as_str().unwrap().to_owned();
    server.wait("the training runs", || {
        (json(server.get(&format!("/finetune/{id}")))["state"] == "running").then_some(())
    });
    server.kill();

    let server = sandbox.serve(&["--job-lease-seconds", "3"]);
    let answer = server.post("/classify/bytes?model=base", "image/bmp", example("red"));
    assert_eq!(answer.status(), 200, "what was served is served again");
    server.wait("the job is taken up again", || {
        let job = json(server.get(&format!("/finetune/{id}")));
        (job["attempt"] == 2 && job["state"] == "running").then_some(())
    });
    let cancelled = server.post_json(&format!("/finetune/{id}/cancel"), &json!({}));
    assert!(cancelled.status().is_success());
    assert_eq!(server.finished(&id)["state"], "cancelled");
    assert_eq!(json(server.get("/models"))["data"].as_array().unwrap().len(), 1, "nothing was published");
}
