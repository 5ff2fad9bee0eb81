//! What computes inside ONNX Runtime: asked for, refused, and said.

use std::path::PathBuf;

use fixtures::Library;
use serde_json::Value;
use tests::images::{base_model, example, write};
use tests::server::{Sandbox, Server, json, text};

/// A folder with a model, and a file that is no library.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    write(&sandbox.path("libonnxruntime_providers_openvino_plugin.so"), b"no library");
    sandbox
}

/// The path of ONNX Runtime's library. It is taken from the environment by the program as well.
fn has_runtime() -> bool {
    Library::OnnxRuntime.path().is_some()
}

fn classes(server: &Server) -> Value {
    let answer = server.post("/classify/bytes?model=base", "image/bmp", example("red"));
    json(answer)["results"][0]["predictions"].clone()
}

/// How the model runs, once it does.
fn model(server: &Server) -> Value {
    server.wait("base", || {
        let model = json(server.get("/models/base"));
        (model["state"] != "LOADING").then_some(model)
    })
}

#[test]
fn openvino_by_name_is_had_or_refused() {
    let sandbox = sandbox();
    let named = sandbox.path("libonnxruntime_providers_openvino_plugin.so");
    let tract = sandbox.fail(&["serve", "--port", "0", "--engine", "tract", "--provider", "openvino"]);
    assert!(tract.contains("--provider openvino computes inside ONNX Runtime, and the engine is tract"), "{tract}");
    if !has_runtime() {
        return;
    }
    let asked = ["serve", "--port", "0", "--engine", "ort", "--provider", "openvino", "--openvino-lib"];
    let error = sandbox.fail(&[&asked[..], &[text(&named)]].concat());
    for part in ["no usable OpenVINO", text(&named), "graft runtime install openvino", "--provider cpu"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let error = sandbox.fail(&[&asked[..], &[text(&sandbox.path("missing.so"))]].concat());
    assert!(error.contains("cannot read"), "{error}");
}

#[test]
fn what_computes_inside_onnx_runtime_is_not_fetched_without_it() {
    let error = sandbox().fail(&["runtime", "install", "openvino", "--engine", "tract", "--python", "/nonexistent"]);
    assert!(error.contains("that is not loaded; run `graft runtime install` first"), "{error}");
}

#[test]
fn auto_serves_without_openvino_and_says_why() {
    if !has_runtime() {
        return;
    }
    let sandbox = sandbox();
    let named = sandbox.path("libonnxruntime_providers_openvino_plugin.so");
    let server = sandbox.serve(&["--engine", "ort", "--openvino-lib", text(&named)]);
    let model = model(&server);
    let providers = &model["engine"]["providers"];
    assert_eq!(providers["offered"], serde_json::json!(["cpu"]));
    let reason = providers["reason"].as_str().unwrap();
    assert!(reason.starts_with("OpenVINO is not used: ") && reason.contains(text(&named)), "{reason}");
    assert_eq!(model["plan"]["provider"], serde_json::json!({"provider": "cpu", "reason": reason}));
}

#[test]
fn an_engine_without_a_choice_has_none() {
    let server = sandbox().serve(&["--engine", "tract"]);
    let model = model(&server);
    assert!(model["engine"].get("providers").is_none() && model["plan"].get("provider").is_none(), "{model}");
}

#[test]
fn the_choice_is_an_option_like_the_others() {
    let sandbox = sandbox();
    write(&sandbox.path("graft.toml"), b"provider = \"cpu\"\n");
    let output = sandbox.succeed(&["config", "--config", text(&sandbox.path("graft.toml"))]);
    assert!(output.contains("provider = \"cpu\"  # file"), "{output}");
    let output = sandbox.succeed(&["config", "--provider", "openvino"]);
    assert!(output.contains("provider = \"openvino\"  # flag --provider"), "{output}");
}

/// With the library that `GRAFT_OPENVINO` names. It takes Intel's processors only; on another the server says so.
#[test]
fn openvino_gives_the_answers_of_onnx_runtime() {
    let Some(library) = openvino().filter(|_| has_runtime()) else { return };
    let sandbox = sandbox();
    let asked = ["--engine", "ort", "--openvino-lib", text(&library), "--provider"];
    let cpu = sandbox.serve(&[&asked[..], &["cpu"]].concat());
    assert_eq!(model(&cpu)["plan"]["provider"]["reason"], "chosen by --provider");
    let expected = classes(&cpu);
    let auto = sandbox.serve(&[&asked[..], &["auto"]].concat());
    let answered = model(&auto);
    agree(&expected, &classes(&auto));
    let offered = &answered["engine"]["providers"]["offered"];
    if offered.as_array().is_some_and(|offered| offered.len() == 1) {
        let error = sandbox.fail(&[&["serve", "--port", "0"], &asked[..], &["openvino"]].concat());
        assert!(error.contains("OpenVINO's provider takes Intel's"), "{error}");
        fixtures::say_skipped("OpenVINO's provider takes no processor but Intel's");
        return;
    }
    let reason = answered["plan"]["provider"]["reason"].as_str().unwrap();
    assert!(reason.contains(" times as fast as cpu for an image that is alone, and "), "{reason}");
    let server = sandbox.serve(&[&asked[..], &["openvino"]].concat());
    let answered = model(&server);
    assert_eq!((&answered["state"], &answered["plan"]["provider"]["provider"]), (&"READY".into(), &"openvino".into()));
    agree(&expected, &classes(&server));
}

/// The same classes, with scores that differ by what sums in another order make.
fn agree(expected: &Value, found: &Value) {
    let (expected, found) = (expected.as_array().expect("classes"), found.as_array().expect("classes"));
    let score = |class: &Value| class["score"].as_f64().expect("a number");
    assert_eq!(expected.len(), found.len());
    for (expected, found) in expected.iter().zip(found) {
        let difference = score(expected) - score(found);
        assert!(expected["label"] == found["label"] && difference.abs() < 1e-4, "{expected} {found}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a setting of the test, not of the program")]
fn openvino() -> Option<PathBuf> {
    let path = std::env::var_os("GRAFT_OPENVINO").filter(|path| !path.is_empty());
    if path.is_none() {
        fixtures::say_skipped("set GRAFT_OPENVINO to the library of OpenVINO's provider");
    }
    path.map(PathBuf::from)
}
