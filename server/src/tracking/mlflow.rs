//! The requests of `MLflow`'s REST interface that a fine-tune needs.

use serde::Serialize;
use serde_json::{Value, json};
use thiserror::Error;
use ureq::Agent;

use super::TrackingOptions;
use crate::jobs::{JobRecord, JobState};
use crate::outbound::{self, HostList, UrlError};

/// Metrics and parameters in one request, by the limits of the server.
const METRICS: usize = 1000;
const PARAMS: usize = 100;
/// What says that artifacts go through the tracking server.
const PROXIED: &str = "mlflow-artifacts:";

/// A run cannot be recorded.
#[derive(Debug, Error)]
pub enum TrackingError {
    /// The address of the server.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The server cannot be reached.
    #[error("the tracking server cannot be reached")]
    Network(#[from] ureq::Error),
    /// It refuses.
    #[error("the tracking server answers {path} with status {status}: {message}")]
    Refused {
        /// What was asked for.
        path: String,
        /// The HTTP status of its answer.
        status: u16,
        /// What it says about it.
        message: String,
    },
    /// It answers no JSON, as another server behind the address may.
    #[error("the answer to {path} is no JSON, as a tracking server's is")]
    Json {
        /// What was asked for.
        path: String,
        /// Where it ends to be JSON.
        source: serde_json::Error,
    },
    /// It answers something else.
    #[error("the answer of the tracking server to {path} has no `{field}`")]
    Answer {
        /// What was asked for.
        path: String,
        /// What is missing.
        field: &'static str,
    },
}

/// What `MLflow` is told when a run begins.
#[derive(Debug, Clone)]
pub(super) struct RunBegin {
    pub(super) name: String,
    /// In milliseconds since 1970.
    pub(super) start: i64,
    pub(super) params: Vec<(String, String)>,
    pub(super) tags: Vec<(String, String)>,
}

/// One number of a run, at a step and a time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Metric {
    pub(super) key: String,
    pub(super) value: f64,
    /// In milliseconds since 1970.
    pub(super) timestamp: i64,
    pub(super) step: i64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunEnd {
    status: &'static str,
    /// In milliseconds since 1970.
    end: i64,
    tags: Vec<(String, String)>,
}

impl RunEnd {
    /// `None` for a job that has not ended.
    pub(super) fn of(job: &JobRecord) -> Option<Self> {
        let status = match job.state {
            JobState::Succeeded => "FINISHED",
            JobState::Failed => "FAILED",
            JobState::Cancelled => "KILLED",
            JobState::Queued | JobState::Running | JobState::Paused => return None,
        };
        let mut tags = Vec::new();
        if let Some(result) = &job.result {
            tags.push(("graft.model".to_owned(), result.model.clone()));
            tags.push(("graft.model_version".to_owned(), result.version.to_string()));
        }
        if let Some(error) = &job.error {
            tags.push(("graft.error".to_owned(), error.message.clone()));
        }
        Some(Self { status, end: job.finished_at?.as_millisecond(), tags })
    }
}

/// The tracking server.
pub(super) struct Client {
    agent: Agent,
    /// Without the last slash.
    url: String,
    experiment: String,
}

impl Client {
    pub(super) fn new(options: &TrackingOptions) -> Result<Self, TrackingError> {
        let hosts = HostList::only(&options.url.uri()?)?;
        let url = options.url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { agent: outbound::client(&hosts), url, experiment: options.experiment.clone() })
    }

    /// Begins a run, and answers its id.
    pub(super) fn begin(&self, begin: &RunBegin) -> Result<String, TrackingError> {
        let body = json!({
            "experiment_id": self.experiment()?,
            "run_name": begin.name,
            "start_time": begin.start,
            "tags": pairs(&begin.tags),
        });
        let path = "runs/create";
        let run = text(&self.post(path, &body)?, path, &["run", "info", "run_id"], "run_id")?;
        for params in begin.params.chunks(PARAMS) {
            self.post("runs/log-batch", &json!({"run_id": run, "params": pairs(params)}))?;
        }
        Ok(run)
    }

