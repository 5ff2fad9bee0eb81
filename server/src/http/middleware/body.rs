//! The body of a request: how large it may be, how long it may take, and what all bodies may cost together.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, timeout};

use crate::http::budget::ByteBudget;
use crate::http::connection::ConnectionState;
use crate::http::problem::{ApiError, Code};
use crate::http::routes::{MODELS_ROUTE, UPLOAD_ROUTE};
use crate::http::state::AppState;

/// A body that goes on arriving at this rate is not cut off.
const BYTES_PER_SECOND: u64 = 16 << 10;
/// A rejected upload of this size is read to its end, so that its connection can be used again.
const CHEAP_TO_DRAIN: u64 = 256 << 10;
/// How long the rest of a refused body is read and dropped. A client that is still sending when its connection closes
/// loses the answer (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(2);
/// How long an answer waits for the rest of a small body.
const PROMPT: Duration = Duration::from_millis(5);
/// Addresses of other programs' clients, which send tensors and base64.
const IMAGES_IN_JSON: [&str; 5] = ["/v2/models/", "/v1/", "/hf/", "/invocations", "/endpoints/"];
/// Room for bodies comes back as soon as one request has been answered.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// Refuses a body that is too large, or that finds no room, before it is read, and measures the others as they arrive.
///
/// The length that a client declares is charged only as far as it has arrived: otherwise a few clients that send nothing
/// would use up the budget.
pub(crate) async fn bound(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let streamed = is_streamed(&parts);
    let limit = match () {
        () if streamed => usize::try_from(state.datasets.limits().upload_bytes).unwrap_or(usize::MAX),
        () if is_json(&parts.headers) && !holds_images(parts.uri.path()) => state.limits.json_bytes,
        () => state.limits.body_bytes,
    };
    let budget = (!streamed).then(|| state.budget.clone());
    let declared = body.size_hint().exact();
    let intake = Arc::new(Intake {
        budget: budget.clone(),
        limit,
        patience: state.limits.body_timeout,
        bytes: AtomicUsize::new(0),
        read_micros: AtomicU64::new(0),
        failure: OnceLock::new(),
        rest: Mutex::new(None),
    });
    let expects_continue = parts.headers.contains_key(header::EXPECT);
    let mut response = match refusal(budget.as_ref(), declared, limit) {
        Some(error) => {
            intake.leave(body);
            ApiError::from(error).into_response()
        }
        None => {
            let mut request = Request::from_parts(parts, Body::empty());
            let connection = request.extensions().get::<ConnectionState>().cloned();
            request.extensions_mut().insert(intake.clone());
            *request.body_mut() = Body::new(MeteredBody::new(body, intake.clone(), connection));
            next.run(request).await
        }
    };
    if let Some(failure) = intake.failure.get() {
        response = ApiError::from(*failure).into_response();
    }
    // A client that waits for the go-ahead sends nothing; reading would give it.
    if expects_continue || !intake.drain().await {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("application/json"))
}

/// Whether JSON at this address has images in it, and is as large as they are.
fn holds_images(path: &str) -> bool {
    IMAGES_IN_JSON.iter().any(|start| path.starts_with(start))
}

/// Whether the bytes of a body go to the disk as they come, so that only a few of them are in memory.
pub(super) fn is_streamed(parts: &Parts) -> bool {
    let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    let streamed = [(Method::PATCH, UPLOAD_ROUTE), (Method::POST, MODELS_ROUTE)];
    route.is_some_and(|route| streamed.contains(&(parts.method.clone(), route)))
}

fn refusal(budget: Option<&ByteBudget>, declared: Option<u64>, limit: usize) -> Option<BodyFailure> {
    let declared = usize::try_from(declared?).unwrap_or(usize::MAX);
    if declared > limit {
        return Some(BodyFailure::TooLarge { limit });
    }
    let room = budget.map_or(usize::MAX, |budget| budget.limit().saturating_sub(budget.used()));
    (declared > room).then_some(BodyFailure::NoRoom)
}

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFailure {
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the bodies of all requests together are as large as they may be")]
    NoRoom,
    #[error("the body arrives too slowly")]
    TooSlow,
}

impl From<BodyFailure> for ApiError {
    fn from(failure: BodyFailure) -> Self {
        let detail = failure.to_string();
        match failure {
            BodyFailure::TooLarge { .. } => {
                ApiError::new(Code::BodyTooLarge, format!("{detail}; {}", Code::BodyTooLarge.entry().remedy))
            }
            BodyFailure::NoRoom => ApiError::new(Code::ServerBusy, detail).retry_after(BUSY_RETRY),
            BodyFailure::TooSlow => ApiError::new(Code::BodyTimeout, detail),
        }
    }
}

