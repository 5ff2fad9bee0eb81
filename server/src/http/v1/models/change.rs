//! Notes about models and their versions, and the names of classes.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::Model;
use super::live::found;
use super::path::{ModelPath, VersionPath};
use super::versions::{ModelVersion, read_version};
use crate::http::extract::{self, not_null};
use crate::http::problem::{ApiError, documents};
use crate::http::state::AppState;
use crate::store::{LONGEST_NOTE, StoreError};

/// What is to change about a model.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelChange {
    /// Notes about it; an empty text removes them.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, max_length = 16384, example = "The shop window's camera; ask Ada before changing it.")]
    notes: Option<String>,
}

/// What is to change about a version.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionChange {
    /// Other names for its classes, in their order and as many as there are.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, example = json!(["daffodil", "snowdrop", "lily of the valley"]))]
    labels: Option<Vec<String>>,
    /// Notes about it; an empty text removes them.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, max_length = 16384, example = "Trained without the pictures of March.")]
    notes: Option<String>,
}

// The description of the interface can only have a number.
const _: () = assert!(LONGEST_NOTE == 16_384);

documents! {
    /// The errors of `PATCH /models/{name}`.
    ChangeModelErrors:
        InvalidJson, BodyUnreadable, ModelNotFound, BodyTooLarge, UnsupportedMediaType, InvalidBody, BodyTimeout,
        ServerBusy, StorageFull
}

documents! {
    /// The errors of `PATCH /models/{name}/versions/{version}`.
    ChangeVersionErrors:
        InvalidJson, BodyUnreadable, ModelNotFound, ModelIsBuiltIn, BodyTooLarge, UnsupportedMediaType, InvalidBody,
        LabelsRefused,
        BodyTimeout, ServerBusy, StorageFull
}

/// Change what is noted about a model
///
/// What people say of it; nothing about how it answers.
#[utoipa::path(
    patch, path = "/models/{name}", operation_id = "change_model", tag = "models",
    params(ModelPath), request_body = ModelChange,
    responses((status = 200, description = "The model as it is now.", body = Model), ChangeModelErrors)
)]
pub async fn change_model(
    State(state): State<AppState>,
    ModelPath { name }: ModelPath,
    extract::Json(change): extract::Json<ModelChange>,
) -> Result<Json<Model>, ApiError> {
    let (store, changed) = (state.registry.store().clone(), name.clone());
    let write = move || match &change.notes {
        Some(notes) => store.set_notes(&changed, notes),
        None => store.resolve(&changed, None).map(drop),
    };
    spawn_blocking(write).await.map_err(ApiError::internal)??;
    state.registry.scan().await?;
    found(state.registry.get(name.as_str()), &state)
}

/// Change the names of a version's classes, or what is noted about it
///
/// The names are in answers at once, and in its ONNX file never.
#[utoipa::path(
    patch, path = "/models/{name}/versions/{version}", operation_id = "change_version", tag = "models",
    params(VersionPath), request_body = VersionChange,
    responses((status = 200, description = "The version as it is now.", body = ModelVersion), ChangeVersionErrors)
)]
pub async fn change_version(
    State(state): State<AppState>,
    path: VersionPath,
    extract::Json(VersionChange { labels, notes }): extract::Json<VersionChange>,
) -> Result<Json<ModelVersion>, ApiError> {
    let (store, VersionPath { name, version }) = (state.registry.store().clone(), path.clone());
    let write = move || {
        if let Some(labels) = labels {
            store.set_labels(&name, version, labels)?;
        }
        if let Some(notes) = notes {
            store.set_version_notes(&name, version, &notes)?;
        }
        Ok::<_, StoreError>(())
    };
    spawn_blocking(write).await.map_err(ApiError::internal)??;
    state.registry.scan().await?;
    read_version(&state, path).await.map(Json)
}