    /// Adds measurements to a run. Those that it has already are the same once more.
    pub(super) fn log(&self, run: &str, metrics: &[Metric]) -> Result<(), TrackingError> {
        for metrics in metrics.chunks(METRICS) {
            self.post("runs/log-batch", &json!({"run_id": run, "metrics": metrics}))?;
        }
        Ok(())
    }

    /// Ends a run, with these files where the server takes files.
    pub(super) fn end(&self, run: &str, end: &RunEnd, files: &[(&'static str, Vec<u8>)]) -> Result<(), TrackingError> {
        let path = format!("runs/get?run_id={run}");
        let answer = self.get(&path)?;
        let place = text(&answer, &path, &["run", "info", "artifact_uri"], "artifact_uri")?;
        if let Some(folder) = place.strip_prefix(PROXIED) {
            for (name, bytes) in files {
                self.put(&format!("mlflow-artifacts/artifacts/{}/{name}", folder.trim_matches('/')), bytes)?;
            }
        }
        if !end.tags.is_empty() {
            self.post("runs/log-batch", &json!({"run_id": run, "tags": pairs(&end.tags)}))?;
        }
        self.post("runs/update", &json!({"run_id": run, "status": end.status, "end_time": end.end}))?;
        Ok(())
    }

    /// The id of the experiment, made if it is not there.
    fn experiment(&self) -> Result<String, TrackingError> {
        let name = percent_encoded(&self.experiment);
        let path = format!("experiments/get-by-name?experiment_name={name}");
        match self.get(&path) {
            Ok(answer) => text(&answer, &path, &["experiment", "experiment_id"], "experiment_id"),
            Err(TrackingError::Refused { status: 404, .. }) => {
                let path = "experiments/create";
                let answer = self.post(path, &json!({"name": self.experiment}))?;
                text(&answer, path, &["experiment_id"], "experiment_id")
            }
            Err(error) => Err(error),
        }
    }

    fn get(&self, path: &str) -> Result<Value, TrackingError> {
        answer(self.agent.get(self.address("mlflow/", path)).call()?, path)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, TrackingError> {
        let request = self.agent.post(self.address("mlflow/", path)).header("content-type", "application/json");
        answer(request.send(body.to_string())?, path)
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), TrackingError> {
        let request = self.agent.put(self.address("", path)).header("content-type", "application/octet-stream");
        accepted(request.send(bytes)?, path).map(drop)
    }

    fn address(&self, room: &str, path: &str) -> String {
        format!("{}/api/2.0/{room}{path}", self.url)
    }
}

fn answer(response: ureq::http::Response<ureq::Body>, path: &str) -> Result<Value, TrackingError> {
    let body = accepted(response, path)?;
    serde_json::from_str(&body).map_err(|source| TrackingError::Json { path: path.to_owned(), source })
}

/// The body of an answer that is no refusal.
fn accepted(mut response: ureq::http::Response<ureq::Body>, path: &str) -> Result<String, TrackingError> {
    let status = response.status().as_u16();
    let body = response.body_mut().read_to_string()?;
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let said = serde_json::from_str::<Value>(&body).ok().and_then(|value| value["message"].as_str().map(str::to_owned));
    let message = said.unwrap_or_else(|| body.chars().take(200).collect());
    Err(TrackingError::Refused { path: path.to_owned(), status, message })
}

fn text(answer: &Value, path: &str, fields: &[&str], field: &'static str) -> Result<String, TrackingError> {
    let found = fields.iter().try_fold(answer, |value, field| value.get(field)).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| TrackingError::Answer { path: path.to_owned(), field })
}

fn pairs(pairs: &[(String, String)]) -> Vec<Value> {
    pairs.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

/// A name as a value of a query (RFC 3986).
fn percent_encoded(name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_experiments_may_have_any_characters() {
        assert_eq!(percent_encoded("Blüten & Blätter/2"), "Bl%C3%BCten%20%26%20Bl%C3%A4tter%2F2");
    }
}
