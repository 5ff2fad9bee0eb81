//! What becomes known about a request while it is answered: for the log, the metrics and `Server-Timing`.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue};

use crate::metrics::Stage;

/// The record of one request, an extension of it; cheap to clone.
#[derive(Debug, Clone)]
pub struct RequestRecord(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: String,
    route: String,
    model: OnceLock<String>,
    caller: OnceLock<String>,
    stages: Mutex<Stages>,
}

#[derive(Debug, Default)]
struct Stages {
    durations: Vec<(Stage, Duration)>,
    /// When the last of them was put on record.
    over: Option<Instant>,
}

impl RequestRecord {
    /// A record of the request of this id that goes this way.
    #[must_use]
    pub fn new(request: &Request, id: &str) -> Self {
        let matched = request.extensions().get::<MatchedPath>();
        let route = matched.map_or("other", MatchedPath::as_str).to_owned();
        Self(Arc::new(Inner {
            id: id.to_owned(),
            route,
            model: OnceLock::new(),
            caller: OnceLock::new(),
            stages: Mutex::default(),
        }))
    }

    /// The id of the request.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The address with its variable parts by name.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.0.route
    }

    /// The model that was asked, once it was found.
    #[must_use]
    pub fn model(&self) -> &str {
        self.0.model.get().map_or("", String::as_str)
    }

    /// The name of the caller's key, if it has one.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.0.caller.get().map(String::as_str)
    }

    /// The model that is asked.
    pub fn set_model(&self, model: &str) {
        let _first = self.0.model.set(model.to_owned());
    }

    /// The caller's key.
    pub fn set_caller(&self, name: &str) {
        let _first = self.0.caller.set(name.to_owned());
    }

    /// How long a stage took.
    pub fn add_stage(&self, stage: Stage, duration: Duration) {
        let mut stages = self.0.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.durations.push((stage, duration));
        stages.over = Some(Instant::now());
    }

    /// How long each stage took, in their order, and when the last was put on record.
    #[must_use]
    pub fn stages(&self) -> (Vec<(Stage, Duration)>, Option<Instant>) {
        let stages = self.0.stages.lock().unwrap_or_else(PoisonError::into_inner);
        (stages.durations.clone(), stages.over)
    }

    /// The stages as `Server-Timing` (W3C Server Timing), in milliseconds, which browsers show.
    #[must_use]
    pub fn server_timing(&self, total: Duration) -> Option<HeaderValue> {
        let (stages, _) = self.stages();
        let millis = |duration: Duration| duration.as_micros() as f64 / 1000.0;
        let parts = stages.iter().map(|(stage, duration)| format!("{};dur={}", stage.name(), millis(*duration)));
        let parts: Vec<String> = parts.chain([format!("total;dur={}", millis(total))]).collect();
        HeaderValue::try_from(parts.join(", ")).ok()
    }
}

/// The trace that a request is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent<'a> {
    /// 32 hexadecimal digits.
    pub trace_id: &'a str,
    /// The caller's span, 16 hexadecimal digits.
    pub parent_id: &'a str,
}

impl<'a> TraceParent<'a> {
    /// Reads the header `traceparent` (W3C Trace Context); `None` when it is missing or malformed.
    #[must_use]
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        let value = headers.get("traceparent")?.to_str().ok()?;
        let mut parts = value.split('-');
        let (version, trace_id, parent_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let digits = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        let some = |text: &str| text.bytes().any(|byte| byte != b'0');
        // Later versions may have more parts; this one has four.
        let whole = version != "00" || parts.next().is_none();
        let valid = digits(version, 2) && version != "ff" && digits(flags, 2) && whole;
        let ids = digits(trace_id, 32) && some(trace_id) && digits(parent_id, 16) && some(parent_id);
        (valid && ids).then_some(Self { trace_id, parent_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_parent_is_read_as_the_recommendation_says() {
        let read = |value: &'static str| {
            let headers = HeaderMap::from_iter([("traceparent".parse().unwrap(), HeaderValue::from_static(value))]);
            TraceParent::of(&headers).map(|parent| (parent.trace_id.to_owned(), parent.parent_id.to_owned()))
        };
        // The examples of W3C Trace Context, sections 3.2 and 3.3.
        let ids = ("4bf92f3577b34da6a3ce929d0e0e4736".to_owned(), "00f067aa0ba902b7".to_owned());
        assert_eq!(read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), Some(ids.clone()));
        assert_eq!(read("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what"), Some(ids));
        for malformed in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f35-00f067aa0ba902b7-01",
            "",
        ] {
            assert_eq!(read(malformed), None, "{malformed}");
        }
    }
}
