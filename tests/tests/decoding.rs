//! Models whose large JPEGs are decoded at a fraction of their size: asked for, written into the file, inherited, taken back.

use std::fs;

use serde_json::{Value, json};
use tests::images::{color_folders, tiny_base_model, write};
use tests::server::{Sandbox, text};

/// How images of a stored model are decoded, as its ONNX file says; nothing where each pixel is.
fn decoding(sandbox: &Sandbox, name: &str) -> Option<Value> {
    let file = fs::read(sandbox.path(&format!("data/models/{name}/1/model.onnx"))).expect("a stored model");
    let spec = onnx::import(file).expect("an ONNX file").spec.expect("a file of graft's");
    let preprocess = serde_json::to_value(&spec.preprocess).expect("JSON");
    preprocess.get("decoding").cloned()
}

#[test]
fn a_model_says_how_its_images_are_decoded_and_the_next_one_does_as_its_base() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = color_folders(sandbox.path("pictures"), 8);
    let finetune = |base: &str, name: &str, more: &[&str]| {
        let command = ["finetune", "--base", base, "--data", text(&data), "--name", name];
        sandbox.succeed(&[&command[..], more].concat())
    };
    let _output = finetune("base", "plain", &[]);
    assert_eq!(decoding(&sandbox, "plain"), None);
    let _output = finetune("base", "scaled", &["--decoding", "scaled"]);
    let scaled = decoding(&sandbox, "scaled").expect("it is scaled");
    assert_eq!(scaled["mode"], "scaled");
    assert!(scaled["shorter_side"].as_u64().is_some_and(|side| side > 0), "{scaled}");
    let _output = finetune("scaled", "heir", &[]);
    assert_eq!(decoding(&sandbox, "heir"), Some(scaled));
    let _output = finetune("scaled", "exact", &["--decoding", "exact"]);
    assert_eq!(decoding(&sandbox, "exact"), None);
    // The server's self-test prepares its images in the same way.
    let server = sandbox.serve(&["--engine", "tract"]);
    let state = server.wait("scaled", || {
        let model = tests::server::json(server.get("/models/scaled"));
        (model["state"] != "LOADING").then_some(model)
    });
    assert_eq!((&state["state"], &state["preprocess"]["decoding"]["mode"]), (&json!("READY"), &json!("scaled")));
}
