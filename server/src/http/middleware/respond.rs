//! What every answer gets: an id, a body if it is an error, a line in the log, a place in the metrics.

use std::any::Any;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{Instrument, Span, field};
use uuid::Uuid;

use crate::failure::panic_message;
use crate::http::middleware::guard;
use crate::http::problem::{ApiError, Code, ErrorFormat};
use crate::http::record::{RequestRecord, TraceParent};
use crate::http::state::AppState;
use crate::metrics::{EndedRequest, Outcome};
use crate::traces::{Answer, RequestTrace};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Longer ids of a proxy are not believed.
const LONGEST_ID: usize = 128;

/// The outermost layer.
pub(crate) async fn respond(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let name = id.to_str().unwrap_or_default();
    let record = RequestRecord::new(&request, name);
    let trace = RequestTrace::begin(&request, &record);
    let span = span(name, &request, &trace);
    let watch = RequestWatch::begin(state.clone(), record.clone(), span.clone(), trace);
    request.extensions_mut().insert(record.clone());
    let format = ErrorFormat::of_path(request.uri().path());
    let mut response = next.run(request).instrument(span.clone()).await;
    let _entered = span.enter();
    let error = response.extensions().get::<ApiError>().cloned();
    if let Some(error) = &error {
        error.log();
        error.complete(&mut response, name, format);
    }
    if let Some(timing) = record.server_timing(watch.started.elapsed()) {
        response.headers_mut().insert(SERVER_TIMING, timing);
    }
    watch.end(response.status(), error.as_ref().map(ApiError::code));
    response.headers_mut().insert(REQUEST_ID, id);
    if state.draining.begun() {
        // The client's next request goes to another server.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A panic of a handler as a failure of ours.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer wants")]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response<Body> {
    ApiError::internal(format!("a handler panicked: {}", panic_message(&*panic))).into_response()
}

fn span(id: &str, request: &Request, trace: &RequestTrace) -> Span {
    let path = request.uri().path();
    let span = tracing::info_span!(
        "request",
        id,
        method = %request.method(),
        path,
        trace_id = field::Empty,
        parent_id = field::Empty,
        span_id = field::Empty
    );
    if let Some(TraceParent { trace_id, parent_id }) = TraceParent::of(request.headers()) {
        span.record("trace_id", trace_id);
        span.record("parent_id", parent_id);
    }
    if let Some((trace_id, span_id)) = trace.ids() {
        span.record("trace_id", trace_id);
        span.record("span_id", span_id);
    }
    span
}

/// Counts a request once, however it ends.
struct RequestWatch {
    state: AppState,
    record: RequestRecord,
    span: Span,
    trace: RequestTrace,
    started: Instant,
    ended: bool,
}

impl RequestWatch {
    fn begin(state: AppState, record: RequestRecord, span: Span, trace: RequestTrace) -> Self {
        state.metrics.received(record.route());
        Self { state, record, span, trace, started: Instant::now(), ended: false }
    }

    fn end(mut self, status: StatusCode, code: Option<Code>) {
        self.ended = true;
        let reason = code.map_or("", |code| code.entry().name);
        self.trace.end(&self.record, Answer { status: Some(status.as_u16()), reason });
        let outcome = match code {
            Some(code) if code.sheds_load() => Outcome::Shed,
            _ if status.is_client_error() || status.is_server_error() => Outcome::Failed,
            _ => Outcome::Answered,
        };
        self.count(outcome, reason);
        let (record, duration_ms) = (&self.record, self.started.elapsed().as_millis() as u64);
        let (status, outcome, model, caller) =
            (status.as_u16(), outcome.name(), record.model(), record.caller().unwrap_or_default());
        // Probes and scrapes come every few seconds and say nothing new.
        if guard::is_probe(record.route()) || record.route() == "/metrics" {
            tracing::debug!(status, outcome, reason, duration_ms, "answered");
        } else if outcome == Outcome::Shed.name() {
            if let Some(left_out) = self.state.refusal_log.admit(Instant::now()) {
                tracing::info!(status, outcome, reason, model, caller, duration_ms, left_out, "answered");
            }
        } else {
            tracing::info!(status, outcome, reason, model, caller, duration_ms, "answered");
        }
    }

    fn count(&self, outcome: Outcome, reason: &'static str) {
        let (route, model, duration) = (self.record.route(), self.record.model(), self.started.elapsed());
        self.state.metrics.ended(EndedRequest { route, model, outcome, reason, duration });
    }
}

/// The future of a request is dropped before its end when the client has gone.
impl Drop for RequestWatch {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.count(Outcome::Abandoned, "");
        self.trace.end(&self.record, Answer { status: None, reason: "" });
        let _entered = self.span.enter();
        let (model, duration_ms) = (self.record.model(), self.started.elapsed().as_millis() as u64);
        tracing::info!(outcome = Outcome::Abandoned.name(), model, duration_ms, "the client has gone");
    }
}

/// The id that a proxy gave the request, so that its log and ours agree, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let upstream = headers.get(REQUEST_ID).filter(|id| {
        let bytes = id.as_bytes();
        (1..=LONGEST_ID).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    });
    let new = || HeaderValue::try_from(Uuid::now_v7().to_string());
    upstream.cloned().or_else(|| new().ok()).unwrap_or(HeaderValue::from_static("-"))
}
