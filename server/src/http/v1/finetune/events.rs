//! The events of a fine-tune.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::job::Job;
use crate::http::extract::{Path, Query};
use crate::http::problem::{ApiError, documents};
use crate::http::state::AppState;
use crate::http::v1::follow::{EventsQuery, JobEventPage, events};
use crate::http::v1::jobs::job_id;

documents! {
    /// The errors of `GET /finetune/{id}/events`.
    EventsErrors: InvalidParameter, JobNotFound, JobsUnavailable, TooManyStreams, ShuttingDown
}

/// List or follow the events of a fine-tune
///
/// In order; ask again with `after` set to the last `seq` to follow it. With `Accept: text/event-stream` the events are
/// sent as they happen until the fine-tune has ended: messages `event` have the `seq` as their id and an event of the page as
/// their data, messages `progress` and `state` say how far it is. A client that was cut off goes on with `Last-Event-ID`.
#[utoipa::path(
    get, path = "/finetune/{id}/events", operation_id = "list_finetune_events", tag = "finetune",
    params(("id" = String, Path, description = "The fine-tune's id."), EventsQuery),
    responses(
        (status = 200, description = "A page of events, or all of them as they happen.",
         content((JobEventPage = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "To a stream that goes on: it has ended, and the client has had every event."),
        EventsErrors
    )
)]
pub async fn list_finetune_events(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = job_id(&id)?;
    Job::try_from(state.jobs.ready()?.get(id).await?)?;
    events(&state, id, &query, &headers).await
}
