//! Errors as clients see them.
//!
//! One table ([`Code`]) decides status, title and advice; the answers and their documentation both come from it, so they
//! cannot disagree. What a client reads says what to do; what caused it goes to the log and nowhere else.

mod documented;
mod format;
mod rpc;
mod table;

use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::failure::chain;
pub(crate) use documented::{documented, documents};
pub(crate) use format::{
    CUSTOM_VISION, CustomVisionError, ERROR_TEXT, ErrorFormat, ErrorText, GOOGLE, GoogleError, GoogleErrorStatus,
    PROBLEM, TORCH_SERVE, TorchServeError,
};
pub(crate) use rpc::RpcStatus;
pub use table::{Code, ErrorEntry};

/// The content type of every error (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request was not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A stable name for this kind of error, as a URI.
    #[serde(rename = "type")]
    #[schema(example = "urn:graft:error:image_truncated")]
    pub kind: String,
    /// The kind of error in a few words.
    #[schema(example = "The image file ends too early")]
    pub title: String,
    /// The status of the answer.
    #[schema(example = 422)]
    pub status: u16,
    /// What happened here, and what to do about it.
    #[schema(example = "image 2 of 3 (rose.jpg): the jpeg is truncated: the file ends before the image does")]
    pub detail: String,
    /// The kind of error as a word for programs. There may be new ones in later versions.
    #[schema(example = "image_truncated")]
    pub code: String,
    /// Names the request in the server's log; also in the header `x-request-id`.
    #[schema(example = "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55")]
    pub request_id: String,
}

impl Problem {
    fn of(code: Code, detail: Option<&str>, request_id: &str) -> Self {
        let entry = code.entry();
        Self {
            kind: format!("urn:graft:error:{}", entry.name),
            title: entry.title.to_owned(),
            status: entry.status.as_u16(),
            detail: detail.unwrap_or(entry.remedy).to_owned(),
            code: entry.name.to_owned(),
            request_id: request_id.to_owned(),
        }
    }
}

/// In characters: no message of ours is as long, and no answer repeats a body.
const LONGEST_DETAIL: usize = 2000;

/// An error on its way to the client.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: Code,
    detail: Option<String>,
    retry_after: Option<Duration>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl ApiError {
    /// An error with what happened, cut off where it quotes a client at length; the table says the rest.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(LONGEST_DETAIL) {
            detail.truncate(end);
            detail.push('…');
        }
        Self { detail: Some(detail), ..Self::from(code) }
    }

    /// A failure of ours. The client learns that it happened, the log learns why.
    #[must_use]
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: Some(Arc::from(cause.into())), ..Self::from(Code::Internal) }
    }

    /// The same with what caused it, for the log.
    #[must_use]
    pub fn caused_by(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: Some(Arc::from(cause.into())), ..self }
    }

    /// When another try may succeed. Rounded up to whole seconds, and spread by as much again: clients that were refused
    /// together would otherwise come back together.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// The row of the table.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What happened, if it was said.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Writes the cause to the log, once, where the request is known.
    pub(crate) fn log(&self) {
        if let Some(cause) = &self.cause {
            tracing::error!(code = self.code.entry().name, cause = chain(&**cause), "a request failed");
        }
    }

    /// Replaces the empty body of the answer by the problem in the format of its address, now that the request's id is
    /// known.
    pub(crate) fn complete(&self, response: &mut Response, request_id: &str, format: &ErrorFormat) {
        let status = (format.status)(response.status());
        let problem = Problem { status: status.as_u16(), ..Problem::of(self.code, self.detail(), request_id) };
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type));
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = (format.body)(&problem).to_string().into();
    }
}

impl From<Code> for ApiError {
    fn from(code: Code) -> Self {
        Self { code, detail: None, retry_after: None, cause: None }
    }
}

/// Whole seconds between the wait and twice the wait, at least one.
fn jittered(wait: Duration) -> u64 {
    let seconds = (wait.as_millis().div_ceil(1000) as u64).max(1);
    // Each state is seeded anew by the standard library.
    seconds + RandomState::new().build_hasher().finish() % (seconds + 1)
}

/// The router's outermost layer fills in the body: only there is the request's id known.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.code.entry().status.into_response();
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(jittered(wait)));
        }
        response.extensions_mut().insert(self);
        response
    }
}
