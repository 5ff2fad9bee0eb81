//! Requests as spans of OpenTelemetry, if the feature `otel` compiles them in; otherwise as nothing.

#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
mod otlp;

#[cfg(not(feature = "otel"))]
pub(crate) use off::RequestTrace;
#[cfg(feature = "otel")]
pub(crate) use otlp::RequestTrace;
#[cfg(feature = "otel")]
pub use otlp::{Traces, TracesError};

/// The answer to a request, as its span tells it.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "otel"), expect(dead_code, reason = "nobody reads it without spans"))]
pub(crate) struct Answer {
    /// `None` when the client has gone before.
    pub(crate) status: Option<u16>,
    /// The code of its error, or nothing.
    pub(crate) reason: &'static str,
}
