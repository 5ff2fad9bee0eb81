//! Models that are sent as jobs: who waits, who does not, and what is left when somebody is killed.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, Response, multipart};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::{Value, json};
use tests::images::{base_model, tiny_base_model};
use tests::server::{Sandbox, Server, json};

/// How often the servers of imports are killed, each at another moment.
const KILLS: u32 = 6;

type Part<'a> = (&'a str, &'a str, &'a [u8]);

/// Sends a form with these headers.
fn send(server: &Server, headers: &[(&str, &str)], parts: &[Part<'_>]) -> Response {
    let form = parts.iter().fold(multipart::Form::new(), |form, (name, file, bytes)| {
        let part = multipart::Part::bytes(bytes.to_vec());
        form.part((*name).to_owned(), if file.is_empty() { part } else { part.file_name((*file).to_owned()) })
    });
    let client = Client::builder().timeout(Duration::from_secs(600)).build().expect("a client");
    let request = client.post(format!("{}/models", server.url())).multipart(form);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().expect("an answer")
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("none")
}

/// Sends a model that the client does not wait for, and returns its job.
fn send_async(server: &Server, name: &str, onnx: &[u8]) -> Value {
    let answer =
        send(server, &[("prefer", "respond-async")], &[("name", "", name.as_bytes()), ("file", "model.onnx", onnx)]);
    assert_eq!(answer.status(), 202);
    let job = header(&answer, "location").to_owned();
    assert_eq!(header(&answer, "preference-applied"), "respond-async");
    let body = json(answer);
    assert_eq!(job, format!("/import/{}", body["id"].as_str().expect("an id")));
    body
}

fn address(job: &Value) -> String {
    format!("/import/{}", job["id"].as_str().expect("an id"))
}

/// Waits until an import is over.
fn over(server: &Server, job: &Value) -> Value {
    server.wait("the import is over", || {
        let job = json(server.get(&address(job)));
        (!["queued", "running"].contains(&job["state"].as_str()?)).then_some(job)
    })
}

/// Waits until nothing is left of any upload.
fn cleaned(sandbox: &Sandbox, server: &Server) {
    server.wait("nothing is left of the uploads", || {
        let left = fs::read_dir(sandbox.path("data/incoming")).map_or(0, Iterator::count);
        (left == 0).then_some(())
    });
}

/// The jobs that the versions of a model name, one a version.
fn versions(model: &Path) -> Vec<String> {
    let entries = fs::read_dir(model).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()));
    let manifests = folders.map(|folder| fs::read(folder.path().join("manifest.json")).expect("a manifest"));
    let jobs = manifests.map(|text| serde_json::from_slice::<Value>(&text).expect("JSON")["job"]["id"].clone());
    jobs.map(|id| id.as_str().unwrap_or("no job").to_owned()).collect()
}

/// The processes that a server has started.
fn children(server: &Server) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{}/task", server.child().id())).expect("Linux");
    let threads = threads.map(|thread| thread.expect("a thread").path().join("children"));
    let children = threads.filter_map(|file| fs::read_to_string(file).ok()).collect::<String>();
    children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
}

#[test]
fn a_small_model_is_answered_with_its_version_and_is_a_job_all_the_same() {
    let sandbox = Sandbox::default();
    let server = sandbox.serve(&[]);
    let onnx = tiny_base_model();
    let answer = send(&server, &[], &[("name", "", b"small"), ("file", "small.onnx", &onnx)]);
    assert_eq!((answer.status().as_u16(), header(&answer, "location")), (201, "/models/small/versions/1"));
    assert!(!answer.headers().contains_key("preference-applied"));
    let version = json(answer);
    let list = json(server.get("/import"));
    let job = &list["data"][0];
    assert_eq!((&job["state"], &job["published"], &job["name"]), (&json!("succeeded"), &json!(1), &json!("small")));
    assert_eq!((&job["files"][0]["name"], &job["files"][0]["bytes"]), (&json!("small.onnx"), &json!(onnx.len())));
    assert_eq!(job.get("remarks"), None, "a list is short");
    let whole = json(server.get(&address(job)));
    assert_eq!(whole["remarks"], version["remarks"]);
    let id = job["id"].as_str().expect("an id");
    assert_eq!(versions(&sandbox.path("data/models/small")), [id], "the version says which job made it");
    assert_eq!(json(server.get("/models/small/versions/1"))["job"], id);
    assert_eq!(server.get(&format!("/evaluate/{id}")).status(), 404, "it is of another kind");
    cleaned(&sandbox, &server);
}

