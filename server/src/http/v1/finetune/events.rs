//! What happened during a fine-tune.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use trainer::events::Event;
use utoipa::{IntoParams, ToSchema};

use super::job::JobPhase;
use super::job_id;
use crate::http::extract::{Path, Query};
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::http::v1::within;
use crate::jobs;

/// Which part of the list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// The `seq` of the last event that is known already.
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    after: i64,
    /// The most events in the answer.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

/// Events of a fine-tune.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobEventPage {
    /// In the order in which they happened.
    pub data: Vec<JobEvent>,
    /// Whether there are more already. Where there are none, ask again later with the same `after`.
    pub has_more: bool,
}

/// Something that happened during a fine-tune.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobEvent {
    /// Rises with time, with gaps; `after` of the next request.
    #[schema(example = 42)]
    pub seq: i64,
    /// In which attempt it happened.
    #[schema(example = 1)]
    pub attempt: u32,
    /// When.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T18:52:40.871Z")]
    pub at: Timestamp,
    /// What.
    pub event: JobEventData,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum JobEventData {
    /// A part begins.
    #[schema(title = "PhaseEvent")]
    Phase {
        /// Which.
        phase: JobPhase,
    },
    /// A part goes on.
    #[schema(title = "ProgressEvent")]
    Progress {
        /// Which.
        phase: JobPhase,
        /// Images or epochs behind.
        done: u64,
        /// Images or epochs in all.
        total: u64,
    },
    /// The weights have changed; not every step says so.
    #[schema(title = "StepEvent")]
    Step {
        /// How often they have.
        step: u64,
        /// The current epoch, counted from one.
        epoch: u64,
        /// How many there will be.
        epochs: u64,
        /// Training images behind in this epoch.
        examples: u64,
        /// Their mean loss.
        loss: f64,
        /// The share of them that were classified right, 0 to 1.
        accuracy: f64,
        /// Since training began or went on.
        images_per_second: f64,
        /// Until the last epoch is over.
        seconds_left: f64,
    },
    /// An epoch is over.
    #[schema(title = "EpochEvent")]
    Epoch {
        /// Counted from one.
        epoch: usize,
        /// How many there will be.
        epochs: usize,
        /// Mean cross-entropy over the training images.
        train_loss: f64,
        /// Mean cross-entropy over the validation images, if there are any.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        validation_loss: Option<f64>,
        /// Share of validation images that are classified right, 0 to 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        validation_top1: Option<f64>,
    },
    /// Something that was decided, and why.
    #[schema(title = "NoteEvent")]
    Note {
        /// A sentence.
        message: String,
    },
    /// Something to know that does not end the fine-tune.
    #[schema(title = "WarningEvent")]
    Warning {
        /// A sentence.
        message: String,
    },
    /// The result on the test images.
    #[schema(title = "MetricsEvent")]
    Metrics {
        /// By name; shares are 0 to 1.
        #[schema(value_type = Object)]
        metrics: Value,
    },
}

documents! {
    /// What can be wrong with a page of events.
    EventsErrors: InvalidParameter, JobNotFound
}

/// List what happened during a fine-tune
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
    let page = state.jobs.events(job_id(&id)?, query.after, limit).await?;
    Ok(Json(JobEventPage { data: page.data.into_iter().map(JobEvent::from).collect(), has_more: page.has_more }))
}

impl From<jobs::JobEvent> for JobEvent {
    fn from(event: jobs::JobEvent) -> Self {
        Self { seq: event.seq, attempt: event.attempt, at: event.at, event: event.event.into() }
    }
}

impl From<Event> for JobEventData {
    fn from(event: Event) -> Self {
        match event {
            Event::Phase { phase } => JobEventData::Phase { phase: phase.into() },
            Event::Progress { phase, done, total } => JobEventData::Progress { phase: phase.into(), done, total },
            Event::Step { step, epoch, epochs, examples, loss, accuracy, images_per_second, seconds_left } => {
                JobEventData::Step { step, epoch, epochs, examples, loss, accuracy, images_per_second, seconds_left }
            }
            Event::Epoch { epoch, epochs, train_loss, validation_loss, validation_top1 } => {
                JobEventData::Epoch { epoch, epochs, train_loss, validation_loss, validation_top1 }
            }
            Event::Note { message } => JobEventData::Note { message },
            Event::Warning { message } => JobEventData::Warning { message },
            Event::Metrics { metrics } => JobEventData::Metrics { metrics },
        }
    }
}
