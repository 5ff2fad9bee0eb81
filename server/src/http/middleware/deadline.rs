//! How long a request may take.

use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout_at;

use crate::http::middleware::body::is_streamed;
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;

/// For a body that is streamed.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Names the client's own deadline, in milliseconds.
pub(crate) const REQUEST_TIMEOUT_MS: &str = "x-request-timeout-ms";

/// When the answer is no use any more; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline(pub(crate) Instant);

/// Ends a request at its deadline. Work that has not begun by then is not done: stages look at the deadline first.
pub(crate) async fn bound(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // A body that is streamed has as long as its bytes go on arriving.
    let most = if is_streamed(&parts) { LONGEST } else { state.limits.request_timeout };
    let allowed = match client_timeout(&parts.headers) {
        Ok(timeout) => timeout.unwrap_or(most).min(most),
        Err(error) => return error.into_response(),
    };
    let mut request = Request::from_parts(parts, body);
    let deadline = Instant::now() + allowed;
    request.extensions_mut().insert(Deadline(deadline));
    match timeout_at(deadline.into(), next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => {
            let detail = format!("the answer was not ready after {} ms", allowed.as_millis());
            ApiError::new(Code::DeadlineExceeded, detail).into_response()
        }
    }
}

fn client_timeout(headers: &HeaderMap) -> Result<Option<Duration>, ApiError> {
    let Some(value) = headers.get(REQUEST_TIMEOUT_MS) else { return Ok(None) };
    let millis = value.to_str().ok().and_then(|text| text.parse::<u64>().ok()).filter(|millis| *millis > 0);
    let invalid = || {
        ApiError::new(Code::InvalidParameter, "X-Request-Timeout-Ms: send a whole number of milliseconds, 1 or more")
    };
    millis.map(|millis| Some(Duration::from_millis(millis))).ok_or_else(invalid)
}