#[test]
fn a_client_that_does_not_wait_follows_the_job() {
    let sandbox = Sandbox::default();
    let server = sandbox.serve(&[]);
    let job = send_async(&server, "later", &tiny_base_model());
    let events = server.get_with(&format!("{}/events", address(&job)), "accept", "text/event-stream");
    let events = events.text().expect("events until the job is over");
    assert!(events.contains("stored `later` version 1") && events.contains(r#""state":"succeeded""#), "{events}");
    let done = over(&server, &job);
    assert_eq!((&done["state"], &done["published"], &done["attempt"]), (&json!("succeeded"), &json!(1), &json!(1)));
    assert_eq!(server.get("/models/later").status(), 200, "it is served when the job says that it is done");

    // What fails is a job that has failed, in the words in which a client that waits is refused.
    let text = b"this is no model".as_slice();
    let failed = over(&server, &send_async(&server, "never", text));
    assert_eq!((&failed["state"], &failed["error"]["code"]), (&json!("failed"), &json!("model_refused")));
    let refused = send(&server, &[("prefer", "wait=100")], &[("name", "", b"never"), ("file", "model.onnx", text)]);
    assert_eq!(refused.status(), 422);
    assert_eq!(json(refused)["detail"], failed["error"]["message"]);
    assert_eq!(server.get("/models/never").status(), 404);
    cleaned(&sandbox, &server);
}

#[test]
fn an_import_that_takes_longer_than_its_client_waits_goes_on_as_a_job() {
    let sandbox = Sandbox::default();
    let server = sandbox.serve(&[]);
    let onnx = base_model();
    let parts: [Part<'_>; 2] = [("name", "", b"large"), ("file", "large.onnx", &onnx)];
    let answer = send(&server, &[("prefer", "wait=0")], &parts);
    assert_eq!((answer.status().as_u16(), header(&answer, "preference-applied")), (202, "wait=0"));
    let job = json(answer);
    let done = over(&server, &job);
    assert_eq!((&done["state"], &done["published"]), (&json!("succeeded"), &json!(1)), "{done}");
    cleaned(&sandbox, &server);
}

#[test]
fn a_request_that_is_sent_again_with_its_key_is_one_import() {
    let sandbox = Sandbox::default();
    let server = sandbox.serve(&[]);
    let onnx = tiny_base_model();
    let parts: [Part<'_>; 2] = [("name", "", b"once"), ("file", "once.onnx", &onnx)];
    let key = [("idempotency-key", "once-1"), ("prefer", "wait=120")];
    let answers = scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| send(&server, &key, &parts))).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect::<Vec<_>>()
    });
    for answer in answers {
        assert_eq!((answer.status().as_u16(), header(&answer, "location")), (201, "/models/once/versions/1"));
    }
    assert_eq!(versions(&sandbox.path("data/models/once")).len(), 1);
    let other = [("name", "", &b"once"[..]), ("file", "once.onnx", &onnx), ("labels", "", b"a\nb\n")];
    let answer = send(&server, &key, &other);
    assert_eq!((answer.status().as_u16(), json(answer)["code"].as_str()), (409, Some("idempotency_key_reused")));
    cleaned(&sandbox, &server);
}

