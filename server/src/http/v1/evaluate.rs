//! Evaluations: measures of stored models, as jobs.

use serde::Serialize;
use trainer::evaluate::{EvaluateOptions, EvaluationReport};
use utoipa::ToSchema;

use super::jobs::{Creation, EVALUATIONS, JobCreation, JobResource, JobStatus, JobTexts, of_other_kind};
use crate::datasets::JobDataset;
use crate::evaluate::EvaluateSpec;
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;
use crate::jobs::{JobRecord, JobResult, JobSpec};

/// A model that is measured on labeled images.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EvaluationJob {
    /// Its state as a job.
    #[serde(flatten)]
    pub status: JobStatus,
    /// The stored model that is measured.
    #[schema(example = "flowers")]
    pub model: String,
    /// The version that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    pub version: Option<u32>,
    /// The labeled images; of a stored data set, with the snapshot that was made when the evaluation was accepted.
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

impl JobResource for EvaluationJob {
    const TEXTS: JobTexts = EVALUATIONS;

    fn brief(self) -> Self {
        Self { report: None, ..self }
    }
}

impl JobCreation for EvaluationJob {
    type Request = EvaluateSpec;

    const CREATION: Creation = Creation {
        description: "Measures a stored model on labeled images, prepared as for serving. The options, the model and the \
            listing of the data set\nare checked before it is accepted; then it waits for its turn. When it has succeeded, its \
            `report` has every figure.",
        errors: &[
            Code::InvalidJson,
            Code::InvalidParameter,
            Code::BodyUnreadable,
            Code::IdempotencyKeyReused,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::InvalidBody,
            Code::EvaluationRefused,
            Code::TooManyJobs,
            Code::DatasetNotFound,
            Code::SnapshotNotFound,
            Code::JobsUnavailable,
            Code::DatasetsUnavailable,
            Code::StorageFull,
            Code::BodyTimeout,
            Code::ServerBusy,
        ],
    };

    fn max_megapixels(request: &mut EvaluateSpec) -> &mut u64 {
        &mut request.options.max_megapixels
    }

    fn asked(request: EvaluateSpec) -> JobSpec {
        JobSpec::Evaluate(request)
    }

    async fn checked(state: &AppState, request: EvaluateSpec) -> Result<JobSpec, ApiError> {
        let dataset = state.datasets.pin(request.dataset).await?;
        let request = EvaluateSpec { dataset, ..request };
        state.checker.check_evaluation(request.clone()).await?;
        Ok(JobSpec::Evaluate(request))
    }
}
