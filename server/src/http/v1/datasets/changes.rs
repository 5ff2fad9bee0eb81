//! Changes of many images at once.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use trainer::data::Checksum;
use utoipa::ToSchema;

use super::images::{DatasetImage, new_label};
use super::path::{DatasetPath, image_id};
use crate::datasets::stored::{ImageEdit, SubsetChoice};
use crate::http::extract;
use crate::http::problem::{ApiError, documents};
use crate::http::state::AppState;

/// Images that are to be in another class, in another subset, or both. What is left out stays.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageMove {
    /// The ids of the images.
    #[schema(example = json!(["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]))]
    images: Vec<String>,
    /// Their new label; several are separated by slashes, as in `rose/tulip`, and a slash alone is none.
    #[serde(default, deserialize_with = "extract::not_null")]
    #[schema(nullable = false, example = "tulip")]
    label: Option<String>,
    /// Their new subset.
    #[serde(default, deserialize_with = "extract::not_null")]
    #[schema(nullable = false)]
    subset: Option<SubsetChoice>,
}

/// The changed images, as they are now.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MovedImages {
    /// In the order of the request.
    pub data: Vec<DatasetImage>,
}

/// Images that are to go.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRemoval {
    /// The ids of the images.
    #[schema(example = json!(["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]))]
    images: Vec<String>,
}

documents! {
    /// The errors of `POST /datasets/{name}/move`.
    MoveImagesErrors:
        InvalidJson, BodyUnreadable, DatasetNotFound, ImageNotFound, BodyTooLarge, UnsupportedMediaType, InvalidBody,
        InvalidLabel, BodyTimeout, ServerBusy, DatasetsUnavailable, StorageFull
}

documents! {
    /// The errors of `POST /datasets/{name}/remove`.
    RemoveImagesErrors:
        InvalidJson, BodyUnreadable, DatasetNotFound, ImageNotFound, BodyTooLarge, UnsupportedMediaType, InvalidBody,
        BodyTimeout, ServerBusy, DatasetsUnavailable, StorageFull
}

/// Move images to another class or subset
///
/// All of them or, if one is not there, none.
#[utoipa::path(
    post, path = "/datasets/{name}/move", operation_id = "move_dataset_images", tag = "datasets",
    params(DatasetPath),
    request_body = ImageMove,
    responses((status = 200, description = "The images.", body = MovedImages), MoveImagesErrors)
)]
pub async fn move_images(
    State(state): State<AppState>,
    DatasetPath { name }: DatasetPath,
    extract::Json(request): extract::Json<ImageMove>,
) -> Result<Json<MovedImages>, ApiError> {
    let label = new_label(request.label.as_deref(), request.subset)?;
    let edit = ImageEdit { label: label.as_ref(), subset: request.subset };
    let moved = state.datasets.edit(&name, &ids(&request.images)?, &edit).await?;
    Ok(Json(MovedImages { data: moved.into_iter().map(DatasetImage::from).collect() }))
}

/// Remove images
///
/// All of them or, if one is not there, none. Snapshots that have them keep them.
#[utoipa::path(
    post, path = "/datasets/{name}/remove", operation_id = "remove_dataset_images", tag = "datasets",
    params(DatasetPath),
    request_body = ImageRemoval,
    responses((status = 204, description = "They are removed."), RemoveImagesErrors)
)]
pub async fn remove_images(
    State(state): State<AppState>,
    DatasetPath { name }: DatasetPath,
    extract::Json(request): extract::Json<ImageRemoval>,
) -> Result<StatusCode, ApiError> {
    state.datasets.remove(&name, &ids(&request.images)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn ids(images: &[String]) -> Result<Vec<Checksum>, ApiError> {
    images.iter().map(|id| image_id(id)).collect()
}
