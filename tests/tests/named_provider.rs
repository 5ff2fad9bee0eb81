//! A provider outside of a server's answers: in fine-tunes, evaluations and `graft classify`, and in a server's jobs.

use std::path::Path;

use fixtures::Library;
use serde_json::{Value, json};
use tests::images::{base_model, color_folders, example, write};
use tests::server::{Sandbox, json, text};

/// A folder with a model, a data set and a picture.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let _folder = color_folders(sandbox.path("pictures"), 12);
    write(&sandbox.path("red.bmp"), &example("red"));
    sandbox
}

/// Commands that run finished networks.
fn commands(sandbox: &Sandbox) -> Vec<Vec<String>> {
    let [data, picture, out] = ["pictures", "red.bmp", "demo"].map(|name| text(&sandbox.path(name)).to_owned());
    let commands: [&[&str]; 6] = [
        &["finetune", "--base", "base", "--name", "colors", "--data", &data],
        &["finetune", "--base", "base", "--name", "colors", "--plan", "--data", &data],
        &["data", "check", "--base", "base", &data],
        &["evaluate", "--model", "base", "--data", &data],
        &["classify", "--model", "base", &picture],
        &["demo", "--base", "base", "--out", &out],
    ];
    commands.iter().map(|command| command.iter().map(|&argument| argument.to_owned()).collect()).collect()
}

/// A command with other options behind its own.
fn with<'a>(command: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    command.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

/// The report of the first version of a model.
fn report(sandbox: &Sandbox, name: &str) -> Value {
    let file = sandbox.path(&format!("data/models/{name}/1/report.json"));
    serde_json::from_slice(&std::fs::read(file).expect("a report")).expect("JSON")
}

