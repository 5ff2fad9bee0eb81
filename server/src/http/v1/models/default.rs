//! The model that answers where a request names none.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use crate::http::extract;
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::store::ModelName;

/// The model that answers where a request names none.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultModel {
    /// What its address and requests call it.
    #[schema(value_type = String, example = "flowers", min_length = 1, max_length = 64)]
    name: ModelName,
}

documents! {
    /// None was chosen.
    GetDefaultErrors: DefaultNotFound
}

documents! {
    /// The errors of `PUT /default-model`.
    SetDefaultErrors:
        InvalidJson, BodyUnreadable, ModelNotFound, BodyTooLarge, UnsupportedMediaType, InvalidBody, BodyTimeout,
        ServerBusy, StorageFull
}

documents! {
    /// The errors of `DELETE /default-model`.
    ClearDefaultErrors: StorageFull
}

/// Say which model is the default
///
/// The one that answers requests without a model's name.
#[utoipa::path(
    get, path = "/default-model", operation_id = "get_default_model", tag = "models",
    responses((status = 200, description = "The default model.", body = DefaultModel), GetDefaultErrors)
)]
pub async fn get_default_model(State(state): State<AppState>) -> Result<Json<DefaultModel>, ApiError> {
    let name = state.registry.default_model().ok_or(Code::DefaultNotFound)?;
    Ok(Json(DefaultModel { name }))
}

/// Choose the default model
///
/// It answers requests that name no model. The choice survives restarts.
#[utoipa::path(
    put, path = "/default-model", operation_id = "set_default_model", tag = "models",
    request_body = DefaultModel,
    responses((status = 200, description = "It is the default.", body = DefaultModel), SetDefaultErrors)
)]
pub async fn set_default_model(
    State(state): State<AppState>,
    extract::Json(request): extract::Json<DefaultModel>,
) -> Result<Json<DefaultModel>, ApiError> {
    write(&state, Some(request.name.clone())).await?;
    Ok(Json(request))
}

/// Have no default model
///
/// Requests that name no model are answered by the only classifier, if there is one.
#[utoipa::path(
    delete, path = "/default-model", operation_id = "clear_default_model", tag = "models",
    responses((status = 204, description = "There is none."), ClearDefaultErrors)
)]
pub async fn clear_default_model(State(state): State<AppState>) -> Result<StatusCode, ApiError> {
    write(&state, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn write(state: &AppState, name: Option<ModelName>) -> Result<(), ApiError> {
    let store = state.registry.store().clone();
    spawn_blocking(move || store.set_default_model(name.as_ref())).await.map_err(ApiError::internal)??;
    Ok(state.registry.scan().await?)
}
