//! What stands before the handlers: limits, deadlines, keys, hosts, counters.

use super::*;
use crate::access::{NewKey, Role};

/// The lines of `GET /metrics` that start like this.
async fn counted(server: &TestServer, start: &str) -> Vec<String> {
    let response = router(server.state.clone()).oneshot(Request::get("/metrics").body(Body::empty()).unwrap());
    let bytes = to_bytes(response.await.unwrap().into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let mut lines: Vec<String> = text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn every_request_is_counted_once_by_its_outcome() {
    let server = TestServer::new().await;
    let red = bmp(RED);
    let post = |bytes: Vec<u8>| server.post("/classify/bytes?model=colors", "image/bmp", bytes);
    post(red.clone()).await.ok();
    post(b"text".to_vec()).await.is(Code::NotAnImage);
    // A client that goes: the future of its request is dropped before the body has come.
    let (_sender, stuck) = tokio::sync::oneshot::channel::<()>();
    let body = Body::new(StuckBody(stuck));
    let request = Request::post("/classify/bytes?model=colors").body(body).unwrap();
    let gone = tokio::time::timeout(Duration::from_millis(50), router(server.state.clone()).oneshot(request)).await;
    assert!(gone.is_err(), "the request has no answer");

    assert_eq!(
        counted(&server, "graft_requests_received_total{route=\"/classify").await,
        ["graft_requests_received_total{route=\"/classify/bytes\"} 3"]
    );
    let requests = counted(&server, "graft_requests_total{route=\"/classify").await;
    let line = |outcome: &str, reason: &str| {
        format!(
            "graft_requests_total{{route=\"/classify/bytes\",model=\"colors\",outcome=\"{outcome}\",\
             reason=\"{reason}\"}} 1"
        )
    };
    assert_eq!(requests, [line("abandoned", ""), line("answered", ""), line("failed", "not_an_image")]);
    let stages = counted(&server, "graft_stage_seconds_count{stage=\"inference\"").await;
    assert_eq!(stages, ["graft_stage_seconds_count{stage=\"inference\",model=\"colors\",engine=\"tract\"} 1"]);
    assert_eq!(counted(&server, "graft_body_bytes_in_flight").await, ["graft_body_bytes_in_flight 0"]);
    assert_eq!(
        counted(&server, "graft_model_version").await,
        ["graft_model_version{model=\"bones\"} 0", "graft_model_version{model=\"colors\"} 1"]
    );
}

/// A body that never arrives.
struct StuckBody(tokio::sync::oneshot::Receiver<()>);

impl axum::body::HttpBody for StuckBody {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::pin::Pin::new(&mut self.0).poll(cx).map(|_| None)
    }
}

#[tokio::test]
async fn what_can_be_refused_is_refused_before_the_body_is_read() {
    let server = TestServer::new().await;
    let (_sender, stuck) = tokio::sync::oneshot::channel::<()>();
    // None of these waits for the body, which never comes.
    let mut stuck = Some(stuck);
    for (address, code) in
        [("/classify/bytes?model=nope", Code::ModelNotFound), ("/classify/bytes?top_k=0", Code::InvalidParameter)]
    {
        let (_never, next) = tokio::sync::oneshot::channel();
        let body = Body::new(StuckBody(stuck.replace(next).unwrap()));
        let answer = server.send(Request::post(address).body(body).unwrap()).await;
        answer.is(code);
        assert_eq!(answer.headers[header::CONNECTION], "close", "{address}");
    }
    // A small rest is read, and the connection goes on.
    let answer = server.post("/classify/bytes?model=nope", "image/bmp", vec![0; 1000]).await;
    answer.is(Code::ModelNotFound);
    assert!(!answer.headers.contains_key(header::CONNECTION));
    // What finds no room is refused by its length.
    let budget = server.state.budget.clone();
    let full = budget.reserve(budget.limit() - 100).unwrap();
    let answer = server.post("/classify/bytes?model=colors", "image/bmp", vec![0; 1000]).await;
    answer.is(Code::ServerBusy);
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    drop(full);
    server.post("/classify/bytes?model=colors", "image/bmp", bmp(RED)).await.ok();
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_given_up() {
    let mut server = TestServer::new().await;
    let limits = HttpLimits { body_timeout: Duration::from_millis(20), ..(*server.state.limits).clone() };
    server.state.services_mut().limits = Arc::new(limits);
    let (_sender, stuck) = tokio::sync::oneshot::channel::<()>();
    let request = Request::post("/classify/bytes?model=colors").body(Body::new(StuckBody(stuck))).unwrap();
    server.send(request).await.is(Code::BodyTimeout);
}

#[tokio::test]
async fn json_has_a_limit_of_its_own_and_a_depth() {
    let server = TestServer::new().await;
    let long = format!("{{\"base_model\": \"{}\"}}", "x".repeat(4 << 10));
    server.post("/finetune", "application/json", long).await.is(Code::BodyTooLarge);
    let deep = format!("{{\"dataset\": {{\"path\": {}", "[".repeat(2000));
    // No field takes nested lists, and none is read deeper than serde_json's 128.
    assert!(server.post("/finetune", "application/json", deep).await.is(Code::InvalidJson).contains("recursion limit"));
}

#[tokio::test]
async fn a_deadline_of_the_client_is_kept() {
    let server = TestServer::new().await;
    let (_sender, stuck) = tokio::sync::oneshot::channel::<()>();
    let request = Request::post("/classify/bytes?model=colors").header("x-request-timeout-ms", "20");
    let answer = server.send(request.body(Body::new(StuckBody(stuck))).unwrap()).await;
    assert!(answer.is(Code::DeadlineExceeded).contains("20 ms"));
    for text in ["0", "soon", "-1", "1.5"] {
        let request = Request::get("/models").header("x-request-timeout-ms", text).body(Body::empty()).unwrap();
        assert!(server.send(request).await.is(Code::InvalidParameter).contains("X-Request-Timeout-Ms"), "{text}");
    }
}

#[tokio::test]
async fn an_answer_says_where_its_time_went() {
    let server = TestServer::new().await;
    let answer = server.post("/classify/bytes", "image/bmp", bmp(RED)).await;
    let timing = answer.headers["server-timing"].to_str().unwrap();
    let names: Vec<&str> = timing.split(", ").map(|part| part.split(";dur=").next().unwrap()).collect();
    assert_eq!(names, ["read", "decode", "queue", "inference", "total"]);
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn keys_open_what_their_roles_are_for() {
    let new = |name, role| NewKey::generate(name, vec![role]).unwrap();
    let (camera, boss) = (new("camera", Role::Infer), new("boss", Role::Admin));
    let key = vec![camera.key.to_string(), boss.key.to_string()];
    let server = TestServer::with_access(AccessArgs { key, ..AccessArgs::default() }).await;
    let get = async |address: &str, header: (&str, String)| {
        server.send(Request::get(address).header(header.0, header.1).body(Body::empty()).unwrap()).await
    };
    let answer = server.get("/models").await;
    answer.is(Code::Unauthorized);
    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
    get("/models", ("authorization", "Bearer graft_0".to_owned())).await.is(Code::Unauthorized);
    for header in [("authorization", format!("Bearer {}", camera.secret)), ("x-api-key", camera.secret.clone())] {
        get("/models", header.clone()).await.ok();
        assert!(get("/finetune", header).await.is(Code::Forbidden).contains("`camera` has not the role `train`"));
    }
    get("/finetune", ("x-api-key", boss.secret.clone())).await.ok();
    for open in ["/health/live", "/health/ready", "/openapi.json"] {
        server.get(open).await.ok();
    }
    // A stranger learns nothing by the order of the checks.
    server.post("/classify/bytes?model=nope", "image/bmp", bmp(RED)).await.is(Code::Unauthorized);
}

#[tokio::test]
async fn a_refusal_for_a_role_counts_for_the_rate_of_its_key() {
    let camera = NewKey::generate("camera", vec![Role::Infer]).unwrap();
    let (key, rate_limit) = (vec![camera.key.to_string()], std::num::NonZeroU32::new(3));
    let server = TestServer::with_access(AccessArgs { key, rate_limit, ..AccessArgs::default() }).await;
    let ask = async || {
        let request = Request::get("/finetune").header("x-api-key", &camera.secret);
        server.send(request.body(Body::empty()).unwrap()).await
    };
    for _ in 0..3 {
        ask().await.is(Code::Forbidden);
    }
    // Three a second: on a machine that is slow for a moment the fourth may come when there is another again.
    let mut last = ask().await;
    for _ in 0..30 {
        if last.status == StatusCode::FORBIDDEN {
            last = ask().await;
        }
    }
    last.is(Code::RateLimited);
}

#[test]
fn an_error_quotes_its_client_at_no_great_length() {
    let detail = |length: usize| ApiError::new(Code::InvalidBody, "\u{e9}".repeat(length)).detail().unwrap().to_owned();
    assert_eq!(detail(2000), "\u{e9}".repeat(2000));
    assert_eq!(detail(100_000), "\u{e9}".repeat(2000) + "…");
}

#[tokio::test]
async fn a_page_of_a_stranger_cannot_call_the_server() {
    let server = TestServer::with_access(AccessArgs {
        cors_origins: vec!["https://good.example".to_owned()],
        ..AccessArgs::default()
    })
    .await;
    let send = async |method: Method, headers: &[(&str, &str)]| {
        let request = Request::builder().method(method).uri("/classify/bytes");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        server.send(request.body(bmp(RED).into()).unwrap()).await
    };
    send(Method::POST, &[("host", "evil.example")]).await.is(Code::HostNotAllowed);
    let local = ("host", "localhost:8080");
    let several = send(Method::POST, &[local, ("host", "evil.example")]).await;
    assert!(several.is(Code::InvalidParameter).contains("several hosts"));
    send(Method::POST, &[local, ("origin", "https://evil.example")]).await.is(Code::OriginNotAllowed);
    send(Method::POST, &[local, ("origin", "null")]).await.is(Code::OriginNotAllowed);
    send(Method::POST, &[local, ("origin", "http://localhost:8080")]).await.ok();
    let answer = send(Method::POST, &[local, ("origin", "https://good.example")]).await;
    answer.ok();
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://good.example");
    let asked = ("access-control-request-method", "POST");
    let answer = send(Method::OPTIONS, &[local, ("origin", "https://evil.example"), asked]).await;
    assert!(!answer.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
}

#[tokio::test]
async fn readiness_follows_the_life_of_the_server() {
    let mut server = TestServer::new().await;
    assert_eq!(server.get("/health/live").await.ok(), &json!({"status": "ok"}));
    let models = json!([{"name": "colors", "state": "READY", "version": 1}]);
    assert_eq!(server.get("/health/ready").await.ok(), &json!({"status": "ok", "models": models}));
    let open = Arc::new(|_: &[u8]| Err(onnx::EngineError::NotLoaded));
    server.state.services_mut().registry = Registry::with_opener(server.store(), open, options(1, 1));
    server.get("/health/ready").await.is(Code::NotReady);
    server.state.registry.scan().await.unwrap();
    assert!(server.get("/health/ready").await.is(Code::NotReady).contains("do not answer: colors"));
    let red = bmp(RED);
    let answer = server.post("/classify/bytes?model=colors", "image/bmp", red).await;
    assert!(answer.is(Code::ModelFailed).contains("ONNX Runtime is not loaded"));
    server.state.draining.begin();
    server.get("/health/ready").await.is(Code::ShuttingDown);
    server.get("/health/live").await.ok();
}

#[tokio::test]
#[expect(clippy::await_holding_lock, reason = "no task waits for this lock, only the engine's thread does")]
async fn a_full_queue_is_answered_at_once() {
    let mut server = TestServer::new().await;
    let gate = Arc::new(Mutex::new(()));
    let watch = Arc::new(Mutex::new(EngineRecord::default()));
    let opened = watch.clone();
    let open = Arc::new(move |file: &[u8]| RecordingEngine::set(file, opened.clone()));
    server.state.services_mut().registry = Registry::with_opener(server.store(), open, options(2, 3));
    server.state.registry.scan().await.unwrap();
    let tested = watch.lock().unwrap().batches.len();
    watch.lock().unwrap().gate = Some(gate.clone());

    let server = Arc::new(server);
    let red = bmp(RED);
    let closed = gate.lock().unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let model = server.state.registry.classifier(Some("colors"), deadline).await.unwrap();
    let mut clients = tokio::task::JoinSet::new();
    let mut client = || {
        let (server, red) = (server.clone(), red.clone());
        clients.spawn(async move { server.post("/classify/bytes", "image/bmp", red).await })
    };
    client();
    until(|| watch.lock().unwrap().batches.len() > tested).await;
    // One is in the engine, which is stuck; three more may wait.
    let gone = client();
    client();
    client();
    until(|| model.waiting() == 3).await;
    let answer = server.post("/classify/bytes", "image/bmp", red.clone()).await;
    assert!(answer.is(Code::Overloaded).starts_with("3 images are waiting"));
    assert!(answer.headers[header::RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    gone.abort();
    until(|| gone.is_finished()).await;
    drop(closed);
    let mut answered = 0;
    while let Some(answer) = clients.join_next().await {
        if let Ok(answer) = answer {
            answer.ok();
            answered += 1;
        }
    }
    assert_eq!(answered, 3);
    // The one whose client has gone was never run.
    assert_eq!(watch.lock().unwrap().batches[tested..].iter().sum::<usize>(), 3);
}

async fn until(right: impl Fn() -> bool) {
    while !right() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
