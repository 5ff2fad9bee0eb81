//! Fine-tunes: start, follow and control them.

pub mod control;
pub mod events;
pub mod job;
pub mod plan;
pub mod schema;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::jobs::{JobQuery, accepted, idempotency_key, job_id, submit};
use crate::finetune::FinetuneSpec;
use crate::http::extract::{self, Path, Query};
use crate::http::problem::{ApiError, Code, documents};
use crate::http::record::RequestRecord;
use crate::http::state::AppState;
use crate::jobs::{JobKind, JobRequest, JobSpec};
use crate::outbound::HttpUrl;
use job::Job;

/// A page of fine-tunes.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobList {
    /// Newest first.
    pub data: Vec<Job>,
    /// Whether there are older ones; ask for them with `after`.
    pub has_more: bool,
}

documents! {
    /// The errors of `POST /finetune`.
    CreateErrors:
        InvalidJson, InvalidParameter, BodyUnreadable, IdempotencyKeyReused, BodyTooLarge, UnsupportedMediaType,
        InvalidBody, FinetuneRefused, WebhookRefused, DatasetNotFound, SnapshotNotFound, TooManyJobs, JobsUnavailable,
        DatasetsUnavailable, StorageFull, BodyTimeout, ServerBusy
}

documents! {
    /// The errors of `GET /finetune`.
    ListErrors: InvalidParameter, JobsUnavailable
}

documents! {
    /// The errors of `GET /finetune/{id}`.
    GetErrors: JobNotFound, JobsUnavailable
}

/// Start a fine-tune
///
/// The options, the base and the listing of the data set are checked before it is accepted. Then it waits for its turn and
/// reads the images; a damaged image is the fine-tune's `error`. When it has succeeded, its model answers if it is new; of a model
/// that answered before, the new version does what `deploy` says.
#[utoipa::path(
    post, path = "/finetune", operation_id = "create_finetune", tag = "finetune",
    params((
        "Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
        pattern = "^[!-~]+$",
        description = "Two equal requests with the same key are one fine-tune."
    )),
    request_body = FinetuneSpec,
    responses(
        (status = 202, description = "Accepted.", body = Job,
         headers(("Location" = String, description = "The address of the fine-tune."))),
        CreateErrors
    )
)]
pub async fn create_finetune(
    State(state): State<AppState>,
    headers: HeaderMap,
    Extension(record): Extension<RequestRecord>,
    extract::Json(request): extract::Json<FinetuneSpec>,
) -> Result<Response, ApiError> {
    let key = idempotency_key(&headers)?;
    let jobs = state.jobs.ready()?;
    let spec = JobSpec::Finetune(request.clone());
    let complete = async {
        if let Some(webhook) = &request.webhook {
            check_webhook(&state, webhook)?;
        }
        let dataset = state.datasets.pin(request.dataset).await?;
        let request = FinetuneSpec { dataset, ..request };
        state.checker.check(request.clone()).await?;
        Ok(JobSpec::Finetune(request))
    };
    let client = JobRequest { spec: &spec, idempotency_key: key, owner: record.caller() };
    let job = submit(&jobs, client, complete).await?;
    let job = Job::try_from(job)?;
    accepted(JobKind::Finetune, &job.status.id.clone(), Json(job))
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

/// List the fine-tunes
///
/// Newest first.
#[utoipa::path(
    get, path = "/finetune", operation_id = "list_finetunes", tag = "finetune",
    params(JobQuery),
    responses((status = 200, description = "A page of fine-tunes.", body = JobList), ListErrors)
)]
pub async fn list_finetunes(
    State(state): State<AppState>,
    Query(query): Query<JobQuery>,
) -> Result<Json<JobList>, ApiError> {
    let (after, limit) = query.page()?;
    let page = state.jobs.ready()?.list(JobKind::Finetune, after, limit).await?;
    let data = page.data.into_iter().map(Job::try_from).collect::<Result<_, _>>()?;
    Ok(Json(JobList { data, has_more: page.has_more }))
}

/// Describe a fine-tune
///
/// Its state, progress and, in the end, its result or error.
#[utoipa::path(
    get, path = "/finetune/{id}", operation_id = "get_finetune", tag = "finetune",
    params(("id" = String, Path, description = "The fine-tune's id.")),
    responses((status = 200, description = "The fine-tune.", body = Job), GetErrors)
)]
pub async fn get_finetune(State(state): State<AppState>, Path(id): Path<String>) -> Result<Json<Job>, ApiError> {
    let (jobs, id) = (state.jobs.ready()?, job_id(&id)?);
    let job = Job::try_from(jobs.get(id).await?)?;
    Ok(Json(Job { understood: jobs.dataset(id).await?, ..job }))
}
