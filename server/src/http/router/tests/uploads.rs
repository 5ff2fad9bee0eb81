//! Uploads by tus.

use std::io::{Cursor, Write};

use tokio::sync::watch;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::datasets::card;
use super::*;
use crate::datasets::stored::Importer;

const UPLOADS: &str = "/datasets/flowers/uploads";

/// A zip of these files.
fn zip(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn flowers() -> Vec<u8> {
    zip(&[
        ("set/rose/a.png", card(0)),
        ("set/rose/b.png", card(1)),
        ("set/tulip/c.png", card(2)),
        ("set/tulip/broken.png", card(3)[..60].to_vec()),
        ("set/tulip/notes.txt", b"notes".to_vec()),
    ])
}

fn tus(method: &str, address: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(address).header("tus-resumable", "1.0.0")
}

impl TestServer {
    /// Begins an upload and returns its address.
    async fn begin(&self, length: usize, metadata: &str) -> String {
        let request = tus("POST", UPLOADS).header("upload-length", length).header("upload-metadata", metadata);
        let begun = self.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!((begun.status, &begun.headers["tus-resumable"]), (StatusCode::CREATED, &"1.0.0".parse().unwrap()));
        assert!(begun.headers["upload-expires"].to_str().unwrap().ends_with(" GMT"));
        begun.headers[header::LOCATION].to_str().unwrap().to_owned()
    }

    async fn piece(&self, address: &str, offset: usize, bytes: impl Into<Body>) -> TestResponse {
        let request = tus("PATCH", address).header("upload-offset", offset);
        let request = request.header(header::CONTENT_TYPE, "application/offset+octet-stream");
        self.send(request.body(bytes.into()).unwrap()).await
    }

    async fn offset(&self, address: &str) -> String {
        let head = self.send(tus("HEAD", address).body(Body::empty()).unwrap()).await;
        assert_eq!((head.status, &head.headers[header::CACHE_CONTROL]), (StatusCode::OK, &"no-store".parse().unwrap()));
        head.headers["upload-offset"].to_str().unwrap().to_owned()
    }

    /// Lets the importer work until an upload has an outcome.
    async fn imported(&self, address: &str) -> Value {
        let (stop, stopped) = watch::channel(false);
        let importer = Importer::new(self.state.datasets.clone(), self.state.limits.image);
        let work = tokio::spawn(importer.run(stopped));
        let upload = loop {
            let upload = self.get(address).await.ok().clone();
            if upload["state"] != "importing" {
                break upload;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        stop.send_replace(true);
        work.await.unwrap();
        upload
    }
}

#[tokio::test]
async fn an_archive_that_comes_in_pieces_becomes_images() {
    let server = TestServer::with_flowers().await;
    let zip = flowers();
    // `flowers.zip`, and what clients send beside it.
    let address = server.begin(zip.len(), "filename Zmxvd2Vycy56aXA=,filetype YXBwbGljYXRpb24vemlw").await;
    assert_eq!(server.offset(&address).await, "0");
    let half = zip.len() / 2;
    let sent = server.piece(&address, 0, zip[..half].to_vec()).await;
    assert_eq!(
        (sent.status, sent.headers["upload-offset"].to_str().unwrap()),
        (StatusCode::NO_CONTENT, &*half.to_string())
    );
    assert_eq!(server.offset(&address).await, half.to_string());
    assert_eq!(server.get(&address).await.ok()["state"], "receiving");
    assert!(server.piece(&address, 0, zip.clone()).await.is(Code::UploadOffsetMismatch).contains(&half.to_string()));
    server.piece(&address, half, zip[half..].to_vec()).await.ok();
    let upload = server.imported(&address).await;
    assert_eq!((&upload["state"], &upload["file_name"]), (&json!("imported"), &json!("flowers.zip")));
    let report = &upload["outcome"]["report"];
    assert_eq!((&report["added"], &report["refused"]), (&json!(3), &json!(1)), "{upload}");
    let refusal = report["refusals"][0].as_str().unwrap();
    assert!(refusal.starts_with("flowers.zip/set/tulip/broken.png: the png is truncated"), "{refusal}");
    assert_eq!(report["understood"]["layout"], "class_folders");
    let omission = &report["understood"]["omissions"][0];
    assert_eq!(
        (&omission["reason"], &omission["examples"][0]),
        (&json!("other_file"), &json!("flowers.zip/set/tulip/notes.txt"))
    );
    let detail = server.get("/datasets/flowers").await.ok().clone();
    assert_eq!(detail["classes"], json!([{"label": "rose", "images": 2}, {"label": "tulip", "images": 1}]));
    assert_eq!(server.get(UPLOADS).await.ok()["data"][0]["state"], "imported");
    assert_eq!(server.offset(&address).await, zip.len().to_string(), "what was imported was whole");
}

#[tokio::test]
async fn what_came_before_a_connection_broke_stays() {
    let server = TestServer::with_flowers().await;
    let zip = flowers();
    let address = server.begin(zip.len(), "").await;
    let (first, rest) = zip.split_at(100);
    struct Broken(Option<Vec<u8>>);
    impl axum::body::HttpBody for Broken {
        type Data = axum::body::Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
            let broken = || std::io::ErrorKind::ConnectionReset.into();
            let first = self.0.take().map(|bytes| http_body::Frame::data(bytes.into()));
            std::task::Poll::Ready(Some(first.ok_or_else(broken)))
        }
    }
    server.piece(&address, 0, Body::new(Broken(Some(first.to_vec())))).await.is(Code::BodyUnreadable);
    assert_eq!(server.offset(&address).await, "100");
    server.piece(&address, 100, rest.to_vec()).await.ok();
    assert_eq!(server.imported(&address).await["outcome"]["report"]["added"], 3);
}

#[tokio::test]
async fn an_import_that_was_interrupted_is_begun_again_by_the_next_server() {
    let server = TestServer::with_flowers().await;
    let zip = flowers();
    let address = server.begin(zip.len(), "").await;
    server.piece(&address, 0, zip).await.ok();
    // A server that is told to stop before the first image.
    let (_stop, stopped) = watch::channel(true);
    Importer::new(server.state.datasets.clone(), server.state.limits.image).run(stopped).await;
    assert_eq!(server.get(&address).await.ok()["state"], "importing");
    assert_eq!(server.get("/datasets/flowers").await.ok()["images"], 0, "nothing of it shows");
    assert_eq!(server.imported(&address).await["outcome"]["report"]["added"], 3);
}

#[tokio::test]
async fn what_is_not_understood_says_why_and_is_read_again_as_the_client_says() {
    let server = TestServer::with_flowers().await;
    let zip = zip(&[
        ("day/cat/a.png", card(0)),
        ("day/dog/b.png", card(1)),
        ("night/cat/c.png", card(2)),
        ("night/dog/d.png", card(3)),
    ]);
    let address = server.begin(zip.len(), "filename cGV0cy56aXA=").await;
    server.piece(&address, 0, zip).await.ok();
    let upload = server.imported(&address).await;
    let reason = upload["outcome"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("pets.zip: ") && reason.contains("--classes"), "{reason}");
    assert_eq!(server.get("/datasets/flowers").await.ok()["images"], 0);
    let again = server.post_json(&format!("{address}/import"), &json!({"classes": ["cat", "dog"]})).await;
    assert_eq!((again.status, &again.body["state"]), (StatusCode::ACCEPTED, &json!("importing")));
    assert_eq!(server.imported(&address).await["outcome"]["report"]["added"], 4);
    server.post_json(&format!("{address}/import"), &json!({})).await.is(Code::UploadNotFailed);
}

#[tokio::test]
async fn an_upload_that_is_no_archive_is_not_taken_for_one() {
    let server = TestServer::with_flowers().await;
    // A table that names a file of the server, from the folder of the upload or from the root: `x.csv`.
    let secret = server.folder.path().join("secret.png");
    std::fs::write(&secret, card(0)).unwrap();
    let table = b"path,label\n../../../../../secret.png,rose\n/proc/self/exe,tulip\n".to_vec();
    let mut tar = tar::Builder::new(Vec::new());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    tar.append_link(&mut link, "rose/a.png", &secret).unwrap();
    let tar = tar.into_inner().unwrap();
    for (name, bytes) in
        [("eC5jc3Y=", table), ("", b"text".to_vec()), ("", vec![]), ("", tar), ("", flowers()[..300].to_vec())]
    {
        let address = server.begin(bytes.len(), &format!("filename {name}")).await;
        if !bytes.is_empty() {
            server.piece(&address, 0, bytes).await.ok();
        }
        let upload = server.imported(&address).await;
        assert_eq!(upload["state"], "failed", "{upload}");
        let reason = upload["outcome"]["reason"].as_str().unwrap();
        assert!(!reason.contains(&*server.folder.path().to_string_lossy()), "no path of the server: {reason}");
        let ended = server.send(tus("DELETE", &address).body(Body::empty()).unwrap()).await;
        assert_eq!(ended.status, StatusCode::NO_CONTENT);
        server.get(&address).await.is(Code::UploadNotFound);
    }
    assert_eq!(server.get("/datasets/flowers").await.ok()["images"], 0);
}

#[tokio::test]
async fn requests_that_break_the_protocol_are_refused() {
    let server = TestServer::with_flowers().await;
    let options = server.send(Request::options(UPLOADS).body(Body::empty()).unwrap()).await;
    assert_eq!(options.status, StatusCode::NO_CONTENT);
    let header_of = |name: &str| options.headers[name].to_str().unwrap().to_owned();
    assert_eq!(
        [header_of("tus-version"), header_of("tus-extension"), header_of("tus-max-size")],
        ["1.0.0", "creation,termination,expiration", "4194304"]
    );
    let plain = server.send(Request::post(UPLOADS).header("upload-length", 5).body(Body::empty()).unwrap()).await;
    plain.is(Code::TusVersionMismatch);
    assert_eq!(plain.headers["tus-version"], "1.0.0");
    let create = async |name: &'static str, value: &str| {
        let request = tus("POST", UPLOADS).header("upload-length", "5").header(name, value);
        server.send(request.body(Body::empty()).unwrap()).await
    };
    create("upload-metadata", "filename %%%").await.is(Code::InvalidParameter);
    create("upload-metadata", "layout bm9wZQ==").await.is(Code::InvalidParameter);
    let length = async |length: &str| {
        server.send(tus("POST", UPLOADS).header("upload-length", length).body(Body::empty()).unwrap()).await
    };
    length("-1").await.is(Code::InvalidParameter);
    length("x").await.is(Code::InvalidParameter);
    length("99999999999999999999").await.is(Code::InvalidParameter);
    assert!(length("4194305").await.is(Code::UploadTooLarge).contains("--max-upload-gb"));

    let address = server.begin(10, "").await;
    let wrong = tus("PATCH", &address).header("upload-offset", 0).header(header::CONTENT_TYPE, "text/plain");
    server.send(wrong.body(Body::from("x")).unwrap()).await.is(Code::UnsupportedMediaType);
    let without = tus("PATCH", &address).header(header::CONTENT_TYPE, "application/offset+octet-stream");
    server.send(without.body(Body::from("x")).unwrap()).await.is(Code::InvalidParameter);
    server.piece(&address, 5, "hello").await.is(Code::UploadOffsetMismatch);
    server.piece(&address, 0, "more than ten bytes").await.is(Code::UploadTooLarge);
    for id in ["0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55", "x", "..%2f..%2fx"] {
        let address = format!("{UPLOADS}/{id}");
        server.get(&address).await.is(Code::UploadNotFound);
        server.piece(&address, 0, "x").await.is(Code::UploadNotFound);
        server.send(tus("DELETE", &address).body(Body::empty()).unwrap()).await.is(Code::UploadNotFound);
    }
    server.begin(10, "").await;
    assert!(length("5").await.is(Code::DatasetLimit).contains("--max-uploads"));
}

#[tokio::test]
async fn one_request_writes_at_a_time() {
    let server = TestServer::with_flowers().await;
    let address = server.begin(10, "").await;
    let (name, id) = ("flowers".parse().unwrap(), address.rsplit('/').next().unwrap().parse().unwrap());
    let writer = server.state.datasets.append(&name, id, 0).await.unwrap();
    server.piece(&address, 0, "hello").await.is(Code::UploadLocked);
    server.send(tus("DELETE", &address).body(Body::empty()).unwrap()).await.is(Code::UploadLocked);
    drop(writer);
    server.piece(&address, 0, "hello").await.ok();
}

#[tokio::test]
async fn an_upload_may_be_larger_than_a_body_in_memory() {
    let server = TestServer::with_flowers().await;
    // Twice what one body, and all bodies together, may hold in memory.
    let length = 4 << 20;
    assert!(length > server.state.limits.inflight_bytes);
    let address = server.begin(length, "").await;
    server.piece(&address, 0, vec![0; length - 1]).await.ok();
    assert_eq!(server.offset(&address).await, (length - 1).to_string());
    assert_eq!(server.state.budget.used(), 0);
}
