//! No spans.

use axum::extract::Request;

use super::Answer;
use crate::http::record::RequestRecord;

/// A request without a span: this build has none.
pub(crate) struct RequestTrace;

impl RequestTrace {
    pub(crate) fn begin(_: &Request, _: &RequestRecord) -> Self {
        Self
    }

    /// The trace and the span of a request that is recorded.
    #[expect(clippy::unused_self, reason = "as with spans")]
    pub(crate) fn ids(&self) -> Option<(String, String)> {
        None
    }

    #[expect(clippy::unused_self, reason = "as with spans")]
    pub(crate) fn end(&mut self, _: &RequestRecord, _: Answer) {}
}
