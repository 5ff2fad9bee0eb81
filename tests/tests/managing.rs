//! Models as people manage them: over HTTP, by the command line, while requests come in, and when somebody is killed.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, Response, multipart};
use serde_json::{Value, json};
use tests::images::{base_model, color_folders, example, tiny_base_model, write};
use tests::server::{Request, Sandbox, Server, json, text};

/// How long the promotions may take: each loads a network of some kilobytes.
const PROMOTIONS_TAKE: Duration = Duration::from_secs(120);

/// A sandbox with the base `base` and two versions of the classifier `colors`, the first of them live.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let pictures = color_folders(sandbox.path("pictures"), 8);
    for seed in ["1", "2"] {
        let data = text(&pictures);
        let _output =
            sandbox.succeed(&["finetune", "--base", "base", "--data", data, "--name", "colors", "--seed", seed]);
    }
    sandbox
}

fn call(server: &Server, (method, path): (&str, &str), body: &Value) -> Response {
    let headers = &[("content-type", "application/json".to_owned())];
    server.request(Request { method, path, headers, body: body.to_string().into_bytes() })
}

fn set_live(server: &Server, version: u32) -> Response {
    call(server, ("PUT", "/models/colors/live"), &json!({"version": version}))
}

fn model(server: &Server) -> Value {
    json(server.get("/models/colors"))
}

/// Sends a model as a form: `(part, file name, bytes)`.
fn send(server: &Server, parts: &[(&str, &str, &[u8])]) -> Response {
    let form = parts.iter().fold(multipart::Form::new(), |form, (name, file, bytes)| {
        let part = multipart::Part::bytes(bytes.to_vec());
        form.part((*name).to_owned(), if file.is_empty() { part } else { part.file_name((*file).to_owned()) })
    });
    let client = Client::builder().timeout(Duration::from_secs(600)).build().expect("a client");
    client.post(format!("{}/models", server.url())).multipart(form).send().expect("an answer")
}

