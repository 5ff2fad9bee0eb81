//! Data sets that stay on the server: from pictures that are sent to a model that says which they were.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tests::images::{color_folders, example, tiny_base_model, write};
use tests::server::{Request, Sandbox, Server, json, text};

/// A sandbox with a stored base model and a folder of pictures, 12 of each of three colors.
fn sandbox() -> (Sandbox, String) {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &tiny_base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let pictures = color_folders(sandbox.path("pictures"), 12);
    (sandbox, text(&pictures).to_owned())
}

/// The pictures as a zip of a folder a class.
fn archive(sandbox: &Sandbox, pictures: &str) -> Vec<u8> {
    let _output = sandbox.succeed(&["data", "add", "source", pictures]);
    let path = sandbox.path("colors.zip");
    let _output = sandbox.succeed(&["data", "export", "source", "--out", text(&path)]);
    fs::read(path).expect("the archive")
}

fn tus(name: &'static str, value: usize) -> [(&'static str, String); 2] {
    [("tus-resumable", "1.0.0".to_owned()), (name, value.to_string())]
}

/// Begins an upload into the data set `colors`, which is made, and returns its address.
fn begin(server: &Server, length: usize) -> String {
    let made = server.post_json("/datasets", &json!({"name": "colors"}));
    assert_eq!(made.status(), 201);
    let headers = tus("upload-length", length);
    let begun =
        server.request(Request { method: "POST", path: "/datasets/colors/uploads", headers: &headers, body: vec![] });
    begun.headers()["location"].to_str().expect("an address").to_owned()
}

fn offset(server: &Server, address: &str) -> usize {
    let headers = [("tus-resumable", "1.0.0".to_owned())];
    let answer = server.request(Request { method: "HEAD", path: address, headers: &headers, body: vec![] });
    let offset = answer.headers()["upload-offset"].to_str().ok().and_then(|offset| offset.parse().ok());
    offset.expect("a number of bytes")
}

fn append(server: &Server, address: &str, from: usize, bytes: &[u8]) {
    let [version, offset] = tus("upload-offset", from);
    let headers = [version, offset, ("content-type", "application/offset+octet-stream".to_owned())];
    let sent = server.request(Request { method: "PATCH", path: address, headers: &headers, body: bytes.to_vec() });
    assert_eq!(sent.status(), 204);
}

fn imported(server: &Server, address: &str) -> Value {
    server.wait("the images are read", || {
        let upload = json(server.get(address));
        (upload["state"] != "importing").then_some(upload)
    })
}

#[test]
fn a_data_set_that_is_changed_while_a_fine_tune_runs_does_not_change_its_model() {
    let (sandbox, pictures) = sandbox();
    let server = sandbox.serve(&[]);
    // Another process adds to the data sets of the server.
    let output = sandbox.succeed(&["data", "add", "colors", &pictures]);
    assert!(output.ends_with("`colors`: 36 images added\n"), "{output}");
    let request = json!({"base_model": "base", "name": "new", "dataset": {"kind": "stored", "name": "colors"}});
    let job = json(server.post_json("/finetune", &request));
    assert_eq!(job["dataset"]["snapshot"], 1, "{job}");

    // Before the training process has read an image: all reds are called blue, and one class goes.
    let images = json(server.get("/datasets/colors/images?limit=1000"));
    for image in images["data"].as_array().unwrap() {
        let path = format!("/datasets/colors/images/{}", image["id"].as_str().unwrap());
        let json_type = [("content-type", "application/json".to_owned())];
        let body = json!({"label": "blue"}).to_string().into_bytes();
        let (method, headers, body) = match image["label"].as_str() {
            Some("red") => ("PATCH", &json_type[..], body),
            Some("green") => ("DELETE", &[][..], vec![]),
            _ => continue,
        };
        assert!(server.request(Request { method, path: &path, headers, body }).status().is_success());
    }
    let now = json(server.get("/datasets/colors"));
    assert_eq!(now["classes"], json!([{"label": "blue", "images": 24}]));
    assert_eq!(
        server.request(Request { method: "DELETE", path: "/datasets/colors", headers: &[], body: vec![] }).status(),
        409
    );

    let id = job["id"].as_str().unwrap();
    let ended = server.finished(id);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let model = json(server.get("/models/new"));
    assert_eq!(model["labels"], json!(["blue", "green", "red"]));
    assert_eq!(model["report"]["dataset"]["images"], 36);
    assert_eq!(model["report"]["dataset"]["snapshot"], json!({"dataset": "colors", "number": 1}));
    assert_eq!(model["training"]["snapshot"], "colors@1");
    let answer = json(server.post("/classify/bytes?model=new", "application/octet-stream", example("red")));
    assert_eq!(answer["results"][0]["predictions"][0]["label"], "red", "{answer}");

    let request = json!({"model": "new", "dataset": {"kind": "stored", "name": "colors", "snapshot": 1}});
    let id = json(server.post_json("/evaluate", &request))["id"].as_str().unwrap().to_owned();
    let evaluation = server.wait("the evaluation has ended", || {
        let job = json(server.get(&format!("/evaluate/{id}")));
        matches!(job["state"].as_str(), Some("succeeded" | "failed")).then_some(job)
    });
    assert_eq!(
        (&evaluation["state"], &evaluation["dataset"]["snapshot"]),
        (&json!("succeeded"), &json!(1)),
        "{evaluation}"
    );

    // The job has ended, so the data set may go; the model still says what it was made of.
    assert_eq!(
        server.request(Request { method: "DELETE", path: "/datasets/colors", headers: &[], body: vec![] }).status(),
        204
    );
    assert_eq!(json(server.get("/models/new"))["training"]["snapshot"], "colors@1");
}

