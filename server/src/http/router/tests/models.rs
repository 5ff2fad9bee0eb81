//! Models as they are managed over HTTP.

use super::*;
use crate::access::{NewKey, Role};
use crate::inference::testing::publish_only;

impl TestServer {
    async fn put(&self, address: &str, body: &Value) -> TestResponse {
        self.change(Method::PUT, address, body).await
    }

    async fn patch(&self, address: &str, body: &Value) -> TestResponse {
        self.change(Method::PATCH, address, body).await
    }

    /// The best class of an image, and the version that says so.
    async fn best(&self, image: [u8; 3]) -> (String, u64) {
        let answer = self.post("/classify/bytes?model=colors", "image/bmp", bmp(image)).await;
        let body = answer.ok();
        let label = body["results"][0]["predictions"][0]["label"].as_str().unwrap().to_owned();
        (label, body["version"].as_u64().unwrap())
    }
}

/// A server whose `colors` has two more versions: one that calls green blue, and one that fails its self-test.
async fn server() -> TestServer {
    let server = TestServer::new().await;
    let (network, swapped) = (colors(), network(Some(&["red", "blue", "green"])));
    let mut wrong = golden(&network);
    wrong[1].logits[1] += 0.01;
    publish_only(&server.store(), "colors", &swapped, &golden(&swapped));
    publish_only(&server.store(), "colors", &network, &wrong);
    server.state.registry.scan().await.unwrap();
    server
}

#[tokio::test]
async fn versions_are_promoted_and_rolled_back() {
    let server = server().await;
    let answer = server.get("/models/colors").await;
    let model = answer.ok();
    assert_eq!((&model["live"], &model["version"], &model["versions"]), (&json!(1), &json!(1), &json!([1, 2, 3])));
    assert_eq!(server.best(GREEN).await, ("green".to_owned(), 1));
    let answer = server.put("/models/colors/live", &json!({"version": 2})).await;
    assert_eq!((&answer.ok()["live"], &answer.body["version"]), (&json!(2), &json!(2)));
    assert_eq!(answer.body["labels"], json!(["red", "blue", "green"]));
    assert_eq!(server.best(GREEN).await, ("blue".to_owned(), 2));
    server.put("/models/colors/live", &json!({"version": 1})).await.ok();
    assert_eq!(server.best(GREEN).await, ("green".to_owned(), 1));

    let refused = server.put("/models/colors/live", &json!({"version": 3})).await;
    let detail = refused.is(Code::VersionRefused);
    assert!(detail.contains("golden image green.bmp: the logits differ") && detail.contains("goes on"), "{detail}");
    assert_eq!(server.best(GREEN).await, ("green".to_owned(), 1));
    assert!(
        server.put("/models/colors/live", &json!({"version": 9})).await.is(Code::ModelNotFound).contains("[1, 2, 3]")
    );
    server.put("/models/nope/live", &json!({"version": 1})).await.is(Code::ModelNotFound);
    server.put("/models/..%2Fcolors/live", &json!({"version": 1})).await.is(Code::ModelNotFound);
    for body in [json!({}), json!({"version": null}), json!({"version": 1, "force": true}), json!({"version": -1})] {
        server.put("/models/colors/live", &body).await.is(Code::InvalidBody);
    }
}

