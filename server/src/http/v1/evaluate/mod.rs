//! Evaluations: start, follow and cancel them.

pub mod evaluation;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::follow::{EventsQuery, JobEventPage, events};
use super::jobs::{JobQuery, accepted, idempotency_key, job_id, submit};
use crate::evaluate::EvaluateSpec;
use crate::http::extract::{self, Path, Query};
use crate::http::problem::{ApiError, documents};
use crate::http::record::RequestRecord;
use crate::http::state::AppState;
use crate::jobs::{JobKind, JobRequest, JobSpec};
use evaluation::EvaluationJob;

/// A page of evaluations.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EvaluationList {
    /// Newest first, without their reports.
    pub data: Vec<EvaluationJob>,
    /// Whether there are older ones; ask for them with `after`.
    pub has_more: bool,
}

documents! {
    /// The errors of `POST /evaluate`.
    CreateErrors:
        InvalidJson, InvalidParameter, BodyUnreadable, IdempotencyKeyReused, BodyTooLarge, UnsupportedMediaType,
        InvalidBody, EvaluationRefused, TooManyJobs, DatasetNotFound, SnapshotNotFound, JobsUnavailable, DatasetsUnavailable, StorageFull, BodyTimeout, ServerBusy
}

documents! {
    /// The errors of `GET /evaluate`.
    ListErrors: InvalidParameter, JobsUnavailable
}

documents! {
    /// The errors of `GET /evaluate/{id}`.
    GetErrors: JobNotFound, JobsUnavailable
}

documents! {
    /// The errors of `GET /evaluate/{id}/events`.
    EventsErrors: InvalidParameter, JobNotFound, JobsUnavailable, TooManyStreams, ShuttingDown
}

documents! {
    /// The errors of `POST /evaluate/{id}/cancel`.
    CancelErrors: JobNotFound, JobFinished, JobsUnavailable, StorageFull
}

/// Start an evaluation
///
/// Measures a stored model on labeled images, prepared as for serving. The options, the model and the listing of the data set
/// are checked before it is accepted; then it waits for its turn. When it has succeeded, its `report` has every figure.
#[utoipa::path(
    post, path = "/evaluate", operation_id = "create_evaluation", tag = "evaluate",
    params((
        "Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
        pattern = "^[!-~]+$",
        description = "Two equal requests with the same key are one evaluation."
    )),
    request_body = EvaluateSpec,
    responses(
        (status = 202, description = "Accepted.", body = EvaluationJob,
         headers(("Location" = String, description = "The address of the evaluation."))),
        CreateErrors
    )
)]
pub async fn create_evaluation(
    State(state): State<AppState>,
    headers: HeaderMap,
    Extension(record): Extension<RequestRecord>,
    extract::Json(request): extract::Json<EvaluateSpec>,
) -> Result<Response, ApiError> {
    let key = idempotency_key(&headers)?;
    let jobs = state.jobs.ready()?;
    let spec = JobSpec::Evaluate(request.clone());
    let complete = async {
        let dataset = state.datasets.pin(request.dataset).await?;
        let request = EvaluateSpec { dataset, ..request };
        state.checker.check_evaluation(request.clone()).await?;
        Ok(JobSpec::Evaluate(request))
    };
    let client = JobRequest { spec: &spec, idempotency_key: key, owner: record.caller() };
    let job = submit(&jobs, client, complete).await?;
    let job = EvaluationJob::try_from(job)?;
    accepted(JobKind::Evaluate, &job.status.id.clone(), Json(job))
}

/// List the evaluations
///
/// Newest first.
#[utoipa::path(
    get, path = "/evaluate", operation_id = "list_evaluations", tag = "evaluate",
    params(JobQuery),
    responses((status = 200, description = "A page of evaluations.", body = EvaluationList), ListErrors)
)]
pub async fn list_evaluations(
    State(state): State<AppState>,
    Query(query): Query<JobQuery>,
) -> Result<Json<EvaluationList>, ApiError> {
    let (after, limit) = query.page()?;
    let page = state.jobs.ready()?.list(JobKind::Evaluate, after, limit).await?;
    let brief = |job| EvaluationJob::try_from(job).map(|job| EvaluationJob { report: None, ..job });
    Ok(Json(EvaluationList {
        data: page.data.into_iter().map(brief).collect::<Result<_, _>>()?,
        has_more: page.has_more,
    }))
}

/// Describe an evaluation
///
/// Its state, progress and, in the end, its report or error.
#[utoipa::path(
    get, path = "/evaluate/{id}", operation_id = "get_evaluation", tag = "evaluate",
    params(("id" = String, Path, description = "The evaluation's id.")),
    responses((status = 200, description = "The evaluation.", body = EvaluationJob), GetErrors)
)]
pub async fn get_evaluation(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<EvaluationJob>, ApiError> {
    Ok(Json(state.jobs.ready()?.get(job_id(&id)?).await?.try_into()?))
}

/// List or follow the events of an evaluation
///
/// In order; ask again with `after` set to the last `seq` to follow it. With `Accept: text/event-stream` the events are
/// sent as they happen, as those of a fine-tune are.
#[utoipa::path(
    get, path = "/evaluate/{id}/events", operation_id = "list_evaluation_events", tag = "evaluate",
    params(("id" = String, Path, description = "The evaluation's id."), EventsQuery),
    responses(
        (status = 200, description = "A page of events, or all of them as they happen.",
         content((JobEventPage = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "To a stream that goes on: it has ended, and the client has had every event."),
        EventsErrors
    )
)]
pub async fn list_evaluation_events(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = job_id(&id)?;
    EvaluationJob::try_from(state.jobs.ready()?.get(id).await?)?;
    events(&state, id, &query, &headers).await
}

/// Cancel an evaluation
///
/// A queued one ends at once, a running one within moments; its `state` says when.
#[utoipa::path(
    post, path = "/evaluate/{id}/cancel", operation_id = "cancel_evaluation", tag = "evaluate",
    params(("id" = String, Path, description = "The evaluation's id.")),
    responses((status = 202, description = "It will end.", body = EvaluationJob), CancelErrors)
)]
pub async fn cancel_evaluation(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<EvaluationJob>), ApiError> {
    let (jobs, id) = (state.jobs.ready()?, job_id(&id)?);
    EvaluationJob::try_from(jobs.get(id).await?)?;
    Ok((StatusCode::ACCEPTED, Json(jobs.cancel(id).await?.try_into()?)))
}
