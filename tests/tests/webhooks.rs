//! Messages to other servers when a job has ended, as their receiver sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::images::{color_folders, tiny_base_model, write};
use tests::receiver::{Received, Receiver, base64};
use tests::server::{Sandbox, json, text};

/// The bytes behind `whsec_` in base64.
const KEY: &[u8] = b"a key of thirty-two bytes, so so";
const SECRET: &str = "whsec_YSBrZXkgb2YgdGhpcnR5LXR3byBieXRlcywgc28gc28=";

fn sandbox() -> (Sandbox, Value) {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    write(&sandbox.path("secret"), SECRET.as_bytes());
    let data = color_folders(sandbox.path("pictures"), 6);
    let dataset = json!({"kind": "folder", "path": data});
    (sandbox, json!({"base_model": "base", "name": "colors", "dataset": dataset, "options": {"epochs": 20}}))
}

/// HMAC-SHA256 (RFC 2104) of a key that is shorter than a block.
fn hmac(message: &[u8]) -> Vec<u8> {
    let pad = |byte: u8| (0..64).map(|at| KEY.get(at).copied().unwrap_or(0) ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::digest([&pad(0x36), message].concat());
    Sha256::digest([&pad(0x5c)[..], &inner[..]].concat()).to_vec()
}

/// Checks a message as its specification says: the signature is over id, time and body.
fn verify(message: &Received) {
    let header = |name: &str| message.headers.get(name).unwrap_or_else(|| panic!("{name}: {message:?}"));
    let (id, timestamp) = (header("webhook-id"), header("webhook-timestamp"));
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &message.body].concat();
    assert_eq!(header("webhook-signature"), &format!("v1,{}", base64(&hmac(&signed))));
    assert_eq!((message.method.as_str(), header("content-type").as_str()), ("POST", "application/json"));
}

#[test]
fn a_message_is_signed_and_tried_until_it_is_taken() {
    let (sandbox, mut request) = sandbox();
    let tries = Arc::new(AtomicUsize::new(0));
    let receiver = Receiver::start({
        let tries = tries.clone();
        move |_| (if tries.fetch_add(1, Ordering::SeqCst) < 2 { 503 } else { 204 }, vec![])
    });
    let secret = sandbox.path("secret");
    let flags = ["--webhook-host", "127.0.0.1", "--webhook-secret-file", text(&secret), "--webhook-retry-seconds", "1"];
    let server = sandbox.serve(&flags);
    request["webhook"] = json!(format!("{}/hooks/graft?from=test", receiver.url()));
    let id = json(server.post_json("/finetune", &request))["id"].as_str().expect("an id").to_owned();
    assert_eq!(server.finished(&id)["state"], "succeeded", "a receiver that fails delays no job");
    server.wait("the message is taken", || (tries.load(Ordering::SeqCst) == 3).then_some(()));
    let messages = server.wait("it was answered", || Some(receiver.requests()).filter(|all| all.len() == 3));
    messages.iter().for_each(verify);
    assert!(messages.iter().all(|message| message.headers["webhook-id"] == messages[0].headers["webhook-id"]));
    assert!(messages.iter().all(|message| message.path == "/hooks/graft?from=test"));
    let body = messages[2].json();
    assert_eq!((&body["type"], &body["data"]["id"]), (&json!("finetune.succeeded"), &json!(id)));
    assert_eq!((&body["data"]["result"]["model"], &body["data"]["result"]["version"]), (&json!("colors"), &json!(1)));
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(receiver.requests().len(), 3, "and not again");
}

#[test]
fn a_message_survives_the_server() {
    let (sandbox, mut request) = sandbox();
    let taken = Arc::new(AtomicUsize::new(0));
    let receiver = Receiver::start({
        let taken = taken.clone();
        move |_| (if taken.load(Ordering::SeqCst) == 0 { 500 } else { 200 }, vec![])
    });
    let secret = sandbox.path("secret");
    let flags = ["--webhook-host", "127.0.0.1", "--webhook-secret-file", text(&secret), "--webhook-retry-seconds", "2"];
    let server = sandbox.serve(&flags);
    request["webhook"] = json!(receiver.url());
    let _id = json(server.post_json("/finetune", &request))["id"].as_str().expect("an id").to_owned();
    server.wait("the first try has failed", || (!receiver.requests().is_empty()).then_some(()));
    // Long enough for the failed try to be on record, short enough for the next to be outstanding.
    std::thread::sleep(std::time::Duration::from_millis(500));
    server.kill();
    let before = receiver.requests().len();
    taken.store(1, Ordering::SeqCst);
    let server = sandbox.serve(&flags);
    server.wait("the message comes", || (receiver.requests().len() > before).then_some(()));
    let messages = receiver.requests();
    messages.iter().for_each(verify);
    assert_eq!(messages[before].headers["webhook-id"], messages[0].headers["webhook-id"]);
}

#[test]
fn only_listed_hosts_are_told() {
    let (sandbox, mut request) = sandbox();
    let secret = sandbox.path("secret");
    let server = sandbox.serve(&["--webhook-host", "hooks.example.org", "--webhook-secret-file", text(&secret)]);
    for url in ["http://127.0.0.1:9/", "https://example.org/", "https://hooks.example.org@evil.example/"] {
        request["webhook"] = json!(url);
        let refused = json(server.post_json("/finetune", &request));
        assert_eq!(refused["code"], "webhook_refused", "{url}: {refused}");
    }
    request["webhook"] = json!("file:///etc/passwd");
    assert_eq!(server.post_json("/finetune", &request).status(), 422);
    drop(server);
    let server = sandbox.serve(&[]);
    request["webhook"] = json!("https://hooks.example.org/");
    assert_eq!(json(server.post_json("/finetune", &request))["code"], "webhook_refused", "there are none by default");
    let refused = sandbox.fail(&["serve", "--port", "0", "--webhook-host", "hooks.example.org"]);
    assert!(refused.contains("--webhook-secret"), "{refused}");
}
