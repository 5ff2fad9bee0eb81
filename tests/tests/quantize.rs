//! A model in 8-bit integers: from the command line, over HTTP, and while it serves.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::scope;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tests::images::{base_model, color_folders, example, write};
use tests::library;
use tests::server::{Request, Sandbox, Server, json, text};

/// By how much a variant must be faster than `f32` to answer, as docs/serving.md says.
const WORTH: f64 = 1.1;

/// A sandbox with a model `colors` of three plain colors, and its images.
fn sandbox(options: &[&str]) -> (Sandbox, String) {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = text(&color_folders(sandbox.path("pictures"), 12)).to_owned();
    let train = ["finetune", "--base", "base", "--data", &data, "--name", "colors"];
    let _output = sandbox.succeed(&[&train, options].concat());
    (sandbox, data)
}

fn manifest(sandbox: &Sandbox, version: u32) -> Value {
    let file = sandbox.path(&format!("data/models/colors/{version}/manifest.json"));
    serde_json::from_slice(&fs::read(file).expect("a manifest")).expect("JSON")
}

fn variant<'v>(variants: &'v Value, name: &str) -> &'v Value {
    let found = variants.as_array().and_then(|variants| variants.iter().find(|variant| variant["variant"] == name));
    found.unwrap_or_else(|| panic!("no {name} in {variants}"))
}

/// The variant that is to answer by the milliseconds that the server shows: the fastest, if it is fast enough. Both of these lose
/// nothing on the test images.
fn fastest(plan: &Value) -> &Value {
    let variants = plan["variants"].as_array().unwrap_or_else(|| panic!("no variants in {plan}"));
    let milliseconds = |variant: &&Value| variant["milliseconds"].as_f64().unwrap_or(f64::INFINITY);
    let best = variants.iter().min_by(|a, b| milliseconds(a).total_cmp(&milliseconds(b))).expect("a variant");
    let single = variant(&plan["variants"], "f32");
    // Each variant has raced `f32` by itself, so that one which is near the bound may lie on either side of it.
    match milliseconds(&single) / milliseconds(&best) {
        ratio if ratio >= 1.2 * WORTH => &best["variant"],
        _ => &plan["variant"],
    }
}

fn model(server: &Server) -> Value {
    json(server.get("/models/colors"))
}

/// What a request that names no variant is answered by: version and variant.
fn answering(server: &Server) -> (Value, Value) {
    let answer = json(server.post("/classify/bytes?model=colors", "application/octet-stream", example("red")));
    (answer["version"].clone(), answer["variant"].clone())
}

/// Starts a quantization and returns its address.
fn begin(server: &Server, data: &str) -> String {
    let dataset = json!({"layout": "folder", "path": data});
    let accepted = server.post_json("/quantize", &json!({"model": "colors", "dataset": dataset}));
    assert_eq!(accepted.status(), 202);
    accepted.headers()["location"].to_str().expect("an address").to_owned()
}

/// Waits until a quantization is over.
fn over(server: &Server, location: &str) -> Value {
    server.wait("the quantization is over", || {
        let job = json(server.get(location));
        (!["queued", "running"].contains(&job["state"].as_str()?)).then_some(job)
    })
}

/// Waits until this attempt of a quantization runs on images.
fn quantizing(server: &Server, location: &str, attempt: u32) {
    server.wait("the quantization runs", || {
        let events = json(server.get(&format!("{location}/events?limit=1000")));
        let is_quantizing = |event: &Value| event["attempt"] == attempt && event["event"]["phase"] == "quantization";
        events["data"].as_array()?.iter().any(is_quantizing).then_some(())
    });
}

/// The processes that a server has started: that of its job.
fn children(server: &Server) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{}/task", server.child().id())).expect("Linux");
    let threads = threads.map(|thread| thread.expect("a thread").path().join("children"));
    let children = threads.filter_map(|file| fs::read_to_string(file).ok()).collect::<String>();
    let children: Vec<Pid> = children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect();
    assert_eq!(children.len(), 1, "the job's process");
    children
}

