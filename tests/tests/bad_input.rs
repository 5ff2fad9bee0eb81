//! What is wrong is named, with what to do, and nothing breaks.

use std::fs;

use models::ops::{Conv2d, Normalize, Shape};
use models::{GraphBuilder, ModelSpec, Network, Preprocess, init};
use serde_json::{Value, json};
use tests::images::{base_model, color_folders, example, write};
use tests::server::{Sandbox, Server, json, text};

/// A server with the stored model `base`.
fn server(sandbox: &Sandbox) -> Server {
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    sandbox.serve(&["--max-body-mb", "4"])
}

/// A PNG header that declares 100000x100000 pixels, with a little data behind it.
fn bomb() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = b"IHDR".to_vec();
    header.extend(100_000_u32.to_be_bytes());
    header.extend(100_000_u32.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    png.extend(13_u32.to_be_bytes());
    png.extend(&header);
    png.extend(crc(&header).to_be_bytes());
    png
}

/// PNG's checksum (ISO 3309), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 })
    })
}

#[test]
fn images_that_are_none_are_refused_by_name() {
    let sandbox = Sandbox::default();
    let server = server(&sandbox);
    let truncated = example("red")[..200].to_vec();
    let table: [(&str, Vec<u8>, u16, &str); 5] = [
        ("no image", b"hello, I am a text".to_vec(), 422, "not_an_image"),
        ("truncated", truncated, 422, "image_truncated"),
        ("100000x100000", bomb(), 422, "image_too_large"),
        ("empty", Vec::new(), 400, "image_empty"),
        ("over 4 MB", vec![0; 5 << 20], 413, "body_too_large"),
    ];
    for (name, bytes, status, code) in table {
        let unread = bytes.len() > 4 << 20;
        let answer = server.post("/classify/bytes?model=base", "application/octet-stream", bytes);
        assert_eq!(answer.status(), status, "{name}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{name}");
        // A large body that was not read ends the connection, and the client is told so. Any other error leaves it open.
        assert_eq!(answer.headers().get("connection").is_some_and(|value| value == "close"), unread, "{name}");
        let problem = json(answer);
        assert_eq!(problem["code"], code, "{name}: {problem}");
        assert!(!problem["detail"].as_str().unwrap_or_default().is_empty(), "{name}: {problem}");
    }
    let mixed = server.post_images("/classify?model=base", &[("a.bmp", example("red")), ("b.jpg", b"no".to_vec())]);
    assert_eq!(mixed.status(), 200);
    let answer = json(mixed);
    assert!(answer["results"][0]["predictions"].is_array(), "{answer}");
    assert_eq!(answer["results"][1]["problem"]["code"], "not_an_image", "{answer}");
    assert_eq!(server.post("/classify/bytes?model=base", "image/bmp", example("red")).status(), 200, "still serving");
}

#[test]
fn requests_that_cannot_be_meant_are_refused() {
    let sandbox = Sandbox::default();
    let server = server(&sandbox);
    let answer = server.post("/classify/bytes?model=nobody", "image/bmp", example("red"));
    assert_eq!(answer.status(), 404);
    assert!(json(answer)["detail"].as_str().unwrap().contains("nobody"));
    let good = json!({"base_model": "base", "name": "x", "dataset": {"kind": "folder", "path": "/nowhere"}});
    let change = |pointer: &str, value: Value| {
        let mut request = good.clone();
        *request.pointer_mut(pointer).unwrap() = value;
        request
    };
    let table = [
        ("a data set that is not there", good.clone(), 422, "/nowhere"),
        ("an unknown base", change("/base_model", json!("nobody")), 422, "nobody"),
        ("a name with a slash", change("/name", json!("../x")), 422, "../x"),
        ("an unknown kind", change("/dataset/kind", json!("tape")), 422, "tape"),
    ];
    for (name, request, status, detail) in table {
        let answer = server.post_json("/finetune", &request);
        let actual = answer.status();
        let problem = json(answer);
        assert!(actual == status || actual == 404, "{name}: {problem}");
        assert!(problem["detail"].as_str().unwrap_or_default().contains(detail), "{name}: {problem}");
    }
    assert_eq!(server.post("/finetune", "application/json", b"{".to_vec()).status(), 400);
    assert_eq!(server.get("/finetune/00000000-0000-0000-0000-000000000000").status(), 404);
}

#[test]
fn data_sets_that_are_none_are_refused_before_the_job_is_accepted() {
    let sandbox = Sandbox::default();
    let server = server(&sandbox);
    let refused = |path: &std::path::Path, expected: &[&str]| {
        let request = json!({"base_model": "base", "name": "x", "dataset": {"kind": "folder", "path": path}});
        let answer = server.post_json("/finetune", &request);
        assert_eq!(answer.status(), 422, "{}", path.display());
        let problem = json(answer);
        let detail = problem["detail"].as_str().unwrap();
        assert!(expected.iter().all(|word| detail.contains(word)), "{detail}");
    };
    let one = color_folders(sandbox.path("one"), 4);
    for class in ["blue", "green"] {
        fs::remove_dir_all(one.join(class)).unwrap();
    }
    refused(&one, &["1 folder", "at least two"]);
    let empty = color_folders(sandbox.path("empty"), 4);
    fs::create_dir(empty.join("violet")).unwrap();
    refused(&empty, &["`violet` (0)", "usable"]);
}

