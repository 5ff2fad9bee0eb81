//! Fine-tunes: start, follow and control them.

pub mod control;
pub mod job;
pub mod plan;
pub mod schema;

use super::jobs::{Creation, FINETUNES, JobCreation, JobResource, JobTexts};
use crate::finetune::FinetuneSpec;
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;
use crate::jobs::{JobId, JobSpec, Jobs};
use crate::outbound::HttpUrl;
use job::Job;

impl JobResource for Job {
    const TEXTS: JobTexts = FINETUNES;

    async fn whole(self, jobs: &Jobs, id: JobId) -> Result<Self, ApiError> {
        Ok(Self { understood: jobs.dataset(id).await?, ..self })
    }
}

impl JobCreation for Job {
    type Request = FinetuneSpec;

    const CREATION: Creation = Creation {
        description: "The options, the base and the listing of the data set are checked before it is accepted. Then it waits for \
            its turn and\nreads the images; a damaged image is the fine-tune's `error`. When it has succeeded, its model answers \
            if it is new; of a model\nthat answered before, the new version does what `deploy` says.",
        errors: &[
            Code::InvalidJson,
            Code::InvalidParameter,
            Code::BodyUnreadable,
            Code::IdempotencyKeyReused,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::InvalidBody,
            Code::FinetuneRefused,
            Code::WebhookRefused,
            Code::DatasetNotFound,
            Code::SnapshotNotFound,
            Code::TooManyJobs,
            Code::JobsUnavailable,
            Code::DatasetsUnavailable,
            Code::StorageFull,
            Code::BodyTimeout,
            Code::ServerBusy,
        ],
    };

    fn max_megapixels(request: &mut FinetuneSpec) -> &mut u64 {
        &mut request.options.max_megapixels
    }

    fn asked(request: FinetuneSpec) -> JobSpec {
        JobSpec::Finetune(request)
    }

    async fn checked(state: &AppState, request: FinetuneSpec) -> Result<JobSpec, ApiError> {
        if let Some(webhook) = &request.webhook {
            check_webhook(state, webhook)?;
        }
        let dataset = state.datasets.pin(request.dataset).await?;
        let request = FinetuneSpec { dataset, ..request };
        state.checker.check(request.clone()).await?;
        Ok(JobSpec::Finetune(request))
    }
}

/// Refuses an address whose host is not listed.
fn check_webhook(state: &AppState, webhook: &HttpUrl) -> Result<(), ApiError> {
    let Some(options) = &state.webhooks else {
        let detail = "this server has no webhooks; its operator allows hosts with `--webhook-host`";
        return Err(ApiError::new(Code::WebhookRefused, detail));
    };
    let checked = webhook.uri().and_then(|uri| options.hosts.check(&uri));
    checked.map_err(|error| ApiError::new(Code::WebhookRefused, format!("webhook: {error}")))
}