/// The files of a version, by path, with their bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        match entry.is_dir() {
            true => found.extend(files(&entry)),
            false => found.push((text(&entry).to_owned(), fs::read(&entry).expect("a file"))),
        }
    }
    found.sort();
    found
}

/// The scores of the classes, by name.
fn scores(server: &Server, address: &str) -> Vec<(String, f64)> {
    let answer = json(server.post(address, "application/octet-stream", example("green")));
    let predictions = answer["results"][0]["predictions"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let mut scores: Vec<(String, f64)> = predictions
        .iter()
        .map(|prediction| {
            (prediction["label"].as_str().expect("a label").to_owned(), prediction["score"].as_f64().expect("a score"))
        })
        .collect();
    scores.sort_by(|a, b| a.0.cmp(&b.0));
    scores
}

#[test]
fn a_quantized_model_is_a_new_version_with_variants_that_are_measured_and_answer() {
    if !library::load() {
        return;
    }
    let (sandbox, data) = sandbox(&[]);
    let output = sandbox.succeed(&["quantize", "colors", "--data", &data, "--output", "json"]);
    let report: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((&report["version"], &report["live"]), (&json!(2), &json!(true)), "{report}");
    let report = &report["report"];
    // Of 36 images a quarter measures, as when the model was trained: 9, of which the rest is 27.
    assert_eq!((&report["test"]["images"], &report["test"]["subset"]), (&json!(9), &json!("test")), "{report}");
    assert_eq!(report["calibration"], json!({"subset": "train", "images": 27}), "{report}");
    // ResNet-18: 20 convolutions, 8 additions, a pooling and a linear layer.
    assert_eq!(report["quantized_nodes"], 30, "{report}");
    let (single, int8) = (variant(&report["variants"], "f32"), variant(&report["variants"], "int8"));
    assert_eq!((&single["accuracy"], &int8["agreement"]), (&json!(1.0), &json!(1.0)), "{report}");
    let bytes = |variant: &Value| variant["bytes"].as_f64().unwrap();
    assert!(bytes(int8) < 0.27 * bytes(single), "a quarter of the file, and scales: {report}");
    assert!(bytes(variant(&report["variants"], "fp16")) < 0.51 * bytes(single), "{report}");
    let errors: Vec<f64> =
        report["layers"].as_array().unwrap().iter().map(|layer| layer["error"].as_f64().unwrap()).collect();
    // 29 layers of 8 bits; a step is about a hundredth of the largest number, and rounding errors add up.
    assert_eq!(errors.len(), 29);
    assert!(errors.iter().all(|error| (1e-4..0.5).contains(error)), "{errors:?}");

    let recorded = manifest(&sandbox, 2);
    let stored = variant(&recorded["variants"], "int8");
    assert_eq!(stored["accuracy"], int8["accuracy"]);
    // Every third of the nine test images.
    assert_eq!(stored["golden"].as_array().unwrap().len(), 3);
    assert!(manifest(&sandbox, 1).get("variants").is_none(), "the version itself is left as it is");
    let exported = sandbox.path("int8.onnx");
    let _output = sandbox.succeed(&["export", "--model", "colors", "--variant", "int8", "--out", text(&exported)]);
    assert_eq!(fs::metadata(&exported).unwrap().len(), int8["bytes"].as_u64().unwrap());
    let sessions =
        onnx::engine::open_set(onnx::EngineKind::Ort, &fs::read(&exported).unwrap(), 2.try_into().unwrap()).unwrap();
    assert_eq!((sessions.obstacle.as_deref(), sessions.narrow.len()), (None, 2), "an image for each thread, as in f32");

    let server = sandbox.serve(&[]);
    let model = json(server.get("/models/colors"));
    assert_eq!(model["version"], 2, "the quantized version answers in the place of the one it was made of: {model}");
    assert_eq!(&model["plan"]["variant"], fastest(&model["plan"]), "{model}");
    let plan = &model["plan"];
    assert!(plan["alone_ms"].as_f64().unwrap() > 0.0 && plan["busy_ms"].as_f64().unwrap() > 0.0, "{plan}");
    assert!(plan["lanes"].as_u64().unwrap() >= 1 && !plan["reason"].as_str().unwrap().is_empty(), "{plan}");
    let list = json(server.get("/models"));
    let listed = list["data"].as_array().unwrap().iter().find(|listed| listed["name"] == "colors").unwrap();
    assert_eq!(&listed["plan"], plan, "the list shows the same");
    let serving: Vec<&Value> =
        model["plan"]["variants"].as_array().unwrap().iter().filter(|variant| variant["serving"] == true).collect();
    assert_eq!(serving.len(), 1, "{model}");
    assert_eq!(serving[0]["variant"], model["plan"]["variant"], "{model}");
    for name in ["f32", "int8"] {
        let variant = variant(&model["plan"]["variants"], name);
        assert!(variant["milliseconds"].as_f64().unwrap() > 0.0, "{variant}");
        assert!(!variant["reason"].as_str().unwrap().is_empty(), "{variant}");
    }
    let [single, int8] =
        ["f32", "int8"].map(|name| scores(&server, &format!("/classify/bytes?model=colors&variant={name}")));
    // They answer alike, and not the same: rounding to 8 bits moves every score.
    assert!(single.iter().zip(&int8).all(|(a, b)| (a.1 - b.1).abs() < 0.1), "{single:?} {int8:?}");
    assert!(single != int8);
    let answer =
        json(server.post("/classify/bytes?model=colors&variant=int8", "application/octet-stream", example("red")));
    assert_eq!((&answer["variant"], &answer["version"]), (&json!("int8"), &json!(2)), "{answer}");
    let wrong = server.post("/classify/bytes?model=base&variant=int8", "application/octet-stream", example("red"));
    let problem = json(wrong);
    assert_eq!(problem["code"], "variant_not_found", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("`graft quantize` makes them"), "{problem}");
}

#[test]
fn a_variant_that_costs_too_much_accuracy_or_that_the_engine_cannot_run_does_not_answer() {
    if !library::load() {
        return;
    }
    let (sandbox, _data) = sandbox(&["--model-precision", "auto"]);
    let report: Value =
        serde_json::from_slice(&fs::read(sandbox.path("data/models/colors/1/report.json")).unwrap()).unwrap();
    assert_eq!(report["quantization"]["test"]["images"], 9, "a fine-tune measures on its test images: {report}");

    let server = sandbox.serve(&["--max-accuracy-drop", "-1"]);
    let model = json(server.get("/models/colors"));
    assert_eq!(model["plan"]["variant"], "f32", "{model}");
    let reason = variant(&model["plan"]["variants"], "int8")["reason"].as_str().unwrap().to_owned();
    assert!(reason.ends_with("but it costs 0.00 points of accuracy, and --max-accuracy-drop allows -1"), "{reason}");
    drop(server);

    let server = sandbox.serve(&["--engine", "tract"]);
    let model = json(server.get("/models/colors"));
    assert_ne!(model["plan"]["variant"], "int8", "{model}");
    let reason = variant(&model["plan"]["variants"], "int8")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("use ONNX Runtime"), "{reason}");
}

