//! The events of a fine-tune.

use axum::Json;
use axum::extract::State;

use super::job::Job;
use crate::http::extract::{Path, Query};
use crate::http::problem::{ApiError, documents};
use crate::http::state::AppState;
use crate::http::v1::jobs::{EventsQuery, JobEventPage, events, job_id};

documents! {
    /// The errors of `GET /finetune/{id}/events`.
    EventsErrors: InvalidParameter, JobNotFound, JobsUnavailable
}

/// List the events of a fine-tune
///
/// In order; ask again with `after` set to the last `seq` to follow it.
#[utoipa::path(
    get, path = "/finetune/{id}/events", operation_id = "list_finetune_events", tag = "finetune",
    params(("id" = String, Path, description = "The fine-tune's id."), EventsQuery),
    responses((status = 200, description = "A page of events.", body = JobEventPage), EventsErrors)
)]
pub async fn list_finetune_events(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(query): Query<EventsQuery>,
) -> Result<Json<JobEventPage>, ApiError> {
    let (jobs, id) = (state.jobs.ready()?, job_id(&id)?);
    Job::try_from(jobs.get(id).await?)?;
    events(&jobs, id, &query).await
}
