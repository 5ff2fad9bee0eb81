//! The interface without a network in between.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::models::preprocess::Limits;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use axum::routing::get;
use onnx::EngineKind;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::config::{
    AccessArgs, DataDir, DataRootArgs, DatasetLimits, HttpLimits, KernelOptions, LabelStudioArgs, LogArgs, LogFormat,
    MemoryConfig, ProviderOptions, ReadyPolicy, ServeConfig, WebhookArgs, http,
};
use crate::inference::Registry;
use crate::inference::testing::{
    EngineRecord, GREEN, RED, RecordingEngine, bmp, colors, golden, network, options, publish,
};
use crate::jobs::JobOptions;
use crate::runtime::SelectedEngine;
use crate::store::ModelStore;

mod clients;
mod datasets;
mod explanations;
mod finetunes;
mod forms;
mod front;
#[cfg(feature = "grpc")]
mod grpc;
mod imports;
mod models;
mod page;
mod uploads;

struct TestServer {
    folder: TempDir,
    state: AppState,
}

struct TestResponse {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Value,
}

impl TestServer {
    /// A server with the classifier `colors` and the backbone `bones`.
    async fn new() -> Self {
        Self::with_access(AccessArgs::default()).await
    }

    async fn with_access(access: AccessArgs) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = ServeConfig {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            limits: HttpLimits {
                body_bytes: 1 << 20,
                json_bytes: 4 << 10,
                inflight_bytes: 2 << 20,
                image: Limits { max_pixels: 1_000_000, ..Limits::default() },
                images: 5,
                queue: 3,
                queue_wait: Duration::from_secs(60),
                ..http::testing::defaults()
            },
            access,
            ready: ReadyPolicy::Any,
            max_batch: 2,
            profile: crate::inference::RunProfile::Auto,
            max_accuracy_drop: 0.5,
            memory: MemoryConfig { budget: None, load_wait: Duration::from_secs(10), answers: None },
            drain_delay_seconds: 0,
            drain_seconds: 1,
            #[cfg(feature = "grpc")]
            grpc_port: None,
            #[cfg(feature = "otel")]
            otlp_endpoint: None,
            jobs: JobOptions::default(),
            datasets: DatasetLimits {
                datasets: 3,
                images: 6,
                bytes: 1 << 20,
                upload_bytes: 4 << 20,
                uploads: 2,
                upload_expiry: Duration::from_secs(3600),
            },
            collect: None,
            webhooks: WebhookArgs::default(),
            tracking: None,
            label_studio: LabelStudioArgs::default(),
            retention: None,
            log: LogArgs { log: "info".to_owned(), log_format: LogFormat::Text },
            roots: DataRootArgs { data_roots: vec![folder.path().to_owned()] },
            kernels: KernelOptions::default(),
            provider: ProviderOptions::default(),
            data: DataDir::new(folder.path()),
        };
        let threads = NonZeroUsize::MIN;
        let engine = SelectedEngine::plain(EngineKind::Tract, threads, "chosen by the test".to_owned());
        let state = AppState::open(&config, engine).await.unwrap();
        let server = Self { folder, state };
        let (network, backbone) = (colors(), network(None));
        publish(&server.store(), "colors", &network, &golden(&network));
        publish(&server.store(), "bones", &backbone, &[]);
        server.state.registry.scan().await.unwrap();
        server
    }

    fn store(&self) -> ModelStore {
        ModelStore::open(&DataDir::new(self.folder.path()).models_dir()).unwrap()
    }

    async fn send(&self, request: Request<Body>) -> TestResponse {
        let response = router(self.state.clone()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        TestResponse { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, address: &str) -> TestResponse {
        self.send(Request::get(address).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, address: &str, content_type: &str, body: impl Into<Body>) -> TestResponse {
        let request = Request::post(address).header(header::CONTENT_TYPE, content_type);
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn post_form(&self, address: &str, parts: &[(&str, &str, &[u8])]) -> TestResponse {
        self.post(address, "multipart/form-data; boundary=XX", form(parts)).await
    }

    async fn post_json(&self, address: &str, body: &Value) -> TestResponse {
        self.post(address, "application/json", body.to_string()).await
    }
}

fn form(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        body.extend(
            format!("--XX\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\r\n").bytes(),
        );
        body.extend_from_slice(bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--XX--\r\n");
    body
}

impl TestResponse {
    /// Every error is a problem that names its request.
    #[track_caller]
    fn is(&self, code: Code) -> &str {
        assert_eq!(
            (self.status, &self.body["code"]),
            (code.entry().status, &json!(code.entry().name)),
            "{}",
            self.body
        );
        assert_eq!(self.headers[header::CONTENT_TYPE], crate::http::problem::PROBLEM_JSON);
        let problem: Problem = serde_json::from_value(self.body.clone()).unwrap();
        assert_eq!(problem.status, self.status.as_u16());
        assert_eq!(problem.kind, format!("urn:graft:error:{}", problem.code));
        assert_eq!(self.headers["x-request-id"], problem.request_id);
        assert_eq!(problem.request_id.len(), 36);
        self.body["detail"].as_str().unwrap()
    }

    #[track_caller]
    fn ok(&self) -> &Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.body);
        &self.body
    }
}

#[tokio::test]
async fn images_are_classified() {
    let server = TestServer::new().await;
    let (red, green) = (bmp(RED), bmp(GREEN));
    let parts: [(&str, &str, &[u8]); 2] = [("image", "a.bmp", &red), ("image", "", &green)];
    let answer = server.post_form("/classify?top_k=2", &parts).await;
    let body = answer.ok();
    assert_eq!((&body["model"], &body["version"], &body["engine"]), (&json!("colors"), &json!(1), &json!("tract")));
    let results = body["results"].as_array().unwrap();
    let best = |index: usize| &results[index]["predictions"][0]["label"];
    assert_eq!((best(0), best(1)), (&json!("red"), &json!("green")));
    assert_eq!((&results[0]["file_name"], results[1].get("file_name")), (&json!("a.bmp"), None));
    assert_eq!(results[0]["predictions"].as_array().unwrap().len(), 2);
    assert!(body["timings_ms"]["total"].as_f64().unwrap() >= body["timings_ms"]["inference"].as_f64().unwrap());
    assert_eq!(answer.headers["x-request-id"].len(), 36);

    for content_type in ["application/octet-stream", "image/bmp", "application/x-www-form-urlencoded"] {
        let answer = server.post("/classify/bytes?model=colors", content_type, red.clone()).await;
        let predictions = answer.ok()["results"][0]["predictions"].as_array().unwrap().clone();
        let scores: f64 = predictions.iter().map(|prediction| prediction["score"].as_f64().unwrap()).sum();
        assert!((scores - 1.0).abs() < 1e-6, "{predictions:?}");
        assert_eq!((&predictions[0]["label"], &predictions[0]["class"]), (&json!("red"), &json!(0)));
    }
}

#[tokio::test]
async fn bad_images_are_named() {
    let server = TestServer::new().await;
    let red = bmp(RED);
    let bytes = async |body: Vec<u8>| server.post("/classify/bytes", "application/octet-stream", body).await;
    bytes(vec![]).await.is(Code::ImageEmpty);
    let answer = bytes(b"hello, this is text".to_vec()).await;
    assert!(answer.is(Code::NotAnImage).starts_with("not an image; send one of"));
    bytes(red[..70].to_vec()).await.is(Code::ImageTruncated);
    let mut huge = red.clone();
    huge[18..22].copy_from_slice(&30_000_u32.to_le_bytes());
    huge[22..26].copy_from_slice(&30_000_u32.to_le_bytes());
    assert!(bytes(huge).await.is(Code::ImageTooLarge).contains("30000x30000"));

    server.post_form("/classify", &[("image", "a", b"")]).await.is(Code::ImageEmpty);
}

#[tokio::test]
async fn bad_requests_are_problems() {
    let server = TestServer::new().await;
    let red = bmp(RED);
    server.get("/nothing").await.is(Code::RouteNotFound);
    let answer = server.get("/classify").await;
    answer.is(Code::MethodNotAllowed);
    assert_eq!(answer.headers[header::ALLOW], "POST");
    server
        .send(Request::builder().method(Method::DELETE).uri("/models").body(Body::empty()).unwrap())
        .await
        .is(Code::MethodNotAllowed);

    server.post_form("/classify", &[]).await.is(Code::ImageMissing);
    let answer = server.post_form("/classify", &[("images", "a", &red)]).await;
    assert!(answer.is(Code::InvalidMultipart).contains("`images`"));
    let broken = "multipart/form-data; boundary=XX";
    server.post("/classify", broken, "no boundary in here").await.is(Code::InvalidMultipart);
    server.post("/classify", "multipart/form-data", "--XX--").await.is(Code::UnsupportedMediaType);
    server.post("/classify", "image/bmp", red.clone()).await.is(Code::UnsupportedMediaType);
    let answer = server.post("/classify/bytes", broken, form(&[("image", "a", &red)])).await;
    assert!(answer.is(Code::UnsupportedMediaType).contains("POST /classify"));
    server.post("/classify/bytes", "image/bmp", vec![0; (1 << 20) + 1]).await.is(Code::BodyTooLarge);
    server.post_form("/classify", &[("image", "a", &vec![0; 1 << 20])]).await.is(Code::BodyTooLarge);

    for (query, named) in [("top_k=0", "top_k"), ("top_k=x", "top_k"), ("topk=3", "topk"), ("model=a&model=b", "model")]
    {
        let answer = server.post(&format!("/classify/bytes?{query}"), "image/bmp", red.clone()).await;
        assert!(answer.is(Code::InvalidParameter).contains(named), "{query}: {}", answer.body);
    }
    let four: Vec<(&str, &str, &[u8])> = vec![("image", "a", &red); 4];
    assert!(server.post_form("/classify", &four).await.is(Code::TooManyImages).contains("4 images"));
}

#[tokio::test]
async fn models_are_listed_and_described() {
    let server = TestServer::new().await;
    let answer = server.get("/models").await;
    let [bones, model] = answer.ok()["data"].as_array().unwrap().as_slice() else { panic!("{}", answer.body) };
    assert_eq!((&bones["name"], &bones["state"]), (&json!("bones"), &json!("BACKBONE")));
    let mut model = model.clone();
    // What was measured is another number each time.
    let plan = model.as_object_mut().and_then(|model| model.remove("plan")).unwrap();
    assert!(plan["alone_ms"].is_f64() && plan["busy_ms"] == plan["alone_ms"], "{plan}");
    assert_eq!((&plan["variant"], &plan["variants"], &plan["profile"]), (&json!("f32"), &json!([]), &json!("auto")));
    assert_eq!((&plan["lanes"], &plan["reason"]), (&json!(1), &json!("there is one thread")));
    let expected = json!({
        "name": "colors", "state": "READY", "version": 1, "live": 1, "default": false, "versions": [1],
        "architecture": "colors", "classes": 3, "scores": "softmax", "built_in": false
    });
    assert_eq!(model, expected);
    let answer = server.get("/models/colors").await;
    let model = answer.ok();
    assert_eq!(model["labels"], json!(["red", "green", "blue"]));
    assert_eq!(model["engine"], json!({"kind": "tract", "reason": "chosen by the test", "threads": 1}));
    assert_eq!(model["preprocess"]["resize"], json!({"mode": "exact", "width": 8, "height": 8}));
    assert!(server.get("/models/nope").await.is(Code::ModelNotFound).contains("there are bones, colors"));

    let red = bmp(RED);
    let with =
        async |model: &str| server.post(&format!("/classify/bytes?model={model}"), "image/bmp", red.clone()).await;
    assert!(with("nope").await.is(Code::ModelNotFound).contains("there are colors"));
    with("..%2Fcolors").await.is(Code::ModelNotFound);
    with("bones").await.is(Code::NotAClassifier);
    publish(&server.store(), "second", &colors(), &[]);
    server.state.registry.scan().await.unwrap();
    let answer = server.post("/classify/bytes", "image/bmp", red.clone()).await;
    assert!(answer.is(Code::ModelNotNamed).contains("colors, second"));
}

#[tokio::test]
async fn jobs_that_are_not_there() {
    let server = TestServer::new().await;
    for id in ["nope", "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55"] {
        assert!(server.get(&format!("/finetune/{id}")).await.is(Code::JobNotFound).contains(id));
        server.get(&format!("/finetune/{id}/events")).await.is(Code::JobNotFound);
        server.post(&format!("/finetune/{id}/cancel"), "text/plain", "").await.is(Code::JobNotFound);
    }
    for query in ["limit=0", "limit=101", "after=nope", "page=2"] {
        server.get(&format!("/finetune?{query}")).await.is(Code::InvalidParameter);
    }
}

#[tokio::test]
async fn an_idempotency_key_is_honored() {
    let server = TestServer::new().await;
    let folder = server.folder.path().join("photos");
    for class in ["a", "b"] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..3 {
            std::fs::write(folder.join(class).join(format!("{number}.bmp")), bmp(RED)).unwrap();
        }
    }
    let send = async |name: &str, key: &str| {
        let dataset = json!({"kind": "folder", "path": folder});
        let body = json!({"base_model": "colors", "dataset": dataset, "name": name});
        let request = Request::post("/finetune").header("idempotency-key", key);
        server
            .send(request.header(header::CONTENT_TYPE, "application/json").body(body.to_string().into()).unwrap())
            .await
    };
    let first = send("mine", "k1").await;
    assert_eq!(send("mine", "k1").await.ok()["id"], first.ok()["id"]);
    send("other", "k1").await.is(Code::IdempotencyKeyReused);
    send("mine", "").await.is(Code::InvalidParameter);

    // A retry after the data has moved is answered with its job; a new request is refused.
    std::fs::rename(&folder, server.folder.path().join("moved")).unwrap();
    let retry = send("mine", "k1").await;
    assert_eq!((retry.status, &retry.ok()["id"]), (StatusCode::ACCEPTED, &first.ok()["id"]));
    send("mine", "k2").await.is(Code::FinetuneRefused);
}

#[tokio::test]
async fn requests_name_files_below_data_roots_alone_and_learn_nothing_of_others() {
    let server = TestServer::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("labels.csv"), "a.jpg,rose,secret\n").unwrap();
    std::fs::write(elsewhere.path().join("a.tgz"), b"\x1f\x8bsecret").unwrap();
    let pipe = server.folder.path().join("labels.csv");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::os::unix::fs::symlink("/proc/self/environ", server.folder.path().join("link.csv")).unwrap();
    let paths = [
        "/dev/zero".into(),
        "/dev/tty".into(),
        "/proc/self/environ".into(),
        "/etc/shadow".into(),
        "/nowhere".into(),
        elsewhere.path().join("labels.csv"),
        elsewhere.path().join("a.tgz"),
        server.folder.path().join("../labels.csv"),
        server.folder.path().join("link.csv"),
        pipe,
    ];
    let mut details = std::collections::BTreeSet::new();
    for path in &paths {
        for kind in ["csv", "auto", "folder", "cifar10", "oxford17"] {
            let body = json!({"base_model": "colors", "dataset": {"kind": kind, "path": path}, "name": "mine"});
            let answer = server.post_json("/finetune", &body).await;
            let path = path.to_str().unwrap();
            details.insert(answer.is(Code::FinetuneRefused).replace(path, "PATH"));
        }
    }
    assert_eq!(details.len(), 1, "{details:#?}");
    assert!(details.first().unwrap().contains("--data-root"), "{details:?}");
}