#[test]
fn a_variant_that_does_not_reproduce_its_logits_on_this_machine_does_not_answer() {
    if !library::load() {
        return;
    }
    let (sandbox, _data) = sandbox(&["--model-precision", "auto"]);
    let file = sandbox.path("data/models/colors/1/manifest.json");
    let mut recorded = manifest(&sandbox, 1);
    let index =
        recorded["variants"].as_array().unwrap().iter().position(|variant| variant["variant"] == "int8").unwrap();
    let logit = recorded["variants"][index]["golden"][0][0].as_f64().unwrap();
    recorded["variants"][index]["golden"][0][0] = json!(logit + 100.0);
    fs::write(&file, serde_json::to_vec(&recorded).unwrap()).unwrap();
    let server = sandbox.serve(&[]);
    let model = json(server.get("/models/colors"));
    // On a busy machine `fp16`, which computes as `f32` does, may seem faster.
    assert!(model["state"] == "READY" && model["plan"]["variant"] != "int8", "{model}");
    let reason = variant(&model["plan"]["variants"], "int8")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("golden image 0") && reason.contains("of the largest"), "{reason}");
}

#[test]
fn a_quantization_over_http_is_a_job_that_publishes_a_version() {
    if !library::load() {
        return;
    }
    let (sandbox, data) = sandbox(&[]);
    let server = sandbox.serve(&[]);
    let location = begin(&server, &data);
    let job = over(&server, &location);
    assert_eq!((&job["state"], &job["published"]), (&json!("succeeded"), &json!(2)), "{job}");
    assert_eq!(job["report"]["version"], 1, "{job}");
    assert_eq!(job["deployment"]["decision"], "promoted", "{job}");
    let events = json(server.get(&format!("{location}/events?limit=1000")));
    let phases: Vec<&str> = events["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["event"]["type"] == "phase")
        .map(|event| event["event"]["phase"].as_str().unwrap())
        .collect();
    assert_eq!(phases, ["data", "quantization", "evaluation"], "{events}");
    assert_eq!(json(server.get("/models/colors"))["versions"], json!([1, 2]));
    assert_eq!(manifest(&sandbox, 2)["job"]["id"], job["id"]);

    let list = json(server.get("/quantize"));
    assert_eq!((&list["data"][0]["id"], list["data"][0].get("report")), (&job["id"], None), "{list}");
    assert_eq!(server.post_json(&format!("{location}/cancel"), &json!({})).status(), 409);
    let dataset = json!({"layout": "folder", "path": data});
    for (wrong, detail) in [
        (json!({"model": "colours", "dataset": dataset}), "there is no model `colours`"),
        (json!({"model": "colors", "version": 7, "dataset": dataset}), "has no version 7"),
        (json!({"model": "colors", "dataset": dataset, "options": {"calibration_images": 0}}), "calibration_images"),
        (json!({"model": "colors", "dataset": {"layout": "folder", "path": "/nowhere"}}), "/nowhere"),
    ] {
        let refused = server.post_json("/quantize", &wrong);
        assert_eq!(refused.status(), 422, "{wrong}");
        let problem = json(refused);
        assert_eq!(problem["code"], "quantization_refused", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
    }
}

#[test]
fn what_cannot_be_quantized_is_refused_with_advice() {
    let (sandbox, data) = sandbox(&[]);
    let error = sandbox.fail(&["--engine", "tract", "quantize", "colors", "--data", &data]);
    assert!(error.contains("tract runs no quantized networks; run `graft runtime install`"), "{error}");
    if !library::load() {
        return;
    }
    let error = sandbox.fail(&["quantize", "nobody", "--data", &data]);
    assert!(error.contains("there is no model `nobody`"), "{error}");
    let error = sandbox.fail(&["export", "--model", "colors", "--variant", "int8", "--out", "int8.onnx"]);
    assert!(error.contains("has no variant int8; `graft quantize colors` makes a version that has"), "{error}");
}

#[test]
fn quantizing_the_live_version_loses_no_request_and_the_fastest_variant_answers_then() {
    if !library::load() {
        return;
    }
    let (sandbox, data) = sandbox(&[]);
    let server = sandbox.serve(&[]);
    assert_eq!(answering(&server), (json!(1), Value::Null));
    let (ended, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    let answer =
                        server.post("/classify/bytes?model=colors", "application/octet-stream", example("green"));
                    let (status, body) = (answer.status(), json(answer));
                    assert_eq!(status, 200, "{body}");
                    assert_eq!(body["results"][0]["predictions"][0]["label"], "green", "{body}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let location = begin(&server, &data);
        let job = over(&server, &location);
        let before = answered.load(Ordering::Relaxed);
        server
            .wait("some more requests are answered", || (answered.load(Ordering::Relaxed) > before + 4).then_some(()));
        ended.store(true, Ordering::Relaxed);
        assert_eq!((&job["state"], &job["deployment"]["decision"]), (&json!("succeeded"), &json!("promoted")), "{job}");
    });
    let model = model(&server);
    assert_eq!((&model["live"], &model["version"]), (&json!(2), &json!(2)), "{model}");
    let fastest = fastest(&model["plan"]).clone();
    assert_eq!(answering(&server), (json!(2), fastest), "{model}");
}

#[test]
fn a_version_that_is_not_live_is_quantized_and_the_live_one_goes_on() {
    if !library::load() {
        return;
    }
    let (sandbox, data) = sandbox(&[]);
    let train = ["finetune", "--base", "base", "--data", &data, "--name", "colors", "--seed", "2"];
    let _output = sandbox.succeed(&train);
    let server = sandbox.serve(&[]);
    let dataset = json!({"layout": "folder", "path": data});
    let job = json(server.post_json("/quantize", &json!({"model": "colors", "version": 2, "dataset": dataset})));
    let job = over(&server, &format!("/quantize/{}", job["id"].as_str().expect("an id")));
    assert_eq!((&job["state"], &job["published"]), (&json!("succeeded"), &json!(3)), "{job}");
    assert_eq!(job["deployment"]["decision"], "stored", "{job}");
    let reason = job["deployment"]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("version 2 is not live; version 1 goes on answering"), "{reason}");
    assert_eq!(answering(&server), (json!(1), Value::Null));
    let output = sandbox.succeed(&["quantize", "colors", "--version", "2", "--data", &data]);
    assert!(output.contains("version 2 is not live; `graft models live colors 4` lets the new one answer"), "{output}");
}

#[test]
fn a_quantization_whose_process_or_server_is_killed_leaves_the_version_as_it_was_and_goes_on() {
    if !library::load() {
        return;
    }
    let (sandbox, data) = sandbox(&[]);
    let folder = sandbox.path("data/models/colors/1");
    let before = files(&folder);
    let server = sandbox.serve(&["--job-lease-seconds", "3"]);
    let location = begin(&server, &data);
    quantizing(&server, &location, 1);
    for child in children(&server) {
        kill_process(child, Signal::KILL).expect("SIGKILL");
    }
    quantizing(&server, &location, 2);
    server.kill();
    assert_eq!(json!(manifest(&sandbox, 1).get("variants")), Value::Null);
    assert!(files(&folder) == before, "not a byte of the version has changed");

    let server = sandbox.serve(&["--job-lease-seconds", "3"]);
    let job = over(&server, &location);
    assert_eq!((&job["state"], &job["published"]), (&json!("succeeded"), &json!(2)), "{job}");
    assert_eq!(json(server.get("/models/colors"))["versions"], json!([1, 2]), "one version, however many attempts");
    assert_eq!(model(&server)["live"], 2);
    assert!(files(&folder) == before);
}

#[test]
fn a_roll_back_and_a_promotion_choose_the_version_and_the_server_its_variant() {
    if !library::load() {
        return;
    }
    let (sandbox, data) = sandbox(&[]);
    let _output = sandbox.succeed(&["quantize", "colors", "--data", &data]);
    let server = sandbox.serve(&[]);
    let live = |version: u32| {
        let headers = &[("content-type", "application/json".to_owned())];
        let body = json!({"version": version}).to_string().into_bytes();
        let answer = server.request(Request { method: "PUT", path: "/models/colors/live", headers, body });
        assert_eq!(answer.status(), 200);
    };
    // A variant that somebody compares with goes with its version.
    let _compared = scores(&server, "/classify/bytes?model=colors&variant=int8");
    live(1);
    assert_eq!(answering(&server), (json!(1), Value::Null), "version 1 has one variant");
    assert_eq!(model(&server)["plan"]["variants"], json!([]));
    let gone = server.post("/classify/bytes?model=colors&variant=int8", "application/octet-stream", example("red"));
    assert_eq!(json(gone)["code"], "variant_not_found");
    live(2);
    let plan = model(&server)["plan"].clone();
    assert_eq!(answering(&server), (json!(2), fastest(&plan).clone()), "{plan}");
    let versions = json(server.get("/models/colors/versions"));
    assert_eq!(versions["data"][0]["variants"], json!(["f32", "fp16", "int8"]), "{versions}");
    assert_eq!(versions["data"][1]["variants"], json!(["f32"]), "{versions}");

    // The shadow is the variant that would answer.
    live(1);
    let headers = &[("content-type", "application/json".to_owned())];
    let body = json!({"version": 2, "share": 1.0}).to_string().into_bytes();
    let begun = server.request(Request { method: "PUT", path: "/models/colors/shadow", headers, body });
    assert!(begun.status().is_success(), "{}", json(begun));
    let shadow = server.wait("the shadow has compared an image", || {
        let _answer = answering(&server);
        let shadow = json(server.get("/models/colors/shadow"));
        (shadow["images"]["compared"].as_u64()? > 0).then_some(shadow)
    });
    assert!(["f32", "fp16", "int8"].map(Value::from).contains(&shadow["variant"]), "{shadow}");
    assert_eq!(shadow["agreement"], 1.0, "the versions are one network: {shadow}");
}

#[test]
fn the_open_inference_protocol_is_answered_by_the_variant_that_was_chosen() {
    if !library::load() {
        return;
    }
    let (sandbox, data) = sandbox(&[]);
    let _output = sandbox.succeed(&["quantize", "colors", "--data", &data]);
    let server = sandbox.serve(&[]);
    let headers =
        &[("inference-header-content-length", "0".to_owned()), ("content-type", "application/octet-stream".to_owned())];
    let request = Request { method: "POST", path: "/v2/models/colors/infer", headers, body: example("green") };
    let answer = server.request(request);
    assert_eq!(answer.status(), 200);
    let length: usize = answer.headers()["inference-header-content-length"].to_str().unwrap().parse().unwrap();
    let body = answer.bytes().unwrap();
    let (head, tensors) = body.split_at(length);
    let head: Value = serde_json::from_slice(head).unwrap();
    assert_eq!(head["model_version"], "2", "{head}");
    let outputs = head["outputs"].as_array().unwrap();
    let sizes = outputs.iter().map(|output| output["parameters"]["binary_data_size"].as_u64().unwrap() as usize);
    let start: usize = sizes.take(outputs.iter().position(|output| output["name"] == "probabilities").unwrap()).sum();
    let score = |class: usize| {
        let bytes = tensors[start + 4 * class..][..4].try_into().unwrap();
        f64::from(f32::from_le_bytes(bytes))
    };
    let labels: Vec<String> = serde_json::from_value(model(&server)["labels"].clone()).unwrap();
    // By the decimals that JSON has of an f32.
    let equal = |(label, expected): &(String, f64)| {
        let class = labels.iter().position(|other| other == label).unwrap();
        (score(class) - expected).abs() < 1e-6
    };
    let chosen = model(&server)["plan"]["variant"].as_str().unwrap().to_owned();
    let expected = scores(&server, &format!("/classify/bytes?model=colors&variant={chosen}"));
    assert!(expected.iter().all(equal), "{chosen} {expected:?}");
    let other = if chosen == "int8" { "f32" } else { "int8" };
    let expected = scores(&server, &format!("/classify/bytes?model=colors&variant={other}"));
    assert!(!expected.iter().all(equal), "{chosen} {other} {expected:?}");
}