#[test]
fn an_upload_goes_on_where_it_was_when_its_server_was_killed() {
    let (sandbox, pictures) = sandbox();
    let zip = archive(&sandbox, &pictures);
    let server = sandbox.serve(&[]);
    let address = begin(&server, zip.len());
    // A request that declares all of it and sends half, and a server that is killed then.
    let mut connection = TcpStream::connect(server.address()).unwrap();
    let head = format!(
        "PATCH {address} HTTP/1.1\r\nhost: localhost\r\ntus-resumable: 1.0.0\r\nupload-offset: 0\r\n\
         content-type: application/offset+octet-stream\r\ncontent-length: {}\r\n\r\n",
        zip.len()
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(&zip[..zip.len() / 2]).unwrap();
    server.wait("half of it has come", || (offset(&server, &address) == zip.len() / 2).then_some(()));
    server.kill();
    drop(connection);

    let server = sandbox.serve(&[]);
    let half = offset(&server, &address);
    assert_eq!(half, zip.len() / 2, "what had come is there");
    append(&server, &address, half, &zip[half..]);
    // And killed again, before the images are read or while they are.
    server.kill();
    let server = sandbox.serve(&[]);
    let upload = imported(&server, &address);
    assert_eq!((&upload["state"], &upload["outcome"]["report"]["added"]), (&json!("imported"), &json!(36)), "{upload}");
    let detail = json(server.get("/datasets/colors"));
    let classes = ["blue", "green", "red"].map(|label| json!({"label": label, "images": 12}));
    assert_eq!(detail["classes"], json!(classes));
}

#[test]
fn an_upload_that_nobody_goes_on_with_expires() {
    let (sandbox, _) = sandbox();
    let server = sandbox.serve(&["--upload-expiry", "1s"]);
    let address = begin(&server, 1000);
    append(&server, &address, 0, b"PK");
    std::thread::sleep(Duration::from_millis(1500));
    server.kill();
    let server = sandbox.serve(&["--upload-expiry", "1s"]);
    server.wait("it is gone", || (server.get(&address).status() == 404).then_some(()));
}

#[test]
fn on_the_command_line() {
    let (sandbox, pictures) = sandbox();
    let output = sandbox.succeed(&["data", "list"]);
    assert!(output.starts_with("no data sets in "), "{output}");
    let output = sandbox.succeed(&["data", "add", "colors", &pictures]);
    assert!(
        output.contains("data: 36 images of 3 classes") && output.ends_with("`colors`: 36 images added\n"),
        "{output}"
    );
    let [leaf, note] = ["leaf.bmp", "note.txt"].map(|name| sandbox.path(name));
    write(&leaf, &example("green"));
    write(&note, b"a note");
    let added = sandbox.run(&["data", "add", "colors", text(&leaf), text(&note), "--label", "green"]);
    let output = String::from_utf8(added.stdout).unwrap();
    assert!(output.contains("note.txt: not an image") && output.ends_with("1 images added, 1 refused\n"), "{output}");
    assert!(!added.status.success(), "one was refused");
    let error = sandbox.fail(&["data", "add", "colors", text(&leaf)]);
    assert!(error.contains("give it one with --label"), "{error}");

    let output = sandbox.succeed(&["data", "list", "colors"]);
    assert!(output.contains("colors: 37 images of 3 classes"), "{output}");
    let (zip, before) = (sandbox.path("colors.zip"), sandbox.path("before.zip"));
    let output = sandbox.succeed(&["finetune", "--base", "base", "--data", "stored:colors", "--name", "new"]);
    assert!(output.contains("data: layout snapshot: snapshot 1 of the stored data set `colors`"), "{output}");
    // The label of a picture that is there already stays what it is.
    let error = sandbox.run(&["data", "add", "colors", text(&leaf), "--label", "blue"]);
    assert!(String::from_utf8_lossy(&error.stdout).contains("the image is there with the label `green`"));
    let _output = sandbox.succeed(&["data", "export", "colors", "--out", text(&zip)]);
    let _output = sandbox.succeed(&["data", "export", "colors@1", "--out", text(&before)]);
    assert_eq!(fs::read(&zip).unwrap(), fs::read(&before).unwrap(), "nothing has changed since the snapshot");
    let output = sandbox.succeed(&["data", "check", text(&zip)]);
    assert!(output.contains("data: 37 images of 3 classes"), "{output}");
    let output = sandbox.succeed(&["data", "check", "stored:colors@1"]);
    assert!(output.contains("data: 37 images of 3 classes"), "{output}");
    let output = sandbox.succeed(&["data", "list"]);
    assert!(output.lines().nth(1).is_some_and(|line| line.starts_with("colors  37")), "{output}");
    for (name, expected) in [
        ("stored:colors@2", "has no snapshot 2; it has 1"),
        ("stored:colours", "there is no stored data set `colours`; there are colors"),
        ("stored:../x", "is not a name of a data set"),
        ("stored:colors@x", "`x` is no number of a snapshot"),
    ] {
        let error = sandbox.fail(&["data", "check", name]);
        assert!(error.contains(expected), "{error}");
    }
}
