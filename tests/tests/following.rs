//! Jobs that tell how they go, and do what they are told: events as they happen, progress, pause, resume, retry, plans.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};
use tests::images::{base_model, color_folders, tiny_base_model, write};
use tests::server::{Sandbox, Server, json, text};

/// A sandbox with a stored base model, and a request for a fine-tune on it.
fn sandbox(base: &[u8]) -> (Sandbox, Value) {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), base);
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = color_folders(sandbox.path("pictures"), 12);
    let dataset = json!({"kind": "folder", "path": data});
    (sandbox, json!({"base_model": "base", "name": "colors", "dataset": dataset, "options": {"epochs": 20}}))
}

/// A fine-tune that takes longer than a test.
fn endless(request: &Value) -> Value {
    let mut request = request.clone();
    request["options"] = json!({"strategy": "full", "tuning": {"epochs": 100_000, "batch_size": 8}});
    request
}

fn start(server: &Server, request: &Value) -> String {
    json(server.post_json("/finetune", request))["id"].as_str().expect("an id").to_owned()
}

fn job(server: &Server, id: &str) -> Value {
    json(server.get(&format!("/finetune/{id}")))
}

fn until_state(server: &Server, id: &str, state: &str) -> Value {
    server.wait(state, || Some(job(server, id)).filter(|job| job["state"] == state))
}

fn tell(server: &Server, id: &str, verb: &str) -> (u16, Value) {
    let answer = server.post_json(&format!("/finetune/{id}/{verb}"), &json!({}));
    (answer.status().as_u16(), json(answer))
}

/// A message of a stream.
#[derive(Debug, Clone, PartialEq)]
struct Message {
    id: Option<i64>,
    name: String,
    data: Value,
}

/// The messages of a stream (WHATWG HTML, section 9.2.6), as far as they have come.
fn messages(response: Response) -> impl Iterator<Item = Message> {
    let mut lines = BufReader::new(response).lines().map_while(Result::ok);
    std::iter::from_fn(move || {
        let mut message = Message { id: None, name: String::new(), data: Value::Null };
        loop {
            let line = lines.next()?;
            match line.split_once(':').map(|(field, value)| (field, value.trim_start())) {
                None if message.name.is_empty() => {}
                None => return Some(message),
                Some(("id", id)) => message.id = id.parse().ok(),
                Some(("event", name)) => message.name = name.to_owned(),
                Some(("data", data)) => message.data = serde_json::from_str(data).expect("JSON"),
                Some(_) => {}
            }
        }
    })
}

fn follow(server: &Server, id: &str, last: Option<i64>) -> Response {
    let client = Client::builder().timeout(Duration::from_secs(600)).build().expect("a client");
    let request = client.get(format!("{}/finetune/{id}/events", server.url())).header("accept", "text/event-stream");
    let request = match last {
        Some(last) => request.header("last-event-id", last.to_string()),
        None => request,
    };
    request.send().expect("an answer")
}

#[test]
fn a_client_that_is_cut_off_and_comes_back_sees_every_event_once() {
    let (sandbox, request) = sandbox(&base_model());
    let server = sandbox.serve(&[]);
    let id = start(&server, &request);
    let first = follow(&server, &id, None);
    assert_eq!(first.headers()["content-type"], "text/event-stream");
    let mut seen: Vec<Message> = messages(first).filter(|message| message.id.is_some()).take(3).collect();
    // Dropping the iterator closes the connection in the middle of the stream.
    let last = seen.last().and_then(|message| message.id);
    let rest: Vec<Message> = messages(follow(&server, &id, last)).collect();
    assert_eq!(rest.last().map(|end| (end.name.as_str(), &end.data["state"])), Some(("state", &json!("succeeded"))));
    seen.extend(rest.iter().filter(|message| message.id.is_some()).cloned());

    let page = json(server.get(&format!("/finetune/{id}/events?limit=1000")));
    let seen: Vec<&Value> = seen.iter().map(|message| &message.data).collect();
    assert_eq!(seen, page["data"].as_array().expect("events").iter().collect::<Vec<_>>());
    let end = page["data"].as_array().and_then(|events| events.last()).and_then(|event| event["seq"].as_i64());
    assert_eq!(follow(&server, &id, end).status(), 204, "there is nothing to come back for");
}

#[test]
fn progress_has_a_share_and_a_time_and_rises() {
    let (sandbox, mut request) = sandbox(&base_model());
    request["options"] = json!({"strategy": "full", "tuning": {"epochs": 4, "batch_size": 8}});
    let server = sandbox.serve(&[]);
    let id = start(&server, &request);
    let all: Vec<Message> = messages(follow(&server, &id, None)).collect();
    let progress: Vec<&Value> =
        all.iter().filter(|message| message.name == "progress").map(|message| &message.data).collect();
    let fractions: Vec<f64> = progress.iter().filter_map(|progress| progress["fraction"].as_f64()).collect();
    assert!(fractions.len() > 2 && fractions.is_sorted(), "{progress:?}");
    assert!(fractions.iter().all(|fraction| (0.0..=1.0).contains(fraction)), "{fractions:?}");
    let timed = progress.iter().filter(|progress| progress["seconds_left"].as_f64().is_some_and(|left| left >= 0.0));
    assert!(timed.count() > 1, "{progress:?}");
    let estimated = all.iter().any(|message| message.data["event"]["type"] == "estimate");
    assert!(estimated, "the run says how long it expects its phases to take");
}