#[test]
fn two_models_of_one_name_at_once_are_two_versions() {
    let sandbox = Sandbox::default();
    let server = sandbox.serve(&[]);
    let onnx = tiny_base_model();
    let parts: [Part<'_>; 2] = [("name", "", b"twin"), ("file", "twin.onnx", &onnx)];
    let mut numbers: Vec<u64> = scope(|scope| {
        let send = || json(send(&server, &[("prefer", "wait=120")], &parts))["version"].as_u64().expect("a version");
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(send)).collect();
        threads.into_iter().map(|thread| thread.join().expect("an answer")).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    cleaned(&sandbox, &server);
}

#[test]
fn a_cancelled_import_stores_nothing_and_leaves_nothing() {
    let sandbox = Sandbox::default();
    let server = sandbox.serve(&[]);
    let (onnx, tiny) = (base_model(), tiny_base_model());
    let running = send_async(&server, "running", &onnx);
    let queued = send_async(&server, "queued", &tiny);
    server.wait("it runs", || (json(server.get(&address(&running)))["state"] == "running").then_some(()));
    for job in [&queued, &running] {
        assert_eq!(server.post(&format!("{}/cancel", address(job)), "text/plain", vec![]).status(), 202);
        let job = over(&server, job);
        assert_eq!((&job["state"], job.get("published")), (&json!("cancelled"), None), "{job}");
        assert_eq!(server.post(&format!("{}/cancel", address(&job)), "text/plain", vec![]).status(), 409);
    }
    cleaned(&sandbox, &server);
    for name in ["running", "queued"] {
        assert_eq!(server.get(&format!("/models/{name}")).status(), 404);
        assert_eq!(versions(&sandbox.path("data/models").join(name)).len(), 0);
    }
    assert_eq!(send(&server, &[], &[("name", "", b"next"), ("file", "a.onnx", &tiny)]).status(), 201);
}

#[test]
fn an_import_whose_process_is_killed_is_begun_again() {
    let sandbox = Sandbox::default();
    let server = sandbox.serve(&[]);
    let job = send_async(&server, "killed", &base_model());
    let process = server.wait("its process runs", || children(&server).first().copied());
    kill_process(process, Signal::KILL).expect("SIGKILL");
    let job = over(&server, &job);
    assert_eq!(
        (&job["state"], &job["attempt"], &job["published"]),
        (&json!("succeeded"), &json!(2), &json!(1)),
        "{job}"
    );
    assert_eq!(versions(&sandbox.path("data/models/killed")), [job["id"].as_str().expect("an id")]);
    cleaned(&sandbox, &server);
}

#[test]
fn an_import_whose_server_is_killed_is_finished_by_the_next_and_stored_once() {
    let sandbox = Sandbox::default();
    let start = || sandbox.serve(&["--job-lease-seconds", "3"]);
    let mut server = start();
    let onnx = base_model();
    let begun = Instant::now();
    let _first = over(&server, &send_async(&server, "measured", &onnx));
    let takes = begun.elapsed();
    for number in 0..KILLS {
        let name = format!("model{number}");
        let job = send_async(&server, &name, &onnx);
        // From its first moment to behind its end.
        sleep(takes * number / (KILLS - 1));
        server.kill();
        server = start();
        let job = over(&server, &job);
        assert_eq!((&job["state"], &job["published"]), (&json!("succeeded"), &json!(1)), "{name}: {job}");
        assert_eq!(versions(&sandbox.path("data/models").join(&name)), [job["id"].as_str().expect("an id")]);
        server.wait("it is served", || server.get(&format!("/models/{name}")).status().is_success().then_some(()));
        cleaned(&sandbox, &server);
    }
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing_whoever_breaks_it() {
    let sandbox = Sandbox::default();
    let server = sandbox.serve(&[]);
    let half = |server: &Server| {
        let mut connection = TcpStream::connect(server.address()).expect("a connection");
        let head = "POST /models HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=XX\r\n\
            content-length: 1000000\r\n\r\n--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.onnx\"\r\n\r\n";
        connection.write_all(head.as_bytes()).expect("a head");
        connection.write_all(&vec![7; 100_000]).expect("a part of the body");
        let incoming = sandbox.path("data/incoming");
        server.wait("its bytes are on the disk", || {
            let files = fs::read_dir(&incoming).ok()?.flatten().filter_map(|folder| fs::read_dir(folder.path()).ok());
            files.flatten().flatten().any(|file| file.metadata().is_ok_and(|file| file.len() > 0)).then_some(())
        });
        connection
    };
    let connection = half(&server);
    connection.shutdown(Shutdown::Both).expect("an end");
    cleaned(&sandbox, &server);

    let mut connection = half(&server);
    server.kill();
    let server = sandbox.serve(&[]);
    cleaned(&sandbox, &server);
    drop(connection.read(&mut [0]));
    assert_eq!(json(server.get("/import"))["data"], json!([]), "and no job");
}

#[test]
fn a_full_disk_refuses_the_upload_and_keeps_nothing_of_it() {
    let sandbox = Sandbox::default();
    let server = sandbox.serve(&[]);
    let onnx = tiny_base_model();
    let parts: [Part<'_>; 2] = [("name", "", b"full"), ("file", "a.onnx", &onnx)];
    let limit = |bytes| {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(Pid::from_child(server.child())), Resource::Fsize, limit).expect("a limit");
    };
    limit(Some(1));
    for preference in ["respond-async", "wait=100"] {
        let answer = send(&server, &[("prefer", preference)], &parts);
        assert_eq!((answer.status().as_u16(), json(answer)["code"].as_str()), (507, Some("storage_full")));
    }
    limit(None);
    cleaned(&sandbox, &server);
    assert_eq!(json(server.get("/import"))["data"], json!([]));
    assert_eq!(send(&server, &[], &parts).status(), 201);
}