#[test]
fn a_provider_by_name_is_had_or_refused_by_every_command_that_runs_models() {
    let sandbox = sandbox();
    let named = sandbox.path("no-library.so");
    write(&named, b"no library");
    for command in commands(&sandbox) {
        let error = sandbox.fail(&with(&command, &["--engine", "tract", "--provider", "openvino"]));
        assert!(error.contains("--provider openvino computes inside ONNX Runtime, and the engine is tract"), "{error}");
        if Library::OnnxRuntime.path().is_none() {
            continue;
        }
        let asked = ["--engine", "ort", "--provider", "openvino", "--openvino-lib", text(&named)];
        let error = sandbox.fail(&with(&command, &asked));
        for part in ["no usable OpenVINO", text(&named), "graft runtime install openvino", "--provider cpu"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
    assert!(!sandbox.path("data/models/colors").exists(), "nothing was trained");
}

#[test]
fn what_writes_or_verifies_models_takes_no_provider() {
    let sandbox = sandbox();
    let file = sandbox.path("base.onnx");
    let data = sandbox.path("pictures");
    let import = ["import", text(&file), "--name", "copy", "--provider", "cpu"];
    let quantize = ["quantize", "base", "--data", text(&data), "--provider", "cpu"];
    for command in [&import[..], &quantize] {
        let error = sandbox.fail(command);
        assert!(error.contains("unexpected argument '--provider' found"), "{error}");
    }
}

/// `auto` looks for no provider where features are computed, even for one whose library is named.
#[test]
fn auto_is_the_own_kernels_outside_of_a_server() {
    if Library::OnnxRuntime.path().is_none() {
        return;
    }
    let sandbox = sandbox();
    let data = sandbox.path("pictures");
    let train = ["finetune", "--base", "base", "--data", text(&data), "--name", "colors"];
    let output = sandbox.succeed(&[&train[..], &["--engine", "ort", "--openvino-lib", "/nowhere.so"]].concat());
    assert!(output.contains("engine ort") && !output.contains("provider"), "{output}");
    assert_eq!(report(&sandbox, "colors")["provider"], "cpu");
    let evaluate = ["evaluate", "--model", "colors", "--data", text(&data), "--format", "json", "--engine"];
    let evaluated = |engine| serde_json::from_str::<Value>(&sandbox.succeed(&[&evaluate[..], &[engine]].concat()));
    assert_eq!(evaluated("ort").unwrap()["provider"], "cpu");
    let tract = evaluated("tract").unwrap();
    assert_eq!((&tract["engine"], tract.get("provider")), (&json!("tract"), None));
}

/// With the library that `GRAFT_OPENVINO` names. It takes Intel's processors only; on another the commands say so.
#[test]
fn features_of_openvino_give_the_same_model() {
    let Some(library) = openvino() else { return };
    let sandbox = sandbox();
    let library = text(&library);
    let data = sandbox.path("pictures");
    let train = |name, provider| {
        let train = ["finetune", "--base", "base", "--data", text(&data), "--strategy", "head", "--name", name];
        let asked = ["--engine", "ort", "--openvino-lib", library, "--provider", provider];
        sandbox.run(&[&train[..], &asked].concat())
    };
    let output = |name, provider| {
        let output = train(name, provider);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let own = output("own", "cpu");
    assert!(own.contains("(0 of 36 images cached)") && !own.contains("provider"), "{own}");
    let first = train("other", "openvino");
    if !first.status.success() {
        let error = String::from_utf8_lossy(&first.stderr);
        assert!(error.contains("OpenVINO's provider takes Intel's"), "{error}");
        fixtures::say_skipped("OpenVINO's provider takes no processor but Intel's");
        return;
    }
    let first = String::from_utf8_lossy(&first.stdout).into_owned();
    // Features that ONNX Runtime's own kernels have computed are not taken for OpenVINO's.
    for part in ["provider openvino: chosen by --provider; OpenVINO found ", "(0 of 36 images cached)"] {
        assert!(first.contains(part), "{part}: {first}");
    }
    assert!(output("third", "openvino").contains("(36 of 36 images cached)"));
    assert!(output("fourth", "cpu").contains("(36 of 36 images cached)"));
    let [own, other] = ["own", "other"].map(|name| report(&sandbox, name));
    assert_eq!((&own["provider"], &other["provider"]), (&json!("cpu"), &json!("openvino")));
    // Three plain colors: either is perfect, or something is wrong.
    assert_eq!((&own["test"]["top1"], &other["test"]["top1"]), (&json!(1.0), &json!(1.0)));
    // What is published was compared with the own kernels of both engines.
    let verified: Vec<&str> =
        other["parity"].as_array().unwrap().iter().map(|row| row["engine"].as_str().unwrap()).collect();
    assert_eq!(verified, ["ort", "tract"]);
    answers_agree(&sandbox, library);
    jobs_run_in_it(&sandbox, library);
}

/// `graft classify` and `graft evaluate` with a provider answer as without.
fn answers_agree(sandbox: &Sandbox, library: &str) {
    let [picture, data] = ["red.bmp", "pictures"].map(|name| sandbox.path(name));
    let asked = ["--format", "json", "--engine", "ort", "--openvino-lib", library, "--provider"];
    let run = |command: &[&str], provider| {
        serde_json::from_str::<Value>(&sandbox.succeed(&[command, &asked[..], &[provider]].concat())).expect("JSON")
    };
    let classified = |provider| {
        let answer = run(&["classify", "--model", "own", text(&picture)], provider);
        let class = &answer["predictions"][0];
        (class["label"].clone(), class["score"].as_f64().expect("a score"))
    };
    let ((expected, score), (label, other)) = (classified("cpu"), classified("openvino"));
    assert!(expected == "red" && label == "red" && (score - other).abs() < 1e-4, "{score} {other}");
    let report = run(&["evaluate", "--model", "own", "--data", text(&data)], "openvino");
    assert_eq!((&report["provider"], &report["result"]["top1"]), (&json!("openvino"), &json!(1.0)));
}

/// The jobs of a server have its provider.
fn jobs_run_in_it(sandbox: &Sandbox, library: &str) {
    let server = sandbox.serve(&["--engine", "ort", "--provider", "openvino", "--openvino-lib", library]);
    let data = sandbox.path("pictures");
    let request = json!({
        "base_model": "base", "name": "served", "dataset": {"kind": "folder", "path": text(&data)},
        "options": {"strategy": "head"},
    });
    let accepted = json(server.post_json("/finetune", &request));
    let job = server.finished(accepted["id"].as_str().expect("a job"));
    assert_eq!(job["state"], "succeeded", "{job}");
    let report = &json(server.get("/models/served"))["report"];
    let (top1, cached) = (&report["test"]["top1"], &report["images"]["cached"]);
    assert_eq!((&report["provider"], top1, cached), (&json!("openvino"), &json!(1.0), &json!(36)));
}

#[expect(clippy::disallowed_methods, reason = "a setting of the test, not of the program")]
fn openvino() -> Option<std::path::PathBuf> {
    let path = std::env::var_os("GRAFT_OPENVINO").filter(|path| !path.is_empty());
    if path.is_none() {
        fixtures::say_skipped("set GRAFT_OPENVINO to the library of the provider");
    }
    path.map(|path| Path::new(&path).to_owned()).filter(|_| Library::OnnxRuntime.path().is_some())
}
