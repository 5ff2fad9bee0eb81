//! What becomes of the version that a fine-tune makes: nothing, a promotion, a refusal, a shadow.

use serde_json::{Value, json};
use tests::images::{color_folders, example, tiny_base_model, write};
use tests::server::{Request, Sandbox, Server, json, text};

/// A sandbox with a base and pictures of three colors.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let _pictures = color_folders(sandbox.path("pictures"), 20);
    sandbox
}

/// Weights by which a head learns that everything is red, which a third of the images are.
const ALL_RED: &str = "red=1000000,green=0.000001,blue=0.000001";

fn all_red() -> Value {
    json!({"class_weights": {"red": 1e6, "green": 1e-6, "blue": 1e-6}})
}

/// Fine-tunes `colors` as this says, and waits for the end.
fn finetune(server: &Server, (sandbox, options, deploy): (&Sandbox, Value, Value)) -> Value {
    let request = json!({
        "base_model": "base",
        "name": "colors",
        "dataset": {"layout": "folder", "path": sandbox.path("pictures")},
        "options": options,
        "deploy": deploy,
    });
    let job = json(server.post_json("/finetune", &request));
    let job = server.finished(job["id"].as_str().unwrap_or_else(|| panic!("{job}")));
    assert_eq!(job["state"], "succeeded", "{job}");
    job
}

fn live(server: &Server) -> (u64, u64) {
    let model = json(server.get("/models/colors"));
    (model["live"].as_u64().expect("a live version"), model["version"].as_u64().expect("a version that answers"))
}

/// The messages of a job's events of this type.
fn messages(server: &Server, job: &Value, kind: &str) -> Vec<String> {
    let events = json(server.get(&format!("/finetune/{}/events?limit=100", job["id"].as_str().expect("an id"))));
    let events = events["data"].as_array().expect("events").iter().map(|event| &event["event"]);
    events.filter(|event| event["type"] == kind).map(|event| event["message"].to_string()).collect()
}

#[test]
fn a_new_version_answers_only_if_somebody_asked_for_it_and_it_passes_its_gate() {
    let sandbox = sandbox();
    let server = sandbox.serve(&[]);
    let first = finetune(&server, (&sandbox, json!({}), json!({"mode": "none"})));
    assert_eq!(first["result"]["deployment"]["decision"], "first");
    assert_eq!(live(&server), (1, 1));
    let top1 = &first["result"]["metrics"]["test_top1"];
    assert!(top1.as_f64().expect("a share") > 0.9, "colors are easy: {top1}");

    // Without a word, a name that answers is never replaced.
    let stored = finetune(&server, (&sandbox, all_red(), json!({})));
    assert_eq!(
        (&stored["result"]["version"], &stored["result"]["deployment"]["decision"]),
        (&json!(2), &json!("stored"))
    );
    assert_eq!(live(&server), (1, 1));
    assert!(messages(&server, &stored, "note").iter().any(|note| note.contains("version 1 goes on answering")));

    // A drop against the live version, on the same test images.
    let gate = json!({"mode": "on_success", "max_drop": 0.05});
    let refused = finetune(&server, (&sandbox, all_red(), gate));
    let deployment = &refused["result"]["deployment"];
    assert_eq!((&deployment["decision"], &deployment["gate"]["live"]), (&json!("refused"), &json!(1)));
    assert_eq!(live(&server), (1, 1));
    let measured = &deployment["gate"];
    assert_eq!(&measured["live_top1"], top1, "both were trained with the same images and seed, so it is the same test");
    assert_eq!(measured["top1"], refused["result"]["metrics"]["test_top1"]);
    assert!(messages(&server, &refused, "warning").iter().any(|warning| warning.contains("is not deployed")));
    let report = json(server.get("/models/colors/versions/3/report"));
    assert_eq!(&report["deployment"], deployment, "the report says it, too");
    let page = server.get_with("/models/colors/versions/3/report", "accept", "text/html").text().expect("a page");
    assert!(page.contains("Not deployed") && page.contains("max_drop allows 5.0 points less"));

    // A number alone.
    let gate = json!({"mode": "on_success", "min_top1": 0.9});
    let refused = finetune(&server, (&sandbox, all_red(), gate.clone()));
    assert!(refused["result"]["deployment"]["reason"].to_string().contains("min_top1 asks for 90.0 %"), "{refused}");
    let passed = finetune(&server, (&sandbox, json!({"seed": 0}), gate));
    assert_eq!(passed["result"]["deployment"]["decision"], "promoted");
    assert_eq!(live(&server), (5, 5), "it answers before the job is over");
}

#[test]
fn a_gate_refuses_the_first_version_of_a_model_too_and_it_can_be_loaded_by_hand() {
    let sandbox = sandbox();
    let server = sandbox.serve(&[]);
    let refused = finetune(&server, (&sandbox, all_red(), json!({"mode": "on_success", "min_top1": 0.99})));
    assert!(refused["result"]["deployment"]["reason"].to_string().contains("it does not answer"), "{refused}");
    assert_eq!(json(server.get("/models/colors"))["state"], "STOPPED");
    let loaded = json(server.post("/models/colors/load", "text/plain", vec![]));
    assert_eq!((&loaded["state"], &loaded["version"]), (&json!("READY"), &json!(1)));
}

