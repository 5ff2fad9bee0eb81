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
/// The same over gRPC, which clients derive from the deadline of a call.
const GRPC_TIMEOUT: &str = "grpc-timeout";

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
    if let Some(value) = headers.get(GRPC_TIMEOUT) {
        let invalid = || ApiError::new(Code::InvalidParameter, "grpc-timeout: send 1 to 8 digits and a unit of HMSmun");
        return value.to_str().ok().and_then(grpc_timeout).map(Some).ok_or_else(invalid);
    }
    let Some(value) = headers.get(REQUEST_TIMEOUT_MS) else { return Ok(None) };
    let millis = value.to_str().ok().and_then(|text| text.parse::<u64>().ok()).filter(|millis| *millis > 0);
    let invalid = || {
        ApiError::new(Code::InvalidParameter, "X-Request-Timeout-Ms: send a whole number of milliseconds, 1 or more")
    };
    millis.map(|millis| Some(Duration::from_millis(millis))).ok_or_else(invalid)
}

/// A value and a unit: a "positive integer as ASCII string of at most 8 digits" and hours, minutes, seconds,
/// milli-, micro- or nanoseconds (PROTOCOL-HTTP2.md of gRPC).
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let value: u64 = plain.then(|| digits.parse().ok())??;
    match unit {
        "H" => Some(Duration::from_secs(value * 60 * 60)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_grpc_is_digits_and_a_unit() {
        for (text, timeout) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("250m", Duration::from_millis(250)),
            ("99999999u", Duration::from_micros(99_999_999)),
            ("7n", Duration::from_nanos(7)),
        ] {
            assert_eq!(grpc_timeout(text), Some(timeout), "{text}");
        }
        for text in ["", "S", "1", "1s", "-1S", "+1S", "123456789S", "1\u{e9}"] {
            assert_eq!(grpc_timeout(text), None, "{text}");
        }
    }
}