#[test]
fn as_many_clients_follow_as_may_and_all_are_let_go_when_the_server_stops() {
    let (sandbox, request) = sandbox(&tiny_base_model());
    let server = sandbox.serve(&["--max-event-streams", "2", "--drain-delay-seconds", "0"]);
    let id = start(&server, &endless(&request));
    let followers = [follow(&server, &id, None), follow(&server, &id, None)];
    let refused = follow(&server, &id, None);
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
    assert_eq!(json(refused)["code"], "too_many_streams");
    server.signal("TERM");
    let ends = followers.map(|follower| messages(follower).filter(|message| message.name == "state").last());
    assert!(ends.iter().flatten().all(|end| end.data["state"] != "succeeded"), "{ends:?}");
    assert!(server.ended().success(), "open streams do not hold the server up");
}

#[test]
fn a_paused_job_lets_others_pass_survives_the_server_and_goes_on_from_its_checkpoint() {
    let (sandbox, request) = sandbox(&base_model());
    let flags = ["--job-lease-seconds", "3"];
    let server = sandbox.serve(&flags);
    let id = start(&server, &endless(&request));
    let epoch = |attempt: i64, server: &Server| {
        let events = json(server.get(&format!("/finetune/{id}/events?limit=1000")));
        let events = events["data"].as_array().expect("events").clone();
        let mut epochs = events.iter().filter(|event| event["attempt"] == attempt && event["event"]["type"] == "epoch");
        epochs.next().and_then(|event| event["event"]["epoch"].as_i64())
    };
    server.wait("layers of the base are trained", || {
        let events = json(server.get(&format!("/finetune/{id}/events?limit=1000")));
        let epochs = events["data"].as_array()?.iter().filter(|event| event["event"]["type"] == "epoch");
        (epochs.count() > 3).then_some(())
    });
    assert_eq!(tell(&server, &id, "resume").0, 409, "a running job is not resumed");
    assert_eq!(tell(&server, &id, "retry").0, 409, "nor retried");
    assert_eq!(tell(&server, &id, "pause").0, 202);
    until_state(&server, &id, "paused");
    let (status, problem) = tell(&server, &id, "pause");
    assert_eq!((status, &problem["code"]), (409, &json!("job_state")), "{problem}");

    let mut other = request.clone();
    other["name"] = json!("others");
    let passing = start(&server, &other);
    assert_eq!(server.finished(&passing)["state"], "succeeded");
    assert_eq!(tell(&server, &passing, "retry").0, 409, "a job that succeeded is not retried");
    assert_eq!(tell(&server, &passing, "pause").1["code"], "job_finished");
    server.kill();

    let server = sandbox.serve(&flags);
    assert_eq!(job(&server, &id)["state"], "paused");
    assert_eq!(tell(&server, &id, "resume").0, 202);
    let resumed = server.wait("it goes on", || epoch(2, &server));
    assert!(resumed > 1, "it does not begin anew, but in epoch {resumed}");
    assert_eq!(tell(&server, &id, "cancel").0, 202);
    until_state(&server, &id, "cancelled");
    assert_eq!(tell(&server, &id, "retry").0, 202);
    until_state(&server, &id, "running");
    assert_eq!(tell(&server, &id, "cancel").0, 202);
    until_state(&server, &id, "cancelled");
}

#[test]
fn a_plan_is_the_same_from_the_server_and_from_the_command_and_trains_nothing() {
    let (sandbox, mut request) = sandbox(&base_model());
    request["options"] = json!({"strategy": "auto", "views": 2});
    let data = sandbox.path("pictures");
    write(&data.join("red/torn.bmp"), b"BM torn");
    let server = sandbox.serve(&[]);
    let answer = server.post_json("/finetune/plan", &request);
    assert_eq!(answer.status(), 200);
    let served = json(answer);
    let arguments = ["--base", "base", "--data", text(&data), "--name", "colors", "--strategy", "auto", "--views", "2"];
    let output = sandbox.succeed(&[&["finetune", "--plan=json"], &arguments[..]].concat());
    let commanded: Value = serde_json::from_str(&output).expect("JSON");
    for field in ["base_model", "base_version", "dataset", "options", "cached"] {
        assert_eq!(served[field], commanded[field], "{field}");
    }
    let option = |name: &str| {
        let options = served["options"].as_array().expect("options");
        options.iter().find(|option| option["option"] == name).expect("the option").clone()
    };
    let strategy = option("strategy");
    assert_eq!(strategy["value"], "head");
    assert!(strategy["reason"].as_str().is_some_and(|reason| reason.contains("fewer than the 15")), "{strategy}");
    assert_eq!((&option("views")["value"], &option("views")["reason"]), (&json!(2), &json!("asked for")));
    assert_eq!(option("tuning.epochs")["reason"], "default");
    assert_eq!(served["dataset"]["bad_files"][0]["image"], "red/torn.bmp");
    assert!(served["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{served}");
    assert!(served["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 50 << 20), "{served}");
    let shown = sandbox.succeed(&[&["finetune", "--plan"], &arguments[..]].concat());
    assert!(shown.contains("nothing was trained") && shown.contains("fewer than the 15"), "{shown}");
    assert_eq!(json(server.get("/models"))["data"].as_array().map(Vec::len), Some(1), "there is the base alone");
}

#[test]
fn what_a_command_says_of_a_data_set_includes_how_its_images_are_stored() {
    let (sandbox, _) = sandbox(&tiny_base_model());
    let data = sandbox.path("pictures");
    let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tests/data/preprocess/decode/");
    for (name, file) in [("red/turned.jpg", "orientation_6.jpg"), ("blue/inks.jpg", "cmyk.jpg")] {
        std::fs::copy(format!("{reference}{file}"), data.join(name)).expect("a file");
    }
    std::fs::create_dir(data.join("notes")).expect("a folder");
    write(&data.join("notes/plan.txt"), b"what we want to do");
    let shown = sandbox.succeed(&["data", "check", text(&data)]);
    for line in ["turned: 1 image(s)", "colors: 1 image(s) are CMYK", "stray: no image of the folder"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}
