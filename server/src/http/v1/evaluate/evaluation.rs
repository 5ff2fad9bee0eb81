//! The representation of an evaluation.

use serde::Serialize;
use trainer::evaluate::{EvaluateOptions, EvaluationReport};
use utoipa::ToSchema;

use crate::datasets::JobDataset;
use crate::evaluate::EvaluateSpec;
use crate::http::problem::ApiError;
use crate::http::v1::jobs::{JobStatus, of_other_kind};
use crate::jobs::{JobRecord, JobResult, JobSpec};

/// An evaluation.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EvaluationJob {
    /// Its state as a job.
    #[serde(flatten)]
    pub status: JobStatus,
    /// The model.
    #[schema(example = "flowers")]
    pub model: String,
    /// The version that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    pub version: Option<u32>,
    /// The images.
    pub dataset: JobDataset,
    /// The options in force, defaults included.
    pub options: EvaluateOptions,
    /// What was measured, once it has succeeded. The list of evaluations leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub report: Option<EvaluationReport>,
}

impl TryFrom<JobRecord> for EvaluationJob {
    type Error = ApiError;

    /// A job of another kind is no evaluation.
    fn try_from(job: JobRecord) -> Result<Self, ApiError> {
        let status = JobStatus::from(&job);
        let JobSpec::Evaluate(EvaluateSpec { model, version, dataset, options }) = job.spec else {
            return Err(of_other_kind(&job));
        };
        let report = job.result.and_then(|JobResult { evaluation, .. }| evaluation).map(|report| *report);
        Ok(Self { status, model: model.to_string(), version, dataset, options, report })
    }
}