#[tokio::test]
async fn versions_are_listed_described_and_deleted() {
    let server = server().await;
    let answer = server.get("/models/colors/versions").await;
    let versions = answer.ok()["data"].as_array().unwrap();
    let numbers: Vec<(u64, bool)> =
        versions.iter().map(|version| (version["version"].as_u64().unwrap(), version["live"] == true)).collect();
    assert_eq!(numbers, [(3, false), (2, false), (1, true)]);
    assert!(versions[0]["published_at"].as_str().unwrap().ends_with('Z') && versions[0].get("job").is_none());
    let answer = server.get("/models/colors/versions/2").await;
    let version = answer.ok();
    assert_eq!((&version["version"], &version["labels"]), (&json!(2), &json!(["red", "blue", "green"])));
    assert_eq!(
        (&version["architecture"], &version["preprocess"]["resize"]["mode"]),
        (&json!("colors"), &json!("exact"))
    );
    for address in
        ["/models/colors/versions/9", "/models/colors/versions/x", "/models/nope/versions", "/models/nope/versions/1"]
    {
        server.get(address).await.is(Code::ModelNotFound);
    }

    assert!(server.delete("/models/colors/versions/1").await.is(Code::VersionIsLive).contains("?force=true"));
    assert_eq!(server.delete("/models/colors/versions/3").await.status, StatusCode::NO_CONTENT);
    server.delete("/models/colors/versions/3").await.is(Code::ModelNotFound);
    server.delete("/models/colors/versions/1?force=yes").await.is(Code::InvalidParameter);
    assert_eq!(server.delete("/models/colors/versions/1?force=true").await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.best(GREEN).await, ("blue".to_owned(), 2), "the newest of the others answers at once");
    server.delete("/models/colors/versions/2?force=true").await;
    server.get("/models/colors").await.is(Code::ModelNotFound);
}

#[tokio::test]
async fn an_onnx_file_is_fetched_whole_in_ranges_and_not_twice() {
    let server = server().await;
    let fetch = async |headers: &[(&str, &str)]| {
        let request = Request::get("/models/colors/versions/2/onnx");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = router(server.state.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, to_bytes(body, usize::MAX).await.unwrap())
    };
    let stored = server.store().read(&"colors".parse().unwrap(), 2).unwrap().onnx;
    let (status, headers, bytes) = fetch(&[]).await;
    assert_eq!((status, bytes.as_ref()), (StatusCode::OK, &stored[..]));
    assert_eq!(headers[header::CONTENT_LENGTH], stored.len().to_string());
    assert_eq!(headers[header::CONTENT_DISPOSITION], "attachment; filename=\"colors-2.onnx\"");
    let tag = headers[header::ETAG].to_str().unwrap();

    let (status, headers, bytes) = fetch(&[("range", "bytes=10-")]).await;
    assert_eq!((status, bytes.as_ref()), (StatusCode::PARTIAL_CONTENT, &stored[10..]));
    assert_eq!(headers[header::CONTENT_RANGE], format!("bytes 10-{}/{}", stored.len() - 1, stored.len()));
    let (status, _, bytes) = fetch(&[("range", "bytes=10-"), ("if-range", "\"other\"")]).await;
    assert_eq!((status, bytes.len()), (StatusCode::OK, stored.len()), "the range is of another file");
    let (status, _, bytes) = fetch(&[("if-none-match", tag)]).await;
    assert_eq!((status, bytes.len()), (StatusCode::NOT_MODIFIED, 0));
    let (status, ..) = fetch(&[("range", "bytes=99999999-")]).await;
    assert_eq!(status, StatusCode::RANGE_NOT_SATISFIABLE);
    server.get("/models/colors/versions/9/onnx").await.is(Code::ModelNotFound);
}

#[tokio::test]
async fn classes_are_renamed_and_notes_are_taken() {
    let server = server().await;
    let names = json!(["rot", "grün", "blau"]);
    let answer = server.patch("/models/colors/versions/1", &json!({"labels": names, "notes": "by Ada"})).await;
    assert_eq!((&answer.ok()["labels"], &answer.body["notes"]), (&names, &json!("by Ada")));
    assert_eq!(server.best(GREEN).await, ("grün".to_owned(), 1), "without another load");
    assert_eq!(server.get("/models/colors").await.ok()["labels"], names);
    for (labels, expected) in [
        (json!(["one"]), "it has 3 classes, and 1 names were given"),
        (json!(["a", "a", "b"]), "two classes would be called `a`"),
    ] {
        let answer = server.patch("/models/colors/versions/1", &json!({"labels": labels})).await;
        assert!(answer.is(Code::LabelsRefused).contains(expected), "{}", answer.body);
    }
    assert!(
        server
            .patch("/models/bones/versions/1", &json!({"labels": ["a"]}))
            .await
            .is(Code::LabelsRefused)
            .contains("backbone")
    );
    server.patch("/models/colors/versions/9", &json!({"notes": "x"})).await.is(Code::ModelNotFound);
    server.patch("/models/colors/versions/1", &json!({"labels": null})).await.is(Code::InvalidBody);

    let answer = server.patch("/models/colors", &json!({"notes": "the shop window"})).await;
    assert_eq!(answer.ok()["notes"], "the shop window");
    assert_eq!(server.get("/models").await.ok()["data"][1]["notes"], "the shop window");
    assert_eq!(server.patch("/models/colors", &json!({"notes": ""})).await.ok().get("notes"), None);
    server.patch("/models/nope", &json!({"notes": "x"})).await.is(Code::ModelNotFound);
    server.patch("/models/colors", &json!({"name": "x"})).await.is(Code::InvalidBody);
}

