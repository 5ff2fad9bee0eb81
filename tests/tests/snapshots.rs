//! What people read, as it stands: help, errors of the command line, problems over HTTP, and a report. A changed text fails
//! here; `cargo insta review` shows the difference and accepts it, as does `INSTA_UPDATE=always cargo test --workspace`.

use insta::{Settings, assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};
use tests::images::{base_model, color_folders, write};
use tests::server::{Sandbox, Server, json, text};

/// Commands whose help is checked; the first is `graft --help` itself.
const COMMANDS: [&[&str]; 17] = [
    &[],
    &["serve"],
    &["finetune"],
    &["train"],
    &["lr-find"],
    &["classify"],
    &["evaluate"],
    &["quantize"],
    &["report"],
    &["import"],
    &["check"],
    &["export"],
    &["models"],
    &["pull"],
    &["arch"],
    &["runtime"],
    &["health"],
];

/// Settings under which texts that differ from run to run are the same: paths, ports, identifiers, variables.
fn settings(sandbox: &Sandbox) -> Settings {
    let mut settings = Settings::clone_current();
    settings.add_filter(&regex_escape(text(&sandbox.path(""))), "[SANDBOX]/");
    settings.add_filter(r"http://127\.0\.0\.1:\d+", "[SERVER]");
    settings.add_filter(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[UUID]");
    // clap prints the values of the variables that are set.
    settings.add_filter(r"\[env: (\w+)=[^\]]*\]", "[env: $1]");
    // Options that only some programs are built with.
    settings.add_filter(r"(?m)^ +--grpc-port <PORT>\n(?: {10}.*\n)+\n", "");
    settings.set_prepend_module_to_snapshot(false);
    settings
}

/// A path as a regular expression that matches nothing else.
fn regex_escape(path: &str) -> String {
    path.replace('.', r"\.")
}

#[test]
fn help_says_what_each_command_does() {
    let sandbox = Sandbox::default();
    settings(&sandbox).bind(|| {
        for command in COMMANDS {
            let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
            let name = if command.is_empty() { "help".to_owned() } else { format!("help_{}", command.join("_")) };
            assert_snapshot!(name, sandbox.succeed(&arguments));
        }
    });
}

#[test]
fn errors_of_the_command_line_say_what_to_do() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    write(&sandbox.path("notes.txt"), b"no model");
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let path = |name: &str| text(&sandbox.path(name)).to_owned();
    let [base, notes, empty, nowhere] = ["base.onnx", "notes.txt", "empty", "nowhere"].map(path);
    let table: [(&str, &[&str]); 8] = [
        ("an unknown command", &["predict", "photo.jpg"]),
        ("an unknown model", &["classify", "--model", "flowers", "photo.jpg"]),
        ("a missing model file", &["import", &nowhere, "--name", "base"]),
        ("a file that is no model", &["import", &notes, "--name", "base"]),
        ("a bad name", &["import", &base, "--name", "../x"]),
        ("a missing data set", &["finetune", "--base", "base", "--data", &nowhere, "--name", "x"]),
        ("an empty data set", &["finetune", "--base", "base", "--data", &empty, "--name", "x"]),
        (
            "a number out of range",
            &["finetune", "--base", "base", "--data", &empty, "--name", "x", "--validation", "2"],
        ),
    ];
    settings(&sandbox).bind(|| {
        for (name, arguments) in table {
            assert_snapshot!(format!("error_{}", name.replace(' ', "_")), sandbox.fail(arguments));
        }
    });
}

/// A server with the stored model `base`.
fn server(sandbox: &Sandbox) -> Server {
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    sandbox.serve(&[])
}

#[test]
fn problems_over_http_say_what_to_do() {
    let sandbox = Sandbox::default();
    let server = server(&sandbox);
    let job = "/finetune/00000000-0000-0000-0000-000000000000";
    let octets = "application/octet-stream";
    let fine_tune = |request: Value| server.post_json("/finetune", &request);
    let folder = |path: &str| json!({"kind": "folder", "path": path});
    let table = [
        ("an unknown address", server.get("/nothing")),
        ("another method", server.get("/classify")),
        ("an unknown job", server.get(job)),
        ("an unknown model", server.post("/classify/bytes?model=bas", octets, vec![1])),
        ("no image", server.post("/classify/bytes?model=base", octets, b"a text".to_vec())),
        ("an unknown parameter", server.post("/classify/bytes?mode=base", octets, vec![1])),
        ("no JSON", server.post("/finetune", "application/json", b"{".to_vec())),
        ("another content type", server.post("/finetune", "text/plain", b"{}".to_vec())),
        ("a missing field", fine_tune(json!({"dataset": folder("x")}))),
        ("an unknown base", fine_tune(json!({"base_model": "bas", "dataset": folder("x"), "name": "new"}))),
    ];
    settings(&sandbox).bind(|| {
        for (name, answer) in table {
            let status = answer.status().as_u16();
            let problem = json(answer);
            assert_eq!(problem["status"], status, "{name}");
            assert_json_snapshot!(format!("problem_{}", name.replace(' ', "_")), problem);
        }
    });
}

#[test]
fn a_report_has_every_figure() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let colors = color_folders(sandbox.path("colors"), 8);
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    // ONNX Runtime, where there is one, is said with its provider.
    let train = ["finetune", "--base", "base", "--data", text(&colors), "--name", "colors", "--engine", "tract"];
    let _output = sandbox.succeed(&train);
    let report = std::fs::read(sandbox.path("data/models/colors/1/report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    settings(&sandbox).bind(|| assert_json_snapshot!("report", shape(&report)));
}

/// A JSON value with its keys, and with the types in the place of values, which differ between machines.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
        Value::Array(items) => items.first().map_or_else(|| json!([]), |first| json!([shape(first)])),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
        Value::Bool(_) => json!("boolean"),
        Value::Null => Value::Null,
    }
}
