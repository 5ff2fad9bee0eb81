//! The events of a fine-tune.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::job_id;
use crate::http::extract::{Path, Query};
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::http::v1::within;
use crate::jobs::JobEvent;

/// The page of events.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// The `seq` of the last event already received.
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    after: i64,
    /// The maximum number of events in the answer.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

/// A page of events.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobEventPage {
    /// In the order in which they happened.
    pub data: Vec<JobEvent>,
    /// Whether there are more already. If not, ask again later with the same `after`.
    pub has_more: bool,
}

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
    let limit = within("limit", query.limit, &(1..=1000))?;
    if query.after < 0 {
        return Err(ApiError::new(Code::InvalidParameter, "after: it must not be negative"));
    }
    let page = state.jobs.ready()?.events(job_id(&id)?, query.after, limit).await?;
    Ok(Json(JobEventPage { data: page.data, has_more: page.has_more }))
}