#[tokio::test]
async fn models_are_unloaded_and_loaded() {
    let server = server().await;
    let answer = server.post("/models/colors/unload", "text/plain", "").await;
    assert_eq!((&answer.ok()["state"], answer.body.get("version")), (&json!("STOPPED"), None));
    let answer = server.post("/classify/bytes?model=colors", "image/bmp", bmp(RED)).await;
    assert!(answer.is(Code::ModelUnloaded).contains("`POST /models/colors/load`"));
    server.get("/health/ready").await.ok();
    let answer = server.post("/models/colors/load", "text/plain", "").await;
    assert_eq!((&answer.ok()["state"], &answer.body["version"]), (&json!("READY"), &json!(1)));
    assert_eq!(server.best(RED).await, ("red".to_owned(), 1));
    server.post("/models/nope/load", "text/plain", "").await.is(Code::ModelNotFound);
    server.post("/models/nope/unload", "text/plain", "").await.is(Code::ModelNotFound);
}

#[tokio::test]
async fn the_default_model_answers_requests_that_name_none() {
    let server = server().await;
    publish(&server.store(), "second", &colors(), &[]);
    server.state.registry.scan().await.unwrap();
    server.get("/default-model").await.is(Code::DefaultNotFound);
    let unnamed = async || server.post("/classify/bytes", "image/bmp", bmp(RED)).await;
    unnamed().await.is(Code::ModelNotNamed);
    assert_eq!(server.put("/default-model", &json!({"name": "second"})).await.ok(), &json!({"name": "second"}));
    assert_eq!(unnamed().await.ok()["model"], "second");
    assert_eq!(server.get("/models/second").await.ok()["default"], true);
    server.put("/default-model", &json!({"name": "nope"})).await.is(Code::ModelNotFound);
    server.put("/default-model", &json!({"name": "../x"})).await.is(Code::InvalidBody);
    assert_eq!(server.get("/default-model").await.ok(), &json!({"name": "second"}));
    assert_eq!(server.delete("/default-model").await.status, StatusCode::NO_CONTENT);
    unnamed().await.is(Code::ModelNotNamed);
}