#[tokio::test]
async fn the_request_id_of_a_proxy_is_kept_if_it_makes_sense() {
    let server = TestServer::new().await;
    for (given, kept) in [("abc-1", true), ("with space", false), ("", false)] {
        let request = Request::get("/nothing").header("x-request-id", given).body(Body::empty()).unwrap();
        let answer = server.send(request).await;
        assert_eq!(answer.headers["x-request-id"] == given, kept, "{given:?}");
        assert_eq!(answer.body["request_id"], answer.headers["x-request-id"].to_str().unwrap());
    }
}

#[tokio::test]
async fn a_panic_is_a_problem() {
    async fn panics() {
        panic!("for the test")
    }
    let state = TestServer::new().await.state;
    let router: Router = Router::new()
        .route("/", get(panics))
        .layer(CatchPanicLayer::custom(respond::panicked))
        .layer(middleware::from_fn_with_state(state, respond::respond));
    let response = router.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap();
    let answer = TestResponse { status: parts.status, headers: parts.headers, body };
    assert!(!answer.is(Code::Internal).contains("for the test"));
}

#[tokio::test]
async fn the_description_is_served_and_complete() {
    let server = TestServer::new().await;
    let served = server.get("/openapi.json").await;
    let described = serde_json::to_value(openapi()).unwrap();
    assert_eq!(served.ok(), &described);
    assert_eq!(described["openapi"], "3.1.0");
    assert_eq!(described["info"]["license"]["identifier"], "MIT OR Apache-2.0");
    assert_eq!(server.get("/docs/").await.status, StatusCode::OK);

    let text = described.to_string();
    let schemas = described["components"]["schemas"].as_object().unwrap();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referred to and not there");
    }
    assert!(!text.contains("\"null\""), "clients turn nullable fields into something ugly");
    let paths = described["paths"].as_object().unwrap();
    let operations = paths
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().values().map(move |operation| (path, operation)));
    let mut ids = std::collections::HashSet::new();
    for (path, operation) in operations {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id) && !id.ends_with("raw"), "{id}");
        assert!(
            !operation["summary"].as_str().unwrap().is_empty() && !operation["tags"].as_array().unwrap().is_empty()
        );
        let format = crate::http::problem::ErrorFormat::of_path(path);
        assert_eq!(
            operation["responses"]["500"]["content"][format.content_type]["schema"]["$ref"],
            format!("#/components/schemas/{}", format.schema),
            "{path}"
        );
    }
    assert_eq!(ids.len(), 117);
}
