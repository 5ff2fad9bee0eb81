//! The representation of a fine-tune.

use jiff::Timestamp;
use serde::Serialize;
use trainer::data::{DatasetSource, DatasetSummary};
use trainer::finetune::FinetuneOptions;
use utoipa::ToSchema;

use crate::finetune::FinetuneSpec;
use crate::jobs::{JobError, JobProgress, JobRecord, JobResult, JobSpec, JobState};

/// A fine-tune.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Job {
    /// The fine-tune's id. Ids sort by the time of creation.
    #[schema(example = "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55")]
    pub id: String,
    /// The state of the fine-tune.
    pub state: JobState,
    /// The base model.
    #[schema(example = "squeezenet")]
    pub base_model: String,
    /// The images.
    pub dataset: DatasetSource,
    /// The name under which the result is published.
    #[schema(example = "flowers")]
    pub name: String,
    /// The options in force, defaults included.
    pub options: FinetuneOptions,
    /// How many times it was started: more than once if a server stopped or died meanwhile.
    #[schema(example = 1)]
    pub attempt: u32,
    /// Whether a client asked to cancel it.
    pub cancel_requested: bool,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T18:52:32.104Z")]
    pub created_at: Timestamp,
    /// When the last attempt started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime, example = "2026-11-23T18:52:32.310Z")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime, example = "2026-11-23T18:53:10.005Z")]
    pub finished_at: Option<Timestamp>,
    /// Progress within the current phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub progress: Option<JobProgress>,
    /// How the data set was understood, once the images were listed. The list of fine-tunes leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub understood: Option<DatasetSummary>,
    /// The published model, once it has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub result: Option<JobResult>,
    /// Why it failed, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<JobError>,
}

impl From<JobRecord> for Job {
    fn from(job: JobRecord) -> Self {
        let JobSpec::Finetune(FinetuneSpec { base_model, dataset, name, options }) = job.spec;
        Self {
            id: job.id.to_string(),
            state: job.state,
            base_model: base_model.to_string(),
            dataset,
            name: name.to_string(),
            options,
            attempt: job.attempt,
            cancel_requested: job.cancel_requested,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            progress: job.progress,
            understood: None,
            result: job.result,
            error: job.error,
        }
    }
}