#[test]
fn a_damaged_image_is_the_error_of_its_job() {
    let sandbox = Sandbox::default();
    let server = server(&sandbox);
    let damaged = color_folders(sandbox.path("damaged"), 4);
    write(&damaged.join("red").join("002.bmp"), b"not a picture");
    let request = json!({"base_model": "base", "name": "x", "dataset": {"kind": "folder", "path": damaged}});
    let accepted = json(server.post_json("/finetune", &request));
    let job = server.finished(accepted["id"].as_str().unwrap());
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("failed"), &json!("invalid_dataset")), "{job}");
    assert!(job["error"]["message"].as_str().unwrap().contains("002.bmp"), "{job}");
}

#[test]
fn a_damaged_file_may_be_left_out_on_request() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = color_folders(sandbox.path("pictures"), 6);
    write(&data.join("red").join("002.bmp"), &example("red")[..500]);
    let arguments = ["finetune", "--base", "base", "--data", text(&data), "--name", "x"];
    let error = sandbox.fail(&arguments);
    assert!(error.contains("002.bmp"), "{error}");
    let output = sandbox.succeed(&[&arguments[..], &["--bad-files", "skip"]].concat());
    assert!(output.contains("left out") && output.contains("002.bmp") && output.contains("version 1"), "{output}");
}

#[test]
fn the_command_line_says_what_is_wrong() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("text.onnx"), b"not a model");
    write(&sandbox.path("base.onnx"), &base_model());
    write(&sandbox.path("labels.txt"), b"one\ntwo\n");
    let [file, base, labels] =
        ["text.onnx", "base.onnx", "labels.txt"].map(|name| text(&sandbox.path(name)).to_owned());
    let table: [(&[&str], &str); 6] = [
        (&["import", &file, "--name", "x"], "not an ONNX"),
        (&["import", &base, "--name", "a/b"], "not a model name"),
        (&["import", &base, "--name", "x", "--labels", &labels], "names 2 class(es), and the network has 10"),
        (&["classify", "--model", "nobody", &base], "there is no model `nobody`"),
        (&["export", "--model", "nobody", "--out", &file], "there is no model `nobody`"),
        (&["--engine", "ort", "--ort-lib", &file, "runtime", "show"], "no usable ONNX Runtime"),
    ];
    for (arguments, expected) in table {
        let error = sandbox.fail(arguments);
        assert!(error.contains(expected), "graft {arguments:?}: {error}");
    }
    assert!(sandbox.succeed(&["models"]).contains("no models"), "nothing was stored");
}

#[test]
fn options_of_serve_need_no_command_and_wrong_ones_are_named() {
    let sandbox = Sandbox::default();
    for arguments in [&["--bogus"][..], &["serve", "--bogus"], &["import", "--bogus"]] {
        let error = sandbox.fail(arguments);
        assert!(error.contains("unexpected argument '--bogus'"), "graft {arguments:?}: {error}");
    }
    // A port that is taken is complained about, so the option was understood.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let error = sandbox.fail(&["--engine", "tract", "--port", &port]);
    assert!(error.contains(&port) && error.contains("cannot listen"), "{error}");
}

#[test]
fn under_auto_an_unusable_library_is_a_reason_and_not_an_error() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("libonnxruntime.so"), b"no library");
    let library = sandbox.path("libonnxruntime.so");
    let output = sandbox.succeed(&["--ort-lib", text(&library), "runtime", "show"]);
    // Another library may be found behind it; what must not happen is an error, or the file being used.
    assert!(output.contains("tract") && output.contains(text(&library)) || output.starts_with("ort"), "{output}");
}

#[test]
fn an_unsupported_operator_is_named_with_its_node() {
    let preprocess = Preprocess::torchvision(16, 16);
    let mut graph = GraphBuilder::new("input", Shape::image(3, 16, 16));
    let normalize = Normalize::for_bytes(&[0.5; 3], &[0.5; 3]);
    let x = graph.push("normalize", normalize, &[graph.input()]).unwrap();
    let x = graph.push("features.0", Conv2d::new(3, 4, 3), &[x]).unwrap();
    let graph = graph.finish(x);
    let spec = ModelSpec::new("t", None, preprocess);
    let network = Network::new(graph.clone(), &init::he(&graph, 0), spec).unwrap();
    let file = onnx::export(&network, &onnx::ExportOptions::default()).unwrap();
    // `Conv` appears once as an operator's type, with its length before it.
    let at = file.windows(6).position(|bytes| bytes == b"\x22\x04Conv").unwrap();
    let mut strange = file;
    strange[at + 2..at + 6].copy_from_slice(b"Gonv");
    let sandbox = Sandbox::default();
    write(&sandbox.path("strange.onnx"), &strange);
    let error = sandbox.fail(&["import", text(&sandbox.path("strange.onnx")), "--name", "x"]);
    assert!(error.contains("features.0") && error.contains("Gonv"), "{error}");
}
