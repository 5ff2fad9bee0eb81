//! The representation of a quantization.

use serde::Serialize;
use trainer::finetune::Deployment;
use trainer::quantize::{QuantizationReport, QuantizeOptions};
use utoipa::ToSchema;

use crate::datasets::JobDataset;
use crate::http::problem::ApiError;
use crate::http::v1::jobs::{JobStatus, of_other_kind};
use crate::jobs::{JobRecord, JobResult, JobSpec};
use crate::quantize::QuantizeSpec;

/// A quantization.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct QuantizationJob {
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
