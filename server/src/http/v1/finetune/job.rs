//! A fine-tune as it is answered.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use trainer::events;
use utoipa::ToSchema;

use super::{DatasetSource, FinetuneOptions};
use crate::jobs::{self, JobRecord};

/// Where a fine-tune is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for its turn.
    Queued,
    /// It is being worked on.
    Running,
    /// Its model is published.
    Succeeded,
    /// It ended without a model; `error` says why.
    Failed,
    /// It was called off.
    Cancelled,
}

/// The parts of a fine-tune, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobPhase {
    /// Finding and checking the images.
    Data,
    /// Running the frozen part of the network once for each image.
    Features,
    /// Training the head.
    Training,
    /// Writing the model.
    Export,
    /// Comparing the written model with the trained one on every engine.
    Parity,
}

/// A fine-tune.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Job {
    /// Its name. Ids sort by the time of creation.
    #[schema(example = "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55")]
    pub id: String,
    /// Where it is in its life.
    pub state: JobState,
    /// The model that is grafted upon.
    #[schema(example = "squeezenet")]
    pub base_model: String,
    /// The images.
    pub dataset: DatasetSource,
    /// The name under which the result is published.
    #[schema(example = "flowers")]
    pub name: String,
    /// The options in force.
    pub options: FinetuneOptions,
    /// How often it was begun. More than once, if a server was stopped or went away meanwhile.
    #[schema(example = 1)]
    pub attempt: u32,
    /// Whether somebody asked for its end.
    pub cancel_requested: bool,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T18:52:32.104Z")]
    pub created_at: Timestamp,
    /// When the last attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime, example = "2026-11-23T18:52:32.310Z")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime, example = "2026-11-23T18:53:10.005Z")]
    pub finished_at: Option<Timestamp>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub progress: Option<JobProgress>,
    /// What it published.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub result: Option<JobResult>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<JobError>,
}

/// How far a fine-tune is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobProgress {
    /// The part it is in.
    pub phase: JobPhase,
    /// Images or epochs behind.
    #[schema(example = 512)]
    pub done: u64,
    /// Images or epochs in all; 0 when it is not known.
    #[schema(example = 1360)]
    pub total: u64,
}

/// What a fine-tune published.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobResult {
    /// The model.
    #[schema(example = "flowers")]
    pub model: String,
    /// Its version.
    #[schema(example = 1)]
    pub version: u32,
    /// What was measured on images that the training did not see, by name. Shares are 0 to 1.
    #[schema(value_type = Object, example = json!({"test_top1": 0.924, "test_top5": 0.994, "test_images": 340}))]
    pub metrics: Value,
}

/// Why a fine-tune failed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobError {
    /// A word for programs.
    #[schema(example = "invalid_dataset")]
    pub code: String,
    /// What happened, and what to do about it.
    #[schema(
        example = "roses/17.jpg: the jpeg is truncated: the file ends before the image does; send it again in full"
    )]
    pub message: String,
}

impl From<JobRecord> for Job {
    fn from(job: JobRecord) -> Self {
        Self {
            id: job.id.to_string(),
            state: job.state.into(),
            base_model: job.spec.base_model.to_string(),
            dataset: job.spec.dataset.into(),
            name: job.spec.name.to_string(),
            options: job.spec.options.into(),
            attempt: job.attempt,
            cancel_requested: job.cancel_requested,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            progress: job.progress.map(|at| JobProgress { phase: at.phase.into(), done: at.done, total: at.total }),
            result: job.result.map(|done| JobResult {
                model: done.model,
                version: done.version,
                metrics: done.metrics,
            }),
            error: job.error.map(|error| JobError { code: error.code, message: error.message }),
        }
    }
}

impl From<jobs::JobState> for JobState {
    fn from(state: jobs::JobState) -> Self {
        match state {
            jobs::JobState::Queued => JobState::Queued,
            jobs::JobState::Running => JobState::Running,
            jobs::JobState::Succeeded => JobState::Succeeded,
            jobs::JobState::Failed => JobState::Failed,
            jobs::JobState::Cancelled => JobState::Cancelled,
        }
    }
}

impl From<events::Phase> for JobPhase {
    fn from(phase: events::Phase) -> Self {
        match phase {
            events::Phase::Data => JobPhase::Data,
            events::Phase::Features => JobPhase::Features,
            events::Phase::Training => JobPhase::Training,
            events::Phase::Export => JobPhase::Export,
            events::Phase::Parity => JobPhase::Parity,
        }
    }
}
