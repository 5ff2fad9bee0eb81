//! A version that answers copies of requests, before it is let in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::path::ModelPath;
use crate::http::extract;
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::inference::ShadowReport;

/// A version that is to answer copies of requests.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowRequest {
    /// Its number.
    #[schema(minimum = 1, example = 4)]
    version: u32,
    /// The share of the images that the live version answers.
    #[serde(default = "tenth")]
    #[schema(exclusive_minimum = 0, maximum = 1, default = 0.1, example = 0.1)]
    share: f64,
}

fn tenth() -> f64 {
    crate::finetune::SHADOW_SHARE
}

documents! {
    /// The errors of `GET /models/{name}/shadow`.
    GetShadowErrors: ModelNotFound, ShadowNotFound
}

documents! {
    /// The errors of `PUT /models/{name}/shadow`.
    SetShadowErrors:
        InvalidJson, BodyUnreadable, ModelNotFound, BodyTooLarge, UnsupportedMediaType, InvalidBody, ShadowRefused,
        BodyTimeout, ServerBusy, StorageFull
}

documents! {
    /// The errors of `DELETE /models/{name}/shadow`.
    ClearShadowErrors: ModelNotFound, StorageFull
}

/// Say what the shadow of a model has counted
///
/// How many images both versions answer alike, how long their runs take, and the last images that they answer differently.
#[utoipa::path(
    get, path = "/models/{name}/shadow", operation_id = "get_shadow", tag = "models",
    params(ModelPath),
    responses((status = 200, description = "The counts so far.", body = ShadowReport), GetShadowErrors)
)]
pub async fn get_shadow(
    State(state): State<AppState>,
    ModelPath { name }: ModelPath,
) -> Result<Json<ShadowReport>, ApiError> {
    report(&state, name.as_str()).map(Json)
}

/// Let a version answer copies of requests
///
/// A share of the images that the live version answers, in one thread of the lowest priority and only while no request is in
/// flight; what waits too long is dropped. Clients do not see its answers. `PUT /models/{name}/live` lets it in.
#[utoipa::path(
    put, path = "/models/{name}/shadow", operation_id = "set_shadow", tag = "models",
    params(ModelPath), request_body = ShadowRequest,
    responses((status = 200, description = "It is the shadow.", body = ShadowReport), SetShadowErrors)
)]
pub async fn set_shadow(
    State(state): State<AppState>,
    ModelPath { name }: ModelPath,
    extract::Json(ShadowRequest { version, share }): extract::Json<ShadowRequest>,
) -> Result<Json<ShadowReport>, ApiError> {
    let (store, shadowed) = (state.registry.store().clone(), name.clone());
    spawn_blocking(move || store.set_shadow(&shadowed, version, share)).await.map_err(ApiError::internal)??;
    state.registry.scan().await?;
    report(&state, name.as_str()).map(Json)
}

/// End the shadow of a model
///
/// What it has counted is forgotten.
#[utoipa::path(
    delete, path = "/models/{name}/shadow", operation_id = "clear_shadow", tag = "models",
    params(ModelPath),
    responses((status = 204, description = "There is none."), ClearShadowErrors)
)]
pub async fn clear_shadow(
    State(state): State<AppState>,
    ModelPath { name }: ModelPath,
) -> Result<StatusCode, ApiError> {
    let store = state.registry.store().clone();
    spawn_blocking(move || store.clear_shadow(&name)).await.map_err(ApiError::internal)??;
    state.registry.scan().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn report(state: &AppState, name: &str) -> Result<ShadowReport, ApiError> {
    let status = state.registry.get(name).ok_or_else(|| {
        ApiError::new(Code::ModelNotFound, format!("there is no model `{name}`; `GET /models` lists the models"))
    })?;
    state.registry.shadow(&status.name).ok_or_else(|| Code::ShadowNotFound.into())
}
