//! Spans, sent by OTLP over HTTP from a thread of their own. A collector that is slow or gone costs spans and never a
//! request.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{self, HeaderMap};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanContext, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use thiserror::Error;

use super::Answer;
use crate::http::record::RequestRecord;

/// The name of this program's instrumentation, and of the service unless `OTEL_SERVICE_NAME` gives another.
const NAME: &str = "graft";
/// How a service is called to which nobody gave a name (OpenTelemetry's semantic conventions).
const UNNAMED: &str = "unknown_service";
/// Where a collector takes spans, below its address (OTLP/HTTP).
const PATH: &str = "/v1/traces";
/// How long one batch of spans may take to send.
const SENDING: Duration = Duration::from_secs(10);
/// How long the end of the process waits for the last spans.
const LAST_SPANS: Duration = Duration::from_millis(1500);

/// The spans of this process; sends the last of them when it is dropped.
#[derive(Debug)]
#[must_use = "the last spans are sent when it is dropped"]
pub struct Traces(SdkTracerProvider);

/// Spans cannot be sent.
#[derive(Debug, Error)]
#[error("spans cannot be sent to {endpoint}")]
pub struct TracesError {
    endpoint: String,
    source: ExporterBuildError,
}

impl Traces {
    /// Sends spans from now on to a collector at this address. What is sampled and how large batches are is what the
    /// variables `OTEL_…` of OpenTelemetry's specification say.
    ///
    /// # Errors
    /// [`TracesError`] when the address is none.
    pub fn start(endpoint: &str) -> Result<Self, TracesError> {
        let agent = ureq::Agent::config_builder().timeout_global(Some(SENDING)).http_status_as_error(false).build();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client(agent.into()))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}{PATH}", endpoint.trim_end_matches('/')))
            .build();
        let exporter = exporter.map_err(|source| TracesError { endpoint: endpoint.to_owned(), source })?;
        // The builder reads `OTEL_SERVICE_NAME`.
        let name = Resource::builder().build().get(&"service.name".into());
        let has_name = name.is_some_and(|name| !name.as_str().starts_with(UNNAMED));
        let resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let resource = if has_name { resource.build() } else { resource.with_service_name(NAME).build() };
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        global::set_tracer_provider(provider.clone());
        Ok(Self(provider))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_SPANS) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// The span of a request.
pub(crate) struct RequestTrace(Context);

impl RequestTrace {
    /// Continues the trace that the caller names in `traceparent`, or begins one.
    pub(crate) fn begin(request: &Request, record: &RequestRecord) -> Self {
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(request.headers()));
        let (method, route) = (request.method().to_string(), record.route().to_owned());
        // The names of OpenTelemetry's semantic conventions for HTTP servers.
        let attributes = [
            KeyValue::new("http.request.method", method.clone()),
            KeyValue::new("http.route", route.clone()),
            KeyValue::new("url.path", request.uri().path().to_owned()),
        ];
        let tracer = global::tracer(NAME);
        let span = tracer.span_builder(format!("{method} {route}"));
        let span = span.with_kind(SpanKind::Server).with_attributes(attributes).start_with_context(&tracer, &parent);
        Self(parent.with_span(span))
    }

    /// The trace and the span of a request that is recorded.
    pub(crate) fn ids(&self) -> Option<(String, String)> {
        let context: SpanContext = self.0.span().span_context().clone();
        context.is_sampled().then(|| (context.trace_id().to_string(), context.span_id().to_string()))
    }

    /// Ends the span, with the stages of the request as its children.
    pub(crate) fn end(&mut self, record: &RequestRecord, answer: Answer) {
        let span = self.0.span();
        if !span.is_recording() {
            return;
        }
        let tracer = global::tracer(NAME);
        for (stage, start, end) in stages(record) {
            let child = tracer.span_builder(stage).with_start_time(start).start_with_context(&tracer, &self.0);
            let mut child = child;
            child.end_with_timestamp(end);
        }
        if !record.model().is_empty() {
            span.set_attribute(KeyValue::new("graft.model", record.model().to_owned()));
        }
        match answer.status {
            Some(status) => span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status))),
            None => span.set_attribute(KeyValue::new("error.type", "abandoned")),
        }
        if !answer.reason.is_empty() {
            span.set_attribute(KeyValue::new("error.type", answer.reason));
        }
        // By the conventions, what a client did wrong is no error of the server's span.
        if answer.status.is_some_and(|status| status >= 500) {
            span.set_status(Status::error(answer.reason));
        }
        span.end();
    }
}

/// The stages with their beginnings and ends. Only how long each took is on record: they followed one another, and the last
/// was over when they were put there.
fn stages(record: &RequestRecord) -> Vec<(&'static str, SystemTime, SystemTime)> {
    let (stages, over) = record.stages();
    let mut end = SystemTime::now() - over.map_or(Duration::ZERO, |over| over.elapsed());
    let mut spans = Vec::new();
    for (stage, duration) in stages.into_iter().rev() {
        let start = end - duration;
        spans.push((stage.name(), start, end));
        end = start;
    }
    spans.reverse();
    spans
}

/// Headers as the propagator reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// Sends on the thread of the spans, which may wait.
#[derive(Debug)]
struct Client(ureq::Agent);

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let mut response = self.0.run(request.map(|body| body.to_vec()))?;
        let body = response.body_mut().read_to_vec()?;
        Ok(response.map(|_| Bytes::from(body)))
    }
}
