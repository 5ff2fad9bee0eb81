//! A job as it is stored.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use trainer::estimate::RunProgress;
use trainer::evaluate::EvaluationReport;
use trainer::events::Event;
use trainer::finetune::Deployment;
use trainer::quantize::QuantizationReport;
use utoipa::ToSchema;
use uuid::Uuid;

use super::spec::JobSpec;
use crate::database::{damaged, number, time};

/// A job's name. Ids sort by the time of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Uuid);

impl JobId {
    pub(super) fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::from_str(text).map(Self)
    }
}

/// How far a job is, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a server.
    Queued,
    /// A server works on it.
    Running,
    /// A client paused it. It goes on from its last checkpoint when it is resumed.
    Paused,
    /// Its work is done: `result` has what came of it.
    Succeeded,
    /// It ended without a result; `error` says why.
    Failed,
    /// A client cancelled it.
    Cancelled,
}

impl JobState {
    /// The word in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Paused => "paused",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    pub(super) const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Paused, Self::Succeeded, Self::Failed, Self::Cancelled];

    fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobError {
    /// A stable code for programs.
    #[schema(example = "invalid_dataset")]
    pub code: String,
    /// What happened, and what to do about it.
    #[schema(
        example = "roses/17.jpg: the jpeg is truncated: the file ends before the image does; send it again in full"
    )]
    pub message: String,
}

/// What a job published or measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobResult {
    /// The model's name.
    #[schema(example = "flowers")]
    pub model: String,
    /// The model's version.
    #[schema(example = 1)]
    pub version: u32,
    /// Whether the version took the place of the one before it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub deployment: Option<Deployment>,
    /// The whole report of an evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub evaluation: Option<Box<EvaluationReport>>,
    /// The whole report of a quantization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub quantization: Option<Box<QuantizationReport>>,
    /// Metrics on images that the training did not see, by name. Shares are 0 to 1.
    #[schema(value_type = Object, example = json!({"test_top1": 0.924, "test_top5": 0.994, "test_images": 340}))]
    pub metrics: Value,
}

impl JobResult {
    /// A version, about which nothing is said yet.
    #[must_use]
    pub fn new(model: &str, version: u32) -> Self {
        let (model, metrics) = (model.to_owned(), Value::Object(serde_json::Map::new()));
        Self { model, version, deployment: None, evaluation: None, quantization: None, metrics }
    }
}

/// A row of the table of jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRecord {
    /// What clients call it; sorts by creation.
    pub id: JobId,
    /// The current state.
    pub state: JobState,
    /// What is to be done.
    pub spec: JobSpec,
    /// The number of attempts so far.
    pub attempt: u32,
    /// Whether a client cancelled it while it ran.
    pub cancel_requested: bool,
    /// Whether a client paused it while it ran.
    pub pause_requested: bool,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When the last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How far it is.
    pub progress: Option<RunProgress>,
    /// Why it failed.
    pub error: Option<JobError>,
    /// The published version, or what was measured.
    pub result: Option<JobResult>,
}

/// Something that happened during a job.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct JobEvent {
    /// Rises with time, with gaps; `after` of the next request.
    #[schema(example = 42)]
    pub seq: i64,
    /// The attempt in which it happened.
    #[schema(example = 1)]
    pub attempt: u32,
    /// The time of the event.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T18:52:40.871Z")]
    pub at: Timestamp,
    /// The event itself.
    pub event: Event,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries, in the order of the list.
    pub data: Vec<T>,
    /// Whether more entries follow.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// Cuts a list to `limit` entries; one entry more tells that others follow.
    pub(crate) fn cut(mut data: Vec<T>, limit: usize) -> Self {
        let has_more = data.len() > limit;
        data.truncate(limit);
        Self { data, has_more }
    }
}

impl JobRecord {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let state: String = row.try_get("state")?;
        Ok(Self {
            id: job_id(row, "id")?,
            state: JobState::read(&state).ok_or_else(|| damaged("state", &state))?,
            spec: json(row, "spec")?.ok_or_else(|| damaged("spec", "null"))?,
            attempt: number(row, "attempt")?,
            cancel_requested: row.try_get("cancel_requested")?,
            pause_requested: row.try_get("pause_requested")?,
            created_at: time(row, "created_at")?.ok_or_else(|| damaged("created_at", "null"))?,
            started_at: time(row, "started_at")?,
            finished_at: time(row, "finished_at")?,
            progress: json(row, "progress")?,
            error: json(row, "error")?,
            result: json(row, "result")?,
        })
    }
}

impl JobEvent {
    pub(super) fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            seq: row.try_get("seq")?,
            attempt: number(row, "attempt")?,
            at: time(row, "at")?.ok_or_else(|| damaged("at", "null"))?,
            event: json(row, "data")?.ok_or_else(|| damaged("data", "null"))?,
        })
    }
}

fn job_id(row: &SqliteRow, column: &str) -> Result<JobId, sqlx::Error> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|_| damaged(column, &text))
}

fn json<T: for<'a> Deserialize<'a>>(row: &SqliteRow, column: &str) -> Result<Option<T>, sqlx::Error> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| damaged(column, &error.to_string()))).transpose()
}
