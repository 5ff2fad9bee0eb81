//! Which version answers, and whether the model is in memory.

use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Model;
use super::path::ModelPath;
use crate::http::extract;
use crate::http::middleware::deadline::Deadline;
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::inference::ModelStatus;

/// The version that is to answer.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LiveRequest {
    /// Its number.
    #[schema(minimum = 1, example = 3)]
    version: u32,
}

documents! {
    /// The errors of `PUT /models/{name}/live`.
    SetLiveErrors:
        InvalidJson, BodyUnreadable, ModelNotFound, BodyTooLarge, UnsupportedMediaType, InvalidBody, VersionRefused,
        NoMemory, BodyTimeout, ServerBusy, StorageFull
}

documents! {
    /// The errors of `POST /models/{name}/load` and `POST /models/{name}/unload`.
    LoadErrors: ModelNotFound, StorageFull
}

/// Let a version of a model answer
///
/// A newer one, or one from before. It is loaded and passes its self-test first, while the other one answers; no request fails.
/// If it does not pass, or the memory budget does not hold both, nothing changes. The choice survives restarts.
#[utoipa::path(
    put, path = "/models/{name}/live", operation_id = "set_live", tag = "models",
    params(ModelPath), request_body = LiveRequest,
    responses((status = 200, description = "It answers.", body = Model), SetLiveErrors)
)]
pub async fn set_live(
    State(state): State<AppState>,
    ModelPath { name }: ModelPath,
    extract::Json(request): extract::Json<LiveRequest>,
) -> Result<Json<Model>, ApiError> {
    let status = state.registry.promote(&name, request.version).await?;
    Ok(Json(Model::new(&status, &state)))
}

/// Load a model
///
/// One that was unloaded answers again. One that has failed is tried again. `state` says what came of it.
#[utoipa::path(
    post, path = "/models/{name}/load", operation_id = "load_model", tag = "models",
    params(ModelPath),
    responses((status = 200, description = "The model as it is now.", body = Model), LoadErrors)
)]
pub async fn load_model(
    State(state): State<AppState>,
    ModelPath { name }: ModelPath,
    request: Request,
) -> Result<Json<Model>, ApiError> {
    let latest = Instant::now() + state.limits.request_timeout;
    let deadline = request.extensions().get::<Deadline>().map_or(latest, |deadline| deadline.0);
    let status = state.registry.load_by_hand(&name, deadline).await?;
    found(status, &state)
}

/// Unload a model
///
/// It leaves the memory and answers `model_unloaded` until it is loaded again, also after a restart. Requests in flight are
/// answered.
#[utoipa::path(
    post, path = "/models/{name}/unload", operation_id = "unload_model", tag = "models",
    params(ModelPath),
    responses((status = 200, description = "The model as it is now.", body = Model), LoadErrors)
)]
pub async fn unload_model(
    State(state): State<AppState>,
    ModelPath { name }: ModelPath,
) -> Result<Json<Model>, ApiError> {
    let status = state.registry.unload_by_hand(&name).await?;
    found(status, &state)
}

/// The model, unless it was deleted in this moment.
pub(super) fn found(status: Option<ModelStatus>, state: &AppState) -> Result<Json<Model>, ApiError> {
    let status = status.ok_or(Code::ModelNotFound)?;
    Ok(Json(Model::new(&status, state)))
}