#[test]
fn a_model_that_is_sent_is_the_one_that_the_command_imports() {
    let sandbox = sandbox();
    let server = sandbox.serve(&[]);
    let classifier = sandbox.path("colors.onnx");
    let _output = sandbox.succeed(&["export", "--model", "colors", "--out", text(&classifier)]);
    let onnx = std::fs::read(&classifier).expect("a file");
    let answer = send(&server, &[("name", "", b"sent"), ("file", "colors.onnx", &onnx)]);
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["location"], "/models/sent/versions/1");
    let sent = json(answer);
    assert_eq!(
        (&sent["version"], &sent["model"]["live"], &sent["model"]["state"]),
        (&json!(1), &json!(1), &json!("READY"))
    );
    let remarks = sent["remarks"].to_string();
    assert!(
        remarks.contains("agrees with graft's own executor") && remarks.contains("stored `sent` version 1"),
        "{remarks}"
    );
    let _output = sandbox.succeed(&["import", text(&classifier), "--name", "imported"]);
    let imported = server.wait("the import is seen", || {
        let answer = server.get("/models/imported/versions/1");
        answer.status().is_success().then(|| json(answer))
    });
    let sent = json(server.get("/models/sent/versions/1"));
    for field in ["labels", "preprocess", "architecture", "bytes"] {
        assert_eq!(sent[field], imported[field], "{field}");
    }
    let answer = server.post("/classify/bytes?model=sent", "image/bmp", example("red"));
    assert_eq!(json(answer)["results"][0]["predictions"][0]["label"], "red");
    let downloaded = server.get("/models/sent/versions/1/onnx").bytes().expect("bytes");
    assert!(onnx::ModelFile::decode(downloaded.to_vec()).is_ok());

    // A second version does not answer before somebody says so.
    let again = json(send(&server, &[("name", "", b"sent"), ("file", "colors.onnx", &onnx)]));
    assert_eq!(
        (&again["version"], &again["model"]["live"], &again["model"]["version"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert!(again["remarks"].to_string().contains("version 1 goes on answering"), "{again}");
    server.wait("nothing is left of the uploads", || {
        let left = std::fs::read_dir(sandbox.path("data/incoming")).expect("the folder of uploads").count();
        (left == 0).then_some(())
    });
}

#[test]
fn a_model_that_cannot_be_imported_is_refused_in_the_words_of_the_command() {
    let sandbox = Sandbox::default();
    let server = sandbox.serve(&[]);
    let onnx = base_model();
    for (parts, expected) in [
        (&[("file", "cat.onnx", &example("red")[..])][..], "cat.onnx"),
        (&[("file", "cut.onnx", &onnx[..onnx.len() / 2])], "cut.onnx"),
        (
            &[("file", "base.onnx", &onnx), ("labels", "", b"one\ntwo")],
            "labels.txt names 2 class(es), and the network has 10",
        ),
        (&[("file", "base.onnx", &onnx), ("preprocessing", "", b"fancy")], "invalid value 'fancy' for '--preprocess"),
        (&[("file", "base.onnx", &onnx), ("preprocessing", "", br#"{"size": "0"}"#)], "--size"),
    ] {
        let answer = send(&server, &[&[("name", "", &b"mine"[..])], parts].concat());
        assert_eq!(answer.status(), 422);
        let problem = json(answer);
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(problem["code"] == "model_refused" && detail.contains(expected), "{problem}");
        assert!(!detail.contains(text(&sandbox.path(""))), "no path of the server is told: {detail}");
    }
    assert_eq!(server.get("/models/mine").status(), 404);
}

#[test]
fn fifty_promotions_and_roll_backs_under_load_fail_no_request() {
    let sandbox = sandbox();
    let server = sandbox.serve(&[]);
    let (done, answered, failed) = (AtomicBool::new(false), [const { AtomicU64::new(0) }; 3], AtomicU64::new(0));
    let started = Instant::now();
    let promotions = scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let image = example("red");
                while !done.load(Ordering::Relaxed) {
                    let answer = server.post("/classify/bytes?model=colors", "image/bmp", image.clone());
                    if !answer.status().is_success() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    let version = json(answer)["version"].as_u64().expect("a version") as usize;
                    answered[version].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut promotions = 0;
        for number in 0..50 {
            let version = 1 + (number + 1) % 2;
            let answer = set_live(&server, version);
            promotions += u32::from(answer.status().is_success() && json(answer)["version"] == version);
        }
        done.store(true, Ordering::Relaxed);
        promotions
    });
    let [_, first, second] = answered.map(AtomicU64::into_inner);
    assert_eq!((promotions, failed.into_inner()), (50, 0), "{first} and {second} answers");
    assert!(first > 0 && second > 0, "both versions have answered: {first}, {second}");
    assert!(started.elapsed() < PROMOTIONS_TAKE, "{:?}", started.elapsed());
    assert_eq!(model(&server)["live"], 1);
}

#[test]
fn a_server_that_is_killed_while_it_promotes_has_one_of_the_two_versions_live_and_both_in_the_store() {
    let sandbox = sandbox();
    let mut server = sandbox.serve(&[]);
    for number in 0..8_u32 {
        let version = 1 + (number + 1) % 2;
        let (url, client) = (format!("{}/models/colors/live", server.url()), Client::new());
        let body = json!({"version": version}).to_string();
        let promoting = std::thread::spawn(move || {
            // The connection may break.
            client.put(url).header("content-type", "application/json").body(body).send().is_ok()
        });
        // A promotion takes some milliseconds: the moments of the kills lie before, in and behind it.
        sleep(Duration::from_millis(u64::from(number) * 6));
        server.kill();
        let _answered = promoting.join().expect("the client's thread");
        server = sandbox.serve(&[]);
        let model = model(&server);
        assert_eq!((&model["versions"], &model["state"]), (&json!([1, 2]), &json!("READY")), "{model}");
        assert!(model["live"] == model["version"] && model.get("reason").is_none(), "{model}");
    }
}

#[test]
fn a_running_server_follows_the_command_line() {
    let sandbox = sandbox();
    let server = sandbox.serve(&[]);
    let models = |arguments: &[&str]| {
        let output = sandbox.succeed(&[&["models"], arguments, &["--output", "json"]].concat());
        serde_json::from_str::<Value>(&output).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output}"))
    };
    let shown = models(&["show", "colors"]);
    assert_eq!((&shown["live"], shown["versions"].as_array().map(Vec::len)), (&json!(1), Some(2)));
    assert_eq!(models(&["live", "colors"])["live"], 2, "the newest");
    server.wait("version 2 answers", || (model(&server)["version"] == 2).then_some(()));
    assert_eq!(models(&["live", "colors", "1"])["live"], 1);
    server.wait("version 1 answers", || (model(&server)["version"] == 1).then_some(()));

    assert_eq!(models(&["unload", "colors"])["availability"], "stopped");
    server.wait("it is unloaded", || (model(&server)["state"] == "STOPPED").then_some(()));
    let answer = server.post("/classify/bytes?model=colors", "image/bmp", example("red"));
    assert_eq!((answer.status().as_u16(), json(answer)["code"].as_str()), (503, Some("model_unloaded")));
    assert_eq!(models(&["load", "colors"])["availability"], "served");
    server.wait("it is loaded", || (model(&server)["state"] == "READY").then_some(()));

    write(&sandbox.path("names.txt"), b"blau\ngruen\nrot\n");
    let labeled = models(&["label", "colors", "1", text(&sandbox.path("names.txt"))]);
    assert_eq!(labeled["versions"][0]["labels"], json!(["blau", "gruen", "rot"]));
    server.wait("the names are seen", || (model(&server)["labels"][2] == "rot").then_some(()));
    assert_eq!(models(&["note", "colors", "the shop window"])["notes"], "the shop window");
    assert_eq!(models(&["note", "colors", "by Ada", "--version", "2"])["versions"][1]["notes"], "by Ada");
    assert_eq!(models(&["default", "colors"]), json!({"default": "colors"}));
    server.wait("it is the default", || (model(&server)["default"] == true).then_some(()));
    assert_eq!(models(&["default", "--clear"]), json!({"default": null}));

    let refused = sandbox.fail(&["models", "delete", "colors", "1"]);
    assert!(refused.contains("version 1 of `colors` is live"), "{refused}");
    let left = models(&["delete", "colors", "2"]);
    assert_eq!(left["versions"].as_array().map(Vec::len), Some(1));
    server.wait("it is gone", || (model(&server)["versions"] == json!([1])).then_some(()));
    for (arguments, expected) in [
        (&["live", "colors", "7"][..], "has no version 7"),
        (&["live", "nope"], "there is no model `nope`"),
        (&["unload", "nope"], "there is no model `nope`"),
        (&["shadow", "colors"], "has no shadow"),
        (&["shadow", "colors", "1"], "it is live"),
    ] {
        let error = sandbox.fail(&[&["models"], arguments].concat());
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn a_version_that_does_not_reproduce_its_golden_answers_is_not_made_live_by_the_command_either() {
    let sandbox = sandbox();
    let golden = sandbox.path("data/models/colors/2/golden/golden.json");
    let mut entries: Value = serde_json::from_slice(&std::fs::read(&golden).expect("a file")).expect("JSON");
    entries[0]["logits"][0] = json!(99.0);
    write(&golden, entries.to_string().as_bytes());
    let error = sandbox.fail(&["models", "live", "colors", "2"]);
    assert!(error.contains("cannot serve: golden image") && error.contains("version 1 stays live"), "{error}");
    let listed: Value = serde_json::from_str(&sandbox.succeed(&["models", "--output", "json"])).expect("JSON");
    assert_eq!(listed[1]["version"], 1, "{listed}");
}

#[test]
fn every_listing_command_prints_json() {
    let sandbox = sandbox();
    for arguments in [
        &["models"][..],
        &["models", "show", "colors"],
        &["models", "default"],
        &["data", "list"],
        &["arch", "list"],
        &["arch", "show", "resnet18"],
        &["runtime", "show"],
        &["config"],
    ] {
        for option in [&["--output", "json"][..], &["--format=json"]] {
            let output = sandbox.succeed(&[arguments, option].concat());
            let parsed = serde_json::from_str::<Value>(&output);
            assert!(parsed.is_ok(), "{arguments:?} {option:?}: {output}");
        }
    }
}

#[test]
fn shells_complete_commands_and_manual_pages_are_written() {
    let sandbox = Sandbox::default();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sandbox.succeed(&["completions", shell]);
        assert!(script.contains("finetune") && script.contains("min-top1"), "{shell}");
        if shell == "bash" {
            write(&sandbox.path("graft.bash"), script.as_bytes());
            // bash reads it, and offers the command that begins so.
            let line = format!(
                ". {} && COMP_WORDS=(graft comp) COMP_CWORD=1 && _graft graft comp graft && echo \"${{COMPREPLY[@]}}\"",
                text(&sandbox.path("graft.bash"))
            );
            let output = Command::new("bash").args(["-c", &line]).output().expect("bash starts");
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "completions");
        }
    }
    let error = sandbox.fail(&["completions", "tcsh"]);
    assert!(error.contains("possible values: bash, elvish, fish, powershell, zsh"), "{error}");
    let folder = sandbox.path("man");
    let _output = sandbox.succeed(&["man", "--out", text(&folder)]);
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a page");
    assert!(page("graft.1").contains(".TH graft 1") && page("graft.1").contains("Exit codes"), "{}", page("graft.1"));
    assert!(page("graft-models-live.1").contains("golden") || page("graft-models-live.1").contains("VERSION"));
    assert!(!folder.join("graft-job.1").exists(), "what servers alone run is not documented");
}
