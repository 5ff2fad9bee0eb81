//! Snapshots of a data set.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};

use super::path::{DatasetPath, dataset};
use crate::datasets::stored::SnapshotRecord;
use crate::http::extract::Path;
use crate::http::problem::{ApiError, documents};
use crate::http::state::AppState;

documents! {
    /// The errors of `POST /datasets/{name}/snapshots`.
    CreateSnapshotErrors: DatasetNotFound, DatasetsUnavailable, StorageFull
}

documents! {
    /// The errors of `GET /datasets/{name}/snapshots/{number}`.
    GetSnapshotErrors: DatasetNotFound, SnapshotNotFound, DatasetsUnavailable
}

/// Make a snapshot
///
/// Which images the data set has now, and their labels, for ever. If nothing has changed since the last snapshot, that one
/// is the answer. A fine-tune makes one when it is accepted.
#[utoipa::path(
    post, path = "/datasets/{name}/snapshots", operation_id = "create_dataset_snapshot", tag = "datasets",
    params(DatasetPath),
    responses(
        (status = 201, description = "The snapshot.", body = SnapshotRecord,
         headers(("Location" = String, description = "The address of the snapshot."))),
        CreateSnapshotErrors
    )
)]
pub async fn create_snapshot(
    State(state): State<AppState>,
    DatasetPath { name }: DatasetPath,
) -> Result<(StatusCode, [(HeaderName, HeaderValue); 1], Json<SnapshotRecord>), ApiError> {
    let snapshot = state.datasets.snapshot(&name).await?;
    let location = format!("/datasets/{name}/snapshots/{}", snapshot.number);
    let location = HeaderValue::try_from(location).map_err(ApiError::internal)?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(snapshot)))
}

/// Describe a snapshot
///
/// With its classes. `GET /datasets/{name}/archive?snapshot=` has its images.
#[utoipa::path(
    get, path = "/datasets/{name}/snapshots/{number}", operation_id = "get_dataset_snapshot", tag = "datasets",
    params(
        DatasetPath,
        ("number" = u32, Path, description = "The snapshot's number.", example = 3),
    ),
    responses((status = 200, description = "The snapshot.", body = SnapshotRecord), GetSnapshotErrors)
)]
pub async fn get_snapshot(
    State(state): State<AppState>,
    Path((name, number)): Path<(String, u32)>,
) -> Result<Json<SnapshotRecord>, ApiError> {
    Ok(Json(state.datasets.find_snapshot(&dataset(&name)?, number).await?))
}
