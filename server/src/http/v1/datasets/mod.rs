//! Stored data sets: make, look at and delete them.

pub mod archive;
pub mod changes;
pub mod findings;
pub mod images;
mod path;
pub mod snapshots;
pub mod uploads;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::datasets::DatasetName;
use crate::datasets::stored::{ClassCount, DatasetDetail, DatasetRecord, SnapshotRecord};
use crate::http::extract;
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use path::DatasetPath;

/// A new data set.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDataset {
    /// Its name: letters, digits, `.`, `_` and `-`, not beginning with a dot.
    #[schema(value_type = String, example = "flowers", min_length = 1, max_length = 64)]
    name: DatasetName,
}

/// The stored data sets.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DatasetList {
    /// By name.
    pub data: Vec<DatasetRecord>,
}

/// A stored data set.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StoredDatasetDetail {
    /// What the list says.
    #[serde(flatten)]
    pub record: DatasetRecord,
    /// The labels of its images, sorted.
    pub classes: Vec<ClassCount>,
    /// Its snapshots, oldest first.
    pub snapshots: Vec<SnapshotRecord>,
}

documents! {
    /// The errors of `POST /datasets`.
    CreateDatasetErrors:
        InvalidJson, BodyUnreadable, DatasetExists, BodyTooLarge, UnsupportedMediaType, InvalidBody, DatasetLimit,
        BodyTimeout, ServerBusy, DatasetsUnavailable, StorageFull
}

documents! {
    /// The errors of `GET /datasets`.
    ListDatasetsErrors: DatasetsUnavailable
}

documents! {
    /// The errors of `GET /datasets/{name}`.
    GetDatasetErrors: DatasetNotFound, DatasetsUnavailable
}

documents! {
    /// The errors of `DELETE /datasets/{name}`.
    DeleteDatasetErrors: DatasetNotFound, DatasetInUse, DatasetsUnavailable, JobsUnavailable, StorageFull
}

/// Make a data set
///
/// It has no images yet: add them with `POST /datasets/{name}/images`.
#[utoipa::path(
    post, path = "/datasets", operation_id = "create_dataset", tag = "datasets",
    request_body = NewDataset,
    responses(
        (status = 201, description = "It is made.", body = DatasetRecord,
         headers(("Location" = String, description = "The address of the data set."))),
        CreateDatasetErrors
    )
)]
pub async fn create_dataset(
    State(state): State<AppState>,
    extract::Json(request): extract::Json<NewDataset>,
) -> Result<(StatusCode, [(header::HeaderName, HeaderValue); 1], Json<DatasetRecord>), ApiError> {
    let record = state.datasets.create(&request.name).await?;
    let location = HeaderValue::try_from(format!("/datasets/{}", record.name)).map_err(ApiError::internal)?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(record)))
}

/// List the data sets
///
/// By name. Published data sets that the server has fetched are not among them.
#[utoipa::path(
    get, path = "/datasets", operation_id = "list_datasets", tag = "datasets",
    responses((status = 200, description = "All data sets.", body = DatasetList), ListDatasetsErrors)
)]
pub async fn list_datasets(State(state): State<AppState>) -> Result<Json<DatasetList>, ApiError> {
    Ok(Json(DatasetList { data: state.datasets.list().await? }))
}

/// Describe a data set
///
/// With its classes as they are now, and its snapshots.
#[utoipa::path(
    get, path = "/datasets/{name}", operation_id = "get_dataset", tag = "datasets",
    params(DatasetPath),
    responses((status = 200, description = "The data set.", body = StoredDatasetDetail), GetDatasetErrors)
)]
pub async fn get_dataset(
    State(state): State<AppState>,
    DatasetPath { name }: DatasetPath,
) -> Result<Json<StoredDatasetDetail>, ApiError> {
    let DatasetDetail { record, classes, snapshots } = state.datasets.get(&name).await?;
    Ok(Json(StoredDatasetDetail { record, classes, snapshots }))
}

/// Delete a data set
///
/// With all images and snapshots, unless a job that waits or runs uses it. Models that were made of it stay.
#[utoipa::path(
    delete, path = "/datasets/{name}", operation_id = "delete_dataset", tag = "datasets",
    params(DatasetPath),
    responses((status = 204, description = "It is deleted."), DeleteDatasetErrors)
)]
pub async fn delete_dataset(
    State(state): State<AppState>,
    DatasetPath { name }: DatasetPath,
) -> Result<StatusCode, ApiError> {
    // Without their database no job runs.
    if let Ok(jobs) = state.jobs.ready()
        && let Some(job) = jobs.using(&name).await?
    {
        let detail = format!("the job {job} uses the data set `{name}`; wait until it has ended, or cancel it");
        return Err(ApiError::new(Code::DatasetInUse, detail));
    }
    state.datasets.delete(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