#[tokio::test]
async fn a_shadow_answers_copies_and_is_let_in() {
    let server = server().await;
    server.get("/models/colors/shadow").await.is(Code::ShadowNotFound);
    server.get("/models/nope/shadow").await.is(Code::ModelNotFound);
    for (body, expected) in
        [(json!({"version": 1}), "it is live"), (json!({"version": 2, "share": 0.0}), "the share must be above 0")]
    {
        let answer = server.put("/models/colors/shadow", &body).await;
        assert!(answer.is(Code::ShadowRefused).contains(expected), "{}", answer.body);
    }
    server.put("/models/colors/shadow", &json!({"version": 9})).await.is(Code::ModelNotFound);
    let answer = server.put("/models/colors/shadow", &json!({"version": 2, "share": 1})).await;
    assert_eq!((&answer.ok()["version"], &answer.body["share"]), (&json!(2), &json!(1.0)));
    let (red, green) = (bmp(RED), bmp(GREEN));
    let parts: Vec<(&str, &str, &[u8])> = [&red, &green, &red].map(|image| ("image", "a", &image[..])).to_vec();
    let classified = server.post_form("/classify?model=colors", &parts).await;
    assert_eq!(classified.ok()["version"], 1, "clients see the live version alone");
    let report = loop {
        let report = server.get("/models/colors/shadow").await.ok().clone();
        if report["images"]["compared"] == 3 {
            break report;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let agreement = report["agreement"].as_f64().unwrap();
    assert!((agreement - 2.0 / 3.0).abs() < 1e-12, "two of three: {report}");
    let last = &report["disagreements"][0];
    assert_eq!((&last["live"]["labels"], &last["shadow"]["labels"]), (&json!(["green"]), &json!(["blue"])));
    assert_eq!(last["request_id"], classified.body["request_id"]);
    server.put("/models/colors/live", &json!({"version": 2})).await.ok();
    server.get("/models/colors/shadow").await.is(Code::ShadowNotFound);
    assert_eq!(server.delete("/models/colors/shadow").await.status, StatusCode::NO_CONTENT);
    server.delete("/models/nope/shadow").await.is(Code::ModelNotFound);
}

#[tokio::test]
async fn what_is_no_model_form_is_refused() {
    let server = server().await;
    for (parts, expected) in [
        (&[("file", "a.onnx", &b"x"[..])][..], "no part named `name`"),
        (&[("name", "", b"mine")], "no part named `file`"),
        (&[("name", "", b"../mine")], "`../mine` is not a model name"),
        (&[("model", "", b"mine")], "there is a part named `model`"),
        (&[("name", "", b"mine"), ("preprocessing", "", b"{\"verify\": 1}")], "there is no option `verify`"),
        (&[("file", "a", b"x"), ("file", "a", b"x")], "two files of the form have one name"),
    ] {
        let answer = server.post_form("/models", parts).await;
        assert!(answer.is(Code::InvalidMultipart).contains(expected), "{}", answer.body);
    }
    server.post("/models", "application/octet-stream", "x").await.is(Code::UnsupportedMediaType);
    // The limit of uploads, not that of bodies in memory.
    let large = vec![0; 4 << 20];
    server.post_form("/models", &[("file", "a", &large)]).await.is(Code::BodyTooLarge);
    let incoming = DataDir::new(server.folder.path()).incoming_dir();
    assert_eq!(std::fs::read_dir(incoming).unwrap().count(), 0, "nothing is left of them");
}

#[tokio::test]
async fn anybody_with_a_key_may_read_and_only_admins_may_change() {
    let keys = [("camera", Role::Infer), ("lab", Role::Train), ("boss", Role::Admin)]
        .map(|(name, role)| NewKey::generate(name, vec![role]).unwrap());
    let key = keys.iter().map(|key| key.key.to_string()).collect();
    let server = TestServer::with_access(AccessArgs { key, ..AccessArgs::default() }).await;
    let call = async |method: &str, address: &str, secret: &str| {
        let request = Request::builder().method(method).uri(address).header("x-api-key", secret);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        server.send(request.body(Body::from("{}")).unwrap()).await
    };
    let reads = [
        "/models",
        "/models/colors",
        "/models/colors/versions",
        "/models/colors/versions/1",
        "/models/colors/versions/1/onnx",
    ];
    for (address, key) in reads.iter().flat_map(|address| keys.iter().map(move |key| (address, key))) {
        assert_eq!(call("GET", address, &key.secret).await.status, StatusCode::OK, "{address}");
    }
    server.get("/models/colors/versions/1/onnx").await.is(Code::Unauthorized);
    for (method, address) in [
        ("POST", "/models"),
        ("GET", "/import"),
        ("GET", "/import/x/events"),
        ("POST", "/import/x/cancel"),
        ("PATCH", "/models/colors"),
        ("PATCH", "/models/colors/versions/1"),
        ("DELETE", "/models/colors/versions/1"),
        ("PUT", "/models/colors/live"),
        ("POST", "/models/colors/load"),
        ("POST", "/models/colors/unload"),
        ("PUT", "/models/colors/shadow"),
        ("DELETE", "/models/colors/shadow"),
        ("PUT", "/default-model"),
        ("DELETE", "/default-model"),
    ] {
        for key in &keys[..2] {
            let answer = call(method, address, &key.secret).await;
            assert!(answer.is(Code::Forbidden).contains("has not the role `admin`"), "{method} {address}");
        }
        let status = call(method, address, &keys[2].secret).await.status;
        assert!(![StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED].contains(&status), "{method} {address}: {status}");
    }
}
