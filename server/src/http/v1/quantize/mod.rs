//! Quantizations: start, follow and cancel them.

pub mod quantization;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::follow::{EventsQuery, JobEventPage, events};
use super::jobs::{JobQuery, accepted, idempotency_key, job_id, submit};
use crate::http::extract::{self, Path, Query};
use crate::http::problem::{ApiError, documents};
use crate::http::record::RequestRecord;
use crate::http::state::AppState;
use crate::jobs::{JobKind, JobRequest, JobSpec};
use crate::quantize::QuantizeSpec;
use quantization::QuantizationJob;

/// A page of quantizations.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct QuantizationList {
    /// Newest first, without their reports.
    pub data: Vec<QuantizationJob>,
    /// Whether there are older ones; ask for them with `after`.
    pub has_more: bool,
}

documents! {
    /// The errors of `POST /quantize`.
    CreateErrors:
        InvalidJson, InvalidParameter, BodyUnreadable, IdempotencyKeyReused, BodyTooLarge, UnsupportedMediaType,
        InvalidBody, QuantizationRefused, TooManyJobs, DatasetNotFound, SnapshotNotFound, JobsUnavailable, DatasetsUnavailable, StorageFull, BodyTimeout, ServerBusy
}

documents! {
    /// The errors of `GET /quantize`.
    ListErrors: InvalidParameter, JobsUnavailable
}

documents! {
    /// The errors of `GET /quantize/{id}`.
    GetErrors: JobNotFound, JobsUnavailable
}

documents! {
    /// The errors of `GET /quantize/{id}/events`.
    EventsErrors: InvalidParameter, JobNotFound, JobsUnavailable, TooManyStreams, ShuttingDown
}

documents! {
    /// The errors of `POST /quantize/{id}/cancel`.
    CancelErrors: JobNotFound, JobFinished, JobsUnavailable, StorageFull
}

/// Start a quantization
///
/// Writes a stored model with 8-bit integers, calibrated on training images, and measures on test images what that costs. The
/// options, the model and the listing of the data set are checked before it is accepted; then it waits for its turn. When it has
/// succeeded, the model has a new version with its variants, of which the server takes the fastest that is good enough. It takes the
/// place of the version that was quantized, if that is live. `report` has every figure.
#[utoipa::path(
    post, path = "/quantize", operation_id = "create_quantization", tag = "quantize",
    params((
        "Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
        pattern = "^[!-~]+$",
        description = "Two equal requests with the same key are one quantization."
    )),
    request_body = QuantizeSpec,
    responses(
        (status = 202, description = "Accepted.", body = QuantizationJob,
         headers(("Location" = String, description = "The address of the quantization."))),
        CreateErrors
    )
)]
pub async fn create_quantization(
    State(state): State<AppState>,
    headers: HeaderMap,
    Extension(record): Extension<RequestRecord>,
    extract::Json(request): extract::Json<QuantizeSpec>,
) -> Result<Response, ApiError> {
    let key = idempotency_key(&headers)?;
    let jobs = state.jobs.ready()?;
    let spec = JobSpec::Quantize(request.clone());
    let complete = async {
        let dataset = state.datasets.pin(request.dataset).await?;
        let request = QuantizeSpec { dataset, ..request };
        state.checker.check_quantization(request.clone()).await?;
        Ok(JobSpec::Quantize(request))
    };
    let client = JobRequest { spec: &spec, idempotency_key: key, owner: record.caller() };
    let job = submit(&jobs, client, complete).await?;
    let job = QuantizationJob::try_from(job)?;
    accepted(JobKind::Quantize, &job.status.id.clone(), Json(job))
}

/// List the quantizations
///
/// Newest first.
#[utoipa::path(
    get, path = "/quantize", operation_id = "list_quantizations", tag = "quantize",
    params(JobQuery),
    responses((status = 200, description = "A page of quantizations.", body = QuantizationList), ListErrors)
)]
pub async fn list_quantizations(
    State(state): State<AppState>,
    Query(query): Query<JobQuery>,
) -> Result<Json<QuantizationList>, ApiError> {
    let (after, limit) = query.page()?;
    let page = state.jobs.ready()?.list(JobKind::Quantize, after, limit).await?;
    let brief = |job| QuantizationJob::try_from(job).map(|job| QuantizationJob { report: None, ..job });
    Ok(Json(QuantizationList {
        data: page.data.into_iter().map(brief).collect::<Result<_, _>>()?,
        has_more: page.has_more,
    }))
}

/// Describe a quantization
///
/// Its state, progress and, in the end, its report or error.
#[utoipa::path(
    get, path = "/quantize/{id}", operation_id = "get_quantization", tag = "quantize",
    params(("id" = String, Path, description = "The quantization's id.")),
    responses((status = 200, description = "The quantization.", body = QuantizationJob), GetErrors)
)]
pub async fn get_quantization(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<QuantizationJob>, ApiError> {
    Ok(Json(state.jobs.ready()?.get(job_id(&id)?).await?.try_into()?))
}

/// List or follow the events of a quantization
///
/// In order; ask again with `after` set to the last `seq` to follow it. With `Accept: text/event-stream` the events are
/// sent as they happen, as those of a fine-tune are.
#[utoipa::path(
    get, path = "/quantize/{id}/events", operation_id = "list_quantization_events", tag = "quantize",
    params(("id" = String, Path, description = "The quantization's id."), EventsQuery),
    responses(
        (status = 200, description = "A page of events, or all of them as they happen.",
         content((JobEventPage = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "To a stream that goes on: it has ended, and the client has had every event."),
        EventsErrors
    )
)]
pub async fn list_quantization_events(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = job_id(&id)?;
    QuantizationJob::try_from(state.jobs.ready()?.get(id).await?)?;
    events(&state, id, &query, &headers).await
}

/// Cancel a quantization
///
/// A queued one ends at once, a running one within moments; its `state` says when.
#[utoipa::path(
    post, path = "/quantize/{id}/cancel", operation_id = "cancel_quantization", tag = "quantize",
    params(("id" = String, Path, description = "The quantization's id.")),
    responses((status = 202, description = "It will end.", body = QuantizationJob), CancelErrors)
)]
pub async fn cancel_quantization(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<QuantizationJob>), ApiError> {
    let (jobs, id) = (state.jobs.ready()?, job_id(&id)?);
    QuantizationJob::try_from(jobs.get(id).await?)?;
    Ok((StatusCode::ACCEPTED, Json(jobs.cancel(id).await?.try_into()?)))
}
