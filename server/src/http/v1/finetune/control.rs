//! Pause, resume and retry a fine-tune.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::job::Job;
use crate::http::extract::Path;
use crate::http::problem::{ApiError, documents};
use crate::http::state::AppState;
use crate::http::v1::jobs::named;

documents! {
    /// The errors of `POST /finetune/{id}/pause`.
    PauseErrors: JobNotFound, JobFinished, JobState, JobsUnavailable, StorageFull
}

documents! {
    /// The errors of `POST /finetune/{id}/resume` and `POST /finetune/{id}/retry`.
    RequeueErrors: JobNotFound, JobState, TooManyJobs, JobsUnavailable, StorageFull
}

/// The fine-tune as it is now.
type Accepted = Result<(StatusCode, Json<Job>), ApiError>;

/// Pause a fine-tune
///
/// A queued one is paused at once. A running one stops at its next checkpoint and frees the server for the next job; its
/// `state` says when. A pause survives restarts of the server.
#[utoipa::path(
    post, path = "/finetune/{id}/pause", operation_id = "pause_finetune", tag = "finetune",
    params(("id" = String, Path, description = "The fine-tune's id.")),
    responses((status = 202, description = "It will pause.", body = Job), PauseErrors)
)]
pub async fn pause_finetune(State(state): State<AppState>, Path(id): Path<String>) -> Accepted {
    let (jobs, id) = named::<Job>(&state, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(jobs.pause(id).await?.try_into()?)))
}

/// Resume a fine-tune
///
/// A paused one goes back into the queue, and on from its last checkpoint.
#[utoipa::path(
    post, path = "/finetune/{id}/resume", operation_id = "resume_finetune", tag = "finetune",
    params(("id" = String, Path, description = "The fine-tune's id.")),
    responses((status = 202, description = "It waits for its turn.", body = Job), RequeueErrors)
)]
pub async fn resume_finetune(State(state): State<AppState>, Path(id): Path<String>) -> Accepted {
    let (jobs, id) = named::<Job>(&state, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(jobs.resume(id).await?.try_into()?)))
}

/// Retry a fine-tune
///
/// One that failed or was cancelled goes back into the queue with the same request, all its attempts and all its time. What
/// earlier attempts have cached is used again.
#[utoipa::path(
    post, path = "/finetune/{id}/retry", operation_id = "retry_finetune", tag = "finetune",
    params(("id" = String, Path, description = "The fine-tune's id.")),
    responses((status = 202, description = "It waits for its turn.", body = Job), RequeueErrors)
)]
pub async fn retry_finetune(State(state): State<AppState>, Path(id): Path<String>) -> Accepted {
    let (jobs, id) = named::<Job>(&state, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(jobs.run_again(id).await?.try_into()?)))
}
