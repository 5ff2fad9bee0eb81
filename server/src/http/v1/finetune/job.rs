//! The representation of a fine-tune.

use serde::Serialize;
use trainer::data::DatasetSummary;
use trainer::finetune::FinetuneOptions;
use utoipa::ToSchema;

use crate::datasets::JobDataset;
use crate::finetune::{DeployOptions, FinetuneSpec};
use crate::http::problem::ApiError;
use crate::http::v1::jobs::{JobStatus, of_other_kind};
use crate::jobs::{JobRecord, JobResult, JobSpec};

/// A fine-tune.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Job {
    /// Its state as a job.
    #[serde(flatten)]
    pub status: JobStatus,
    /// The stored model that gets a new head.
    #[schema(example = "squeezenet")]
    pub base_model: String,
    /// The images; of a stored data set, with the snapshot that was made when the fine-tune was accepted.
    pub dataset: JobDataset,
    /// The name under which the result is published.
    #[schema(example = "flowers")]
    pub name: String,
    /// The options in force, defaults included.
    pub options: FinetuneOptions,
    /// What becomes of the new version.
    pub deploy: DeployOptions,
    /// The address that is told when it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "uri", example = "https://hooks.example.org/graft")]
    pub webhook: Option<String>,
    /// How the data set was understood, once the images were listed. The list of fine-tunes leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub understood: Option<DatasetSummary>,
    /// The published model, once it has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub result: Option<JobResult>,
}

impl TryFrom<JobRecord> for Job {
    type Error = ApiError;

    /// A job of another kind is no fine-tune.
    fn try_from(job: JobRecord) -> Result<Self, ApiError> {
        let status = JobStatus::from(&job);
        let JobSpec::Finetune(FinetuneSpec { base_model, dataset, name, options, deploy, webhook }) = job.spec else {
            return Err(of_other_kind(&job));
        };
        let (base_model, name) = (base_model.to_string(), name.to_string());
        let webhook = webhook.map(|url| url.to_string());
        Ok(Self { status, base_model, dataset, name, options, deploy, webhook, understood: None, result: job.result })
    }
}
