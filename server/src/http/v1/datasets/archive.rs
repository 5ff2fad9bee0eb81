//! A data set as an archive.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use super::path::DatasetPath;
use crate::datasets::stored::Archive;
use crate::http::extract::Query;
use crate::http::problem::{ApiError, documents};
use crate::http::state::AppState;
use crate::http::written;

/// Which images.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ArchiveQuery {
    /// The number of a snapshot [default: the images as they are now].
    #[param(nullable = false, example = 3)]
    snapshot: Option<u32>,
}

/// The bytes of a zip archive.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes the answer")]
pub struct ArchiveContent(Vec<u8>);

documents! {
    /// The errors of `GET /datasets/{name}/archive`.
    GetArchiveErrors: InvalidParameter, DatasetNotFound, SnapshotNotFound, DatasetsUnavailable
}

/// Get a data set as a zip
///
/// A folder for each class, in folders for the subsets where an archive gave them. Where an image has several classes or none,
/// all images are in one folder, beside a table `labels.csv` with a column of 0 and 1 for each class. `graft finetune --data`
/// reads both.
#[utoipa::path(
    get, path = "/datasets/{name}/archive", operation_id = "get_dataset_archive", tag = "datasets",
    params(DatasetPath, ArchiveQuery),
    responses(
        (status = 200, description = "The archive.", body = ArchiveContent, content_type = "application/zip"),
        GetArchiveErrors
    )
)]
pub async fn get_archive(
    State(state): State<AppState>,
    DatasetPath { name }: DatasetPath,
    Query(query): Query<ArchiveQuery>,
) -> Result<Response, ApiError> {
    let (images, file_name) = match query.snapshot {
        None => (state.datasets.content(&name).await?, format!("{name}.zip")),
        Some(number) => (state.datasets.snapshot_images(&name, number).await?, format!("{name}-{number}.zip")),
    };
    let folder = state.datasets.folder(&name);
    let archive = spawn_blocking(move || Archive::new(&folder, &images)).await.map_err(ApiError::internal)?;
    let archive = archive.map_err(|error| ApiError::internal(Box::new(error)))?;
    let body = written::body(archive.length(), move |to| archive.write(to));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{file_name}\""));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/zip")),
        (header::CONTENT_DISPOSITION, disposition.map_err(ApiError::internal)?),
    ];
    Ok((headers, body).into_response())
}