#[test]
fn options_that_make_no_sense_are_refused_before_anything_is_trained() {
    let sandbox = sandbox();
    let server = sandbox.serve(&[]);
    let pictures = sandbox.path("pictures");
    for (deploy, status, expected) in [
        (json!({"mode": "on_success", "min_top1": 90}), 422, "min_top1 is 90; it must be between 0 and 1"),
        (json!({"max_drop": 0.1}), 422, "max_drop has no effect with `deploy` `none`"),
        (json!({"mode": "on_success", "shadow_share": 0.5}), 422, "shadow_share has no effect"),
        (json!({"mode": "always"}), 422, "unknown variant `always`"),
        (json!({"gate": 0.9}), 422, "unknown field `gate`"),
    ] {
        let dataset = json!({"layout": "folder", "path": pictures});
        let request = json!({"base_model": "base", "name": "colors", "dataset": dataset, "deploy": deploy});
        let answer = server.post_json("/finetune", &request);
        assert_eq!(answer.status(), status);
        let problem = json(answer);
        assert!(problem["detail"].to_string().contains(expected), "{problem}");
    }
    let data = text(&pictures);
    let error = sandbox.fail(&["finetune", "--base", "base", "--data", data, "--name", "colors", "--min-top1", "0.9"]);
    assert!(error.contains("min_top1 has no effect with `deploy` `none`"), "{error}");
    assert_eq!(server.get("/models/colors").status(), 404);
}

#[test]
fn the_command_deploys_as_jobs_do() {
    let sandbox = sandbox();
    let pictures = sandbox.path("pictures");
    let finetune = |options: &[&str]| {
        let command = ["finetune", "--base", "base", "--data", text(&pictures), "--name", "colors"];
        sandbox.succeed(&[&command, options].concat())
    };
    let live = || {
        let shown = sandbox.succeed(&["models", "show", "colors", "--output", "json"]);
        serde_json::from_str::<Value>(&shown).expect("JSON")
    };
    assert!(finetune(&[]).contains("it is the first version of the model, and answers"));
    assert!(finetune(&[]).contains("version 1 goes on answering"));
    assert_eq!(live()["live"], 1);
    assert!(finetune(&["--deploy", "on_success", "--max-drop", "0"]).contains("it takes the place of version 1"));
    assert_eq!(live()["live"], 3);
    let said = finetune(&["--deploy", "on_success", "--min-top1", "0.9", "--class-weights", ALL_RED]);
    assert!(said.contains("version 3 goes on answering"), "{said}");
    assert_eq!(live()["live"], 3);
    let said = finetune(&["--deploy", "shadow", "--shadow-share", "0.5"]);
    assert!(said.contains("it answers a copy of 50 % of what version 3 answers"), "{said}");
    let shown = live();
    assert_eq!(
        (&shown["live"], &shown["shadow"]["version"], &shown["shadow"]["share"]),
        (&json!(3), &json!(5), &json!(0.5))
    );
}

#[test]
fn a_shadow_is_compared_with_the_live_version_and_let_in_by_one_call() {
    let sandbox = sandbox();
    let server = sandbox.serve(&[]);
    finetune(&server, (&sandbox, json!({}), json!({})));
    let job = finetune(&server, (&sandbox, all_red(), json!({"mode": "shadow", "shadow_share": 1.0})));
    assert_eq!(job["result"]["deployment"]["decision"], "shadow");
    assert_eq!(live(&server), (1, 1));
    let images: Vec<(&str, Vec<u8>)> = ["red", "green", "blue"].map(|class| (class, example(class))).to_vec();
    let mut expected = 0;
    for _ in 0..4 {
        let answer = json(server.post_images("/classify?model=colors", &images));
        assert_eq!(answer["version"], 1);
        expected += answer["results"].as_array().map_or(0, Vec::len);
    }
    let report = server.wait("all images are compared", || {
        let report = json(server.get("/models/colors/shadow"));
        (report["images"]["compared"].as_u64() == Some(expected as u64)).then_some(report)
    });
    // What the version says itself, asked after it is let in.
    let promoted = Request {
        method: "PUT",
        path: "/models/colors/live",
        headers: &[("content-type", "application/json".to_owned())],
        body: json!({"version": 2}).to_string().into_bytes(),
    };
    assert!(server.request(promoted).status().is_success());
    let answer = json(server.post_images("/classify?model=colors", &images));
    assert_eq!(answer["version"], 2);
    let best = |index: usize| answer["results"][index]["predictions"][0]["label"].as_str().expect("a label").to_owned();
    let alike = images.iter().enumerate().filter(|(index, (class, _))| best(*index) == *class).count();
    let agreement = report["agreement"].as_f64().expect("a share");
    assert!((agreement - alike as f64 / 3.0).abs() < 1e-12, "the live one is right: {report}");
    assert_eq!(server.get("/models/colors/shadow").status(), 404);
}
