//! What every answer gets: an id, a body if it is an error, a line in the log.

use std::any::Any;
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;
use uuid::Uuid;

use crate::failure::panic_message;
use crate::http::problem::ApiError;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids of a proxy are not believed.
const LONGEST_ID: usize = 128;

/// The outermost layer.
pub(crate) async fn respond(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let name = id.to_str().unwrap_or_default();
    let span = tracing::info_span!("request", id = name, method = %request.method(), path = request.uri().path());
    // Probes come every few seconds and say nothing new.
    let quiet = request.uri().path().starts_with("/health");
    let started = Instant::now();
    let has_body = !request.body().is_end_stream();
    let mut response = next.run(request).instrument(span.clone()).await;
    let _entered = span.enter();
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        error.log();
        error.complete(&mut response, name);
    }
    let (status, duration_ms) = (response.status().as_u16(), started.elapsed().as_millis() as u64);
    if quiet {
        tracing::debug!(status, duration_ms, "answered");
    } else {
        tracing::info!(status, duration_ms, "answered");
    }
    response.headers_mut().insert(REQUEST_ID, id);
    // An error may leave the body unread, and then the connection is closed behind the answer. A client that is not told
    // so may send its next request into the closing connection.
    if has_body && (response.status().is_client_error() || response.status().is_server_error()) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A panic of a handler as a failure of ours.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer wants")]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response<Body> {
    ApiError::internal(format!("a handler panicked: {}", panic_message(&*panic))).into_response()
}

/// The id that a proxy gave the request, so that its log and ours agree, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|id| {
        let bytes = id.as_bytes();
        (1..=LONGEST_ID).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    });
    let new = || HeaderValue::try_from(Uuid::now_v7().to_string());
    given.cloned().or_else(|| new().ok()).unwrap_or(HeaderValue::from_static("-"))
}
