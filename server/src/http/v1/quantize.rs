//! Quantizations: stored models in 8-bit integers, as jobs.

use serde::Serialize;
use trainer::finetune::Deployment;
use trainer::quantize::{QuantizationReport, QuantizeOptions};
use utoipa::ToSchema;

use super::jobs::{Creation, JobCreation, JobResource, JobStatus, JobTexts, QUANTIZATIONS, of_other_kind};
use crate::datasets::JobDataset;
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;
use crate::jobs::{JobRecord, JobResult, JobSpec};
use crate::quantize::QuantizeSpec;

/// A model that gets variants of other numbers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct QuantizationJob {
    /// Its state as a job.
    #[serde(flatten)]
    pub status: JobStatus,
    /// The stored model that gets them.
    #[schema(example = "flowers")]
    pub model: String,
    /// The version that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    pub version: Option<u32>,
    /// The labeled images; of a stored data set, with the snapshot that was made when the quantization was accepted.
    pub dataset: JobDataset,
    /// The options in force, defaults included.
    pub options: QuantizeOptions,
    /// The version that it has published, once it has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 4)]
    pub published: Option<u32>,
    /// Whether that version took the place of the one that was quantized, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub deployment: Option<Deployment>,
    /// What was measured, once it has succeeded. The list of quantizations leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub report: Option<QuantizationReport>,
}

impl TryFrom<JobRecord> for QuantizationJob {
    type Error = ApiError;

    /// A job of another kind is no quantization.
    fn try_from(job: JobRecord) -> Result<Self, ApiError> {
        let status = JobStatus::from(&job);
        let JobSpec::Quantize(QuantizeSpec { model, version, dataset, options }) = job.spec else {
            return Err(of_other_kind(&job));
        };
        let published = job.result.as_ref().map(|result| result.version);
        let (deployment, report) = match job.result {
            Some(JobResult { deployment, quantization, .. }) => (deployment, quantization.map(|report| *report)),
            None => (None, None),
        };
        Ok(Self { status, model: model.to_string(), version, dataset, options, published, deployment, report })
    }
}

impl JobResource for QuantizationJob {
    const TEXTS: JobTexts = QUANTIZATIONS;

    fn brief(self) -> Self {
        Self { report: None, ..self }
    }
}

impl JobCreation for QuantizationJob {
    type Request = QuantizeSpec;

    const CREATION: Creation = Creation {
        description: "Writes a stored model with 8-bit integers, calibrated on training images, and measures on test images \
            what that costs. The\noptions, the model and the listing of the data set are checked before it is accepted; then it \
            waits for its turn. When it has\nsucceeded, the model has a new version with its variants, of which the server takes \
            the fastest that is good enough. It takes the\nplace of the version that was quantized, if that is live. `report` has \
            every figure.",
        errors: &[
            Code::InvalidJson,
            Code::InvalidParameter,
            Code::BodyUnreadable,
            Code::IdempotencyKeyReused,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::InvalidBody,
            Code::QuantizationRefused,
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

    fn max_megapixels(request: &mut QuantizeSpec) -> &mut u64 {
        &mut request.options.max_megapixels
    }

    fn asked(request: QuantizeSpec) -> JobSpec {
        JobSpec::Quantize(request)
    }

    async fn checked(state: &AppState, request: QuantizeSpec) -> Result<JobSpec, ApiError> {
        let dataset = state.datasets.pin(request.dataset).await?;
        let request = QuantizeSpec { dataset, ..request };
        state.checker.check_quantization(request.clone()).await?;
        Ok(JobSpec::Quantize(request))
    }
}
