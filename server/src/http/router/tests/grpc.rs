//! Calls of gRPC, byte for byte.

use std::io::Write as _;

use axum::body::Bytes;
use axum::http::HeaderMap;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::access::{NewKey, Role};
use crate::grpc;

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl TestServer {
    async fn call(&self, method: &str, body: Vec<u8>, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::post(format!("/inference.GRPCInferenceService/{method}"))
            .header(header::CONTENT_TYPE, "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = grpc::router(self.state.clone()).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap().into();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}

impl Answer {
    #[track_caller]
    fn is(&self, status: &str) -> String {
        assert_eq!((self.status, &self.headers["grpc-status"]), (200, &status.parse().unwrap()), "{:?}", self.headers);
        assert!(self.body.is_empty() && self.headers[header::CONTENT_TYPE] == "application/grpc");
        self.headers["grpc-message"].to_str().unwrap().to_owned()
    }
}

/// A message with its length before it.
fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

/// `ModelInferRequest(model_name="colors", inputs=[…(name="image", datatype="BYTES", shape=[1])])` with a file as raw contents,
/// as tritonclient's stubs write it. The file is shorter than 128 bytes, or its length is two bytes.
fn infer(file: &[u8]) -> Vec<u8> {
    let mut message = hex::decode("0a06636f6c6f72732a110a05696d616765120542595445531a01013a").unwrap();
    let length = file.len() + 4;
    if length > 127 {
        message.push((length & 0x7f) as u8 | 0x80);
        message.push((length >> 7) as u8);
    } else {
        message.push(length as u8);
    }
    message.extend((file.len() as u32).to_le_bytes());
    message.extend(file);
    message
}

#[tokio::test]
async fn an_answer_is_one_message_after_five_bytes() {
    let server = TestServer::new().await;
    let live = server.call("ServerLive", framed(0, b""), &[]).await;
    assert_eq!((live.status, live.body), (200, framed(0, &[8, 1])));
    let answer = server.call("ModelInfer", framed(0, &infer(&bmp(RED))), &[]).await;
    assert!(!answer.headers.contains_key("grpc-status"), "{:?}", answer.headers);
    assert!(answer.body[5..].starts_with(b"\x0a\x06colors\x12\x011"), "{:?}", answer.body);
    assert_eq!(answer.headers["x-request-id"].len(), 36);
}

#[tokio::test]
async fn a_message_may_be_compressed() {
    let server = TestServer::new().await;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&infer(&bmp(RED))).unwrap();
    let packed = framed(1, &gzip.finish().unwrap());
    let answer = server.call("ModelInfer", packed.clone(), &[("grpc-encoding", "gzip")]).await;
    assert!(answer.body[5..].starts_with(b"\x0a\x06colors"), "{:?}", answer.headers);
    let answer = server.call("ModelInfer", packed, &[("grpc-encoding", "br")]).await;
    assert!(answer.is("12").contains("send `gzip`, `deflate`, or no such header"), "{:?}", answer.headers);
}

#[tokio::test]
async fn an_error_is_a_status_and_a_text_in_the_headers() {
    let server = TestServer::new().await;
    // The numbers of google/rpc/code.proto.
    for (method, body, status) in [
        ("ModelReady", framed(0, b"\x0a\x06nobody"), "5"),
        ("ModelInfer", framed(0, b""), "5"),
        ("ModelInfer", framed(0, b"\x0a\x06colors"), "3"),
        ("ModelInfer", framed(0, &infer(b"text")), "3"),
        ("ModelInfer", framed(0, b"\xff"), "3"),
        ("ModelInfer", b"\0\0\0\0\x05abc".to_vec(), "3"),
        ("ModelInfer", Vec::new(), "3"),
        ("ModelInfer", framed(0, &vec![0; (1 << 20) + 1]), "8"),
        ("ModelReady", framed(0, &vec![0; (4 << 10) + 1]), "8"),
        ("ModelStreamInfer", framed(0, b""), "12"),
        ("Trace", framed(0, b""), "12"),
    ] {
        let answer = server.call(method, body, &[]).await;
        let text = answer.is(status);
        assert!(!text.is_empty(), "{method}");
    }
}

#[tokio::test]
async fn a_caller_needs_the_key_and_the_role_that_a_call_is_for() {
    let [infer_key, admin] = [Role::Infer, Role::Admin].map(|role| NewKey::generate(role.name(), vec![role]).unwrap());
    let key = vec![infer_key.key.to_string(), admin.key.to_string()];
    let server = TestServer::with_access(AccessArgs { key, ..AccessArgs::default() }).await;
    let [infer_key, admin] = [infer_key, admin].map(|key| format!("Bearer {}", key.secret));
    let (infer_key, admin) = (("authorization", infer_key.as_str()), ("authorization", admin.as_str()));
    assert_eq!(server.call("ServerReady", framed(0, b""), &[]).await.body.len(), 7);
    server.call("ModelInfer", framed(0, &infer(&bmp(RED))), &[]).await.is("16");
    server.call("ModelMetadata", framed(0, b"\x0a\x06colors"), &[]).await.is("16");
    let load = framed(0, b"\x12\x06colors");
    let text = server.call("RepositoryModelUnload", load.clone(), &[infer_key]).await;
    assert!(text.is("7").contains("has not the role `admin`"));
    for method in ["RepositoryModelUnload", "RepositoryModelLoad"] {
        let answer = server.call(method, load.clone(), &[admin]).await;
        assert_eq!(answer.body, framed(0, b""), "{method}: {:?}", answer.headers);
    }
}

#[tokio::test]
async fn a_deadline_of_grpc_is_kept() {
    let server = TestServer::new().await;
    let body = framed(0, &infer(&bmp(RED)));
    server.call("ModelInfer", body.clone(), &[("grpc-timeout", "0n")]).await.is("4");
    server.call("ModelInfer", body, &[("grpc-timeout", "soon")]).await.is("3");
}

#[tokio::test]
async fn who_has_to_wait_is_told_how_long() {
    let server = TestServer::new().await;
    let room = server.state.budget.reserve(server.state.budget.limit()).unwrap();
    let answer = server.call("ModelInfer", framed(0, &infer(&bmp(RED))), &[]).await;
    answer.is("14");
    let pushback: u64 = answer.headers["grpc-retry-pushback-ms"].to_str().unwrap().parse().unwrap();
    assert!((1000..=2000).contains(&pushback), "{pushback}");
    let details = Bytes::from(answer.headers["grpc-status-details-bin"].as_bytes().to_vec());
    // "type.googleapis.com/google.rpc.RetryInfo" begins in the middle of a group of three bytes, so it is looked for decoded.
    let details = base64::Engine::decode(&base64::engine::general_purpose::STANDARD_NO_PAD, details).unwrap();
    assert!(String::from_utf8_lossy(&details).contains("type.googleapis.com/google.rpc.RetryInfo"));
    drop(room);
}

#[tokio::test]
async fn what_is_no_call_of_grpc_is_answered_over_http() {
    let server = TestServer::new().await;
    let request =
        Request::post("/inference.GRPCInferenceService/ServerLive").header(header::CONTENT_TYPE, "text/plain");
    let response = grpc::router(server.state.clone()).oneshot(request.body(Body::from("x")).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
