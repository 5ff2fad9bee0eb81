//! What all kinds of jobs have in common.

mod describe;
mod endpoint;
mod table;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use models::preprocess::Limits;
use serde::{Deserialize, Serialize};
use trainer::estimate::RunProgress;
use trainer::finetune::FinetuneOptions;
use utoipa::{IntoParams, ToSchema};

use super::within;
use crate::http::problem::{ApiError, Code};
use crate::jobs::{JobError, JobId, JobKind, JobRecord, JobRequest, JobSpec, JobState, Jobs, Submission};
pub use describe::{routes, routes_with_creation};
pub(super) use endpoint::named;
pub use endpoint::{JobCreation, JobResource};
pub use table::{Creation, EVALUATIONS, FINETUNES, IMPORTS, JobTexts, QUANTIZATIONS};

/// The state of a job, whatever its work.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobStatus {
    /// The job's id. Ids sort by the time of creation.
    #[schema(example = "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55")]
    pub id: String,
    /// The state of the job.
    pub state: JobState,
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
    /// Whether a client asked to pause it. It is paused when it has reached its next checkpoint.
    pub pause_requested: bool,
    /// How far it is, and how long it still takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub progress: Option<RunProgress>,
    /// Why it failed, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<JobError>,
}

impl From<&JobRecord> for JobStatus {
    fn from(job: &JobRecord) -> Self {
        Self {
            id: job.id.to_string(),
            state: job.state,
            attempt: job.attempt,
            cancel_requested: job.cancel_requested,
            pause_requested: job.pause_requested,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            progress: job.progress,
            error: job.error.clone(),
        }
    }
}

/// The page of a list of jobs.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobQuery {
    /// The id of the last job of the previous page.
    #[param(nullable = false)]
    after: Option<String>,
    /// The maximum number of jobs in the answer.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: usize,
}

fn default_limit() -> usize {
    20
}

impl JobQuery {
    /// The id behind which the page begins, and its length.
    pub(super) fn page(&self) -> Result<(Option<JobId>, usize), ApiError> {
        let limit = within("limit", self.limit, &(1..=100))?;
        let invalid =
            |text: &str| ApiError::new(Code::InvalidParameter, format!("after: `{text}` is not the id of a job"));
        Ok((self.after.as_deref().map(|text| text.parse().map_err(|_| invalid(text))).transpose()?, limit))
    }
}

/// Parses the id in a path. A malformed id is an unknown job.
pub(super) fn job_id(text: &str) -> Result<JobId, ApiError> {
    text.parse().map_err(|_| ApiError::new(Code::JobNotFound, format!("there is no job `{text}`")))
}

/// The error for a job of another kind than an address is for.
pub(super) fn of_other_kind(job: &JobRecord) -> ApiError {
    let (id, kind) = (job.id, job.spec.kind().name());
    ApiError::new(Code::JobNotFound, format!("job `{id}` is of another kind; ask for `/{kind}/{id}`"))
}

/// The client's name for its request.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let valid = |key: &&str| (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key = value.to_str().ok().filter(valid);
    let invalid = || ApiError::new(Code::InvalidParameter, "Idempotency-Key: use 1 to 255 visible ASCII characters");
    key.map(Some).ok_or_else(invalid)
}

/// Lets a job decode no larger images than a request may: a key that may train is not the operator's. Where that is less than what
/// jobs decode if nothing is said, it counts without a word.
pub(super) fn bound_images(megapixels: &mut u64, limits: &Limits) -> Result<(), ApiError> {
    let most = limits.max_pixels / 1_000_000;
    if *megapixels > most.max(FinetuneOptions::default().max_megapixels) {
        let detail = format!(
            "options.max_megapixels: at most {most} on this server; its operator allows more with `--max-megapixels`"
        );
        return Err(ApiError::new(Code::InvalidBody, detail));
    }
    *megapixels = most.min(*megapixels);
    Ok(())
}

/// The job that a request asks for. A retry is answered with its job, whatever has become of the model or the data meanwhile;
/// otherwise the work is checked and completed by `complete`, which is not awaited before.
pub(super) async fn submit(
    jobs: &Jobs,
    request: JobRequest<'_>,
    complete: impl Future<Output = Result<JobSpec, ApiError>>,
) -> Result<JobRecord, ApiError> {
    if let Some(key) = request.idempotency_key
        && let Some(job) = jobs.find(request.spec, key).await?
    {
        return Ok(job);
    }
    let spec = complete.await?;
    let (Submission::New(job) | Submission::Existing(job)) =
        jobs.create(&JobRequest { spec: &spec, ..request }).await?;
    Ok(job)
}

/// The answer to a request for a job that is accepted.
pub(super) fn accepted(kind: JobKind, id: JobId, body: impl IntoResponse) -> Result<Response, ApiError> {
    let location = HeaderValue::try_from(format!("/{}/{id}", kind.name())).map_err(ApiError::internal)?;
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_decodes_no_larger_images_than_the_operator_lets_a_request() {
        let bounded = |mut asked: u64, most: u64| bound_images(&mut asked, &Limits::megapixels(most)).map(|()| asked);
        assert_eq!(bounded(50, 50).unwrap(), 50);
        assert_eq!(bounded(20, 50).unwrap(), 20);
        assert_eq!(bounded(200, 200).unwrap(), 200);
        assert_eq!(bounded(50, 10).unwrap(), 10, "what jobs decode if nothing is said");
        for (asked, most) in [(51, 50), (1000, 200), (51, 10)] {
            let error = bounded(asked, most).unwrap_err();
            assert_eq!(error.code(), Code::InvalidBody);
            assert!(error.detail().unwrap().contains(&format!("at most {most} on this server")));
        }
    }
}