/// What a body costs, until its request is answered.
#[derive(Debug)]
pub(crate) struct Intake {
    /// `None` for a body that does not stay in memory.
    budget: Option<ByteBudget>,
    limit: usize,
    patience: Duration,
    bytes: AtomicUsize,
    read_micros: AtomicU64,
    failure: OnceLock<BodyFailure>,
    /// What the handler did not read.
    rest: Mutex<Option<Body>>,
}

impl Intake {
    /// How long the body took to arrive.
    pub(crate) fn read_time(&self) -> Duration {
        Duration::from_micros(self.read_micros.load(Ordering::Relaxed))
    }

    /// Charges bytes that a body has become in memory, beside those that arrived.
    pub(crate) fn take_in(&self, bytes: usize) -> Result<(), BodyFailure> {
        if self.bytes.load(Ordering::Relaxed) + bytes > self.limit {
            return Err(BodyFailure::TooLarge { limit: self.limit });
        }
        if self.budget.as_ref().is_some_and(|budget| !budget.charge(bytes)) {
            return Err(BodyFailure::NoRoom);
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// A body may take its time as long as it goes on arriving.
    fn deadline(&self, started: Instant) -> Instant {
        started + self.patience + Duration::from_secs(self.bytes.load(Ordering::Relaxed) as u64 / BYTES_PER_SECOND)
    }

    fn leave(&self, rest: Body) {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(rest);
    }

    /// Drops what the handler has left of the body. Whether the connection can be used again.
    ///
    /// Most clients have sent all of a small body by now: reading it here, in the task of its connection, wakes no other
    /// thread. The answer does not wait for slow ones.
    async fn drain(&self) -> bool {
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut rest) = rest else { return self.failure.get().is_none() };
        let cheap = rest.size_hint().upper().is_some_and(|bytes| bytes <= CHEAP_TO_DRAIN);
        if !cheap || timeout(PROMPT, read_out(&mut rest)).await.is_err() {
            tokio::spawn(timeout(LINGER, async move { read_out(&mut rest).await }));
        }
        cheap
    }
}

async fn read_out(body: &mut Body) {
    while let Some(Ok(_dropped)) = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {}
}

impl Drop for Intake {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.release(*self.bytes.get_mut());
        }
    }
}

/// A body whose bytes are counted and timed.
struct MeteredBody {
    inner: Option<Body>,
    intake: Arc<Intake>,
    started: Instant,
    timer: Pin<Box<Sleep>>,
    connection: Option<ConnectionState>,
}

impl MeteredBody {
    fn new(inner: Body, intake: Arc<Intake>, connection: Option<ConnectionState>) -> Self {
        let started = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(intake.deadline(started).into()));
        Self { inner: Some(inner), intake, started, timer, connection }
    }

    fn fail(&mut self, failure: BodyFailure) -> axum::Error {
        let _first = self.intake.failure.set(failure);
        // Its client may still be sending; one that is too slow has had its time.
        if let Some(rest) = self.inner.take().filter(|_| failure != BodyFailure::TooSlow) {
            self.intake.leave(rest);
        }
        axum::Error::new(failure)
    }

    fn end(&mut self) {
        self.inner = None;
        self.intake.read_micros.store(self.started.elapsed().as_micros() as u64, Ordering::Relaxed);
        if let Some(connection) = &self.connection {
            connection.body_received();
        }
    }
}

impl HttpBody for MeteredBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if let Err(failure) = this.intake.take_in(bytes) {
                    return Poll::Ready(Some(Err(this.fail(failure))));
                }
                if this.inner.as_ref().is_some_and(HttpBody::is_end_stream) {
                    this.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.end();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Pending => {
                let deadline = this.intake.deadline(this.started).into();
                if this.timer.deadline() != deadline {
                    this.timer.as_mut().reset(deadline);
                }
                match this.timer.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(this.fail(BodyFailure::TooSlow)))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

/// Leaves the rest to be drained.
impl Drop for MeteredBody {
    fn drop(&mut self) {
        if let Some(rest) = self.inner.take() {
            self.intake.leave(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_length_is_refused_by_the_limit_or_by_the_room_that_is_left() {
        let budget = ByteBudget::new(100);
        assert_eq!(refusal(Some(&budget), Some(51), 50), Some(BodyFailure::TooLarge { limit: 50 }));
        assert_eq!(refusal(Some(&budget), Some(50), 50), None);
        assert!(budget.charge(51));
        assert_eq!(refusal(Some(&budget), Some(50), 50), Some(BodyFailure::NoRoom));
        assert_eq!(refusal(Some(&budget), None, 50), None, "a chunked body is charged as it comes");
    }
}
