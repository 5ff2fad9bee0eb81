//! The versions of a model: look at them, fetch their files, delete them.

mod download;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use trainer::quantize::VariantKind;
use utoipa::{IntoParams, ToSchema};

use super::VersionDetails;
use super::path::{ModelPath, VersionPath};
use crate::http::extract::Query;
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::inference::ModelDescription;
use crate::store::{DeleteGuard, ModelName, ModelSettings, ModelStore, StoreError};
pub use download::*;

/// A version of a model in short.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VersionSummary {
    /// Its number.
    #[schema(example = 3)]
    pub version: u32,
    /// Whether it is to answer.
    #[schema(example = true)]
    pub live: bool,
    /// Whether it answers copies of requests.
    #[schema(example = false)]
    pub shadow: bool,
    /// When it was published; missing from versions of graft 0.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime, example = "2026-11-23T18:52:40.871Z")]
    pub published_at: Option<Timestamp>,
    /// The job that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55")]
    pub job: Option<String>,
    /// The size of its ONNX file.
    #[schema(example = 4_955_004)]
    pub bytes: u64,
    /// Its variants, of which the server takes the fastest that is good enough.
    #[schema(value_type = Vec<String>, example = json!(["f32", "fp16", "int8"]))]
    pub variants: Vec<VariantKind>,
    /// How many of its test images it had right when a fine-tune made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 0.924)]
    pub test_top1: Option<f64>,
    /// What people note about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Trained without the pictures of March.")]
    pub notes: Option<String>,
}

/// The versions of a model.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VersionList {
    /// Newest first.
    pub data: Vec<VersionSummary>,
}

/// A version with all that it says of itself.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelVersion {
    /// The version in short.
    #[serde(flatten)]
    pub summary: VersionSummary,
    /// What kind of network it is.
    #[schema(example = "squeezenet")]
    pub architecture: String,
    /// What it says of itself.
    #[serde(flatten)]
    pub details: VersionDetails,
}

/// Whether a live version may go.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteQuery {
    /// Delete it although it is live: the newest of the others answers then, or none.
    #[serde(default)]
    #[param(default = false, example = false)]
    force: bool,
}

documents! {
    /// The name names nothing.
    ListVersionsErrors: ModelNotFound
}

documents! {
    /// The name or the number names nothing.
    GetVersionErrors: ModelNotFound
}

documents! {
    /// The errors of `DELETE /models/{name}/versions/{version}`.
    DeleteVersionErrors: InvalidParameter, ModelNotFound, VersionIsLive, ModelIsBuiltIn, StorageFull
}

/// List the versions of a model
///
/// Newest first.
#[utoipa::path(
    get, path = "/models/{name}/versions", operation_id = "list_versions", tag = "models",
    params(ModelPath),
    responses((status = 200, description = "All versions.", body = VersionList), ListVersionsErrors)
)]
pub async fn list_versions(
    State(state): State<AppState>,
    ModelPath { name }: ModelPath,
) -> Result<Json<VersionList>, ApiError> {
    let store = state.registry.store().clone();
    let list = move || {
        let versions = store.versions(&name)?;
        if versions.is_empty() {
            // Names the models that there are.
            store.resolve(&name, None)?;
        }
        let settings = store.settings(&name)?;
        let found =
            StoredVersions { store: &store, name: &name, settings: &settings, newest: versions.last().copied() };
        versions.iter().rev().map(|&version| found.summary(version)).collect::<Result<Vec<_>, StoreError>>()
    };
    let data = spawn_blocking(list).await.map_err(ApiError::internal)??;
    Ok(Json(VersionList { data }))
}

/// Describe a version of a model
///
/// Its classes, preprocessing, training and report, as `GET /models/{name}` has them of the version that answers.
#[utoipa::path(
    get, path = "/models/{name}/versions/{version}", operation_id = "get_version", tag = "models",
    params(VersionPath),
    responses((status = 200, description = "The version.", body = ModelVersion), GetVersionErrors)
)]
pub async fn get_version(State(state): State<AppState>, path: VersionPath) -> Result<Json<ModelVersion>, ApiError> {
    read_version(&state, path).await.map(Json)
}

/// What there is to say about a version.
pub(super) async fn read_version(state: &AppState, path: VersionPath) -> Result<ModelVersion, ApiError> {
    let store = state.registry.store().clone();
    let read = move || {
        let VersionPath { name, version } = path;
        let spec = store.spec(&name, version)?;
        let report = store.report(&name, version)?;
        let (settings, newest) = (store.settings(&name)?, store.latest(&name)?);
        let summary = StoredVersions { store: &store, name: &name, settings: &settings, newest }.summary(version)?;
        let architecture = spec.architecture.clone();
        let details = VersionDetails::from(&ModelDescription { version, spec, report });
        Ok::<_, StoreError>(ModelVersion { summary, architecture, details })
    };
    Ok(spawn_blocking(read).await.map_err(ApiError::internal)??)
}

/// Delete a version of a model
///
/// Its number is not given again. The live version stays unless `force` says otherwise.
#[utoipa::path(
    delete, path = "/models/{name}/versions/{version}", operation_id = "delete_version", tag = "models",
    params(VersionPath, DeleteQuery),
    responses((status = 204, description = "It is deleted."), DeleteVersionErrors)
)]
pub async fn delete_version(
    State(state): State<AppState>,
    VersionPath { name, version }: VersionPath,
    Query(query): Query<DeleteQuery>,
) -> Result<StatusCode, ApiError> {
    let serving = state.registry.get(name.as_str()).and_then(|status| status.serving);
    if !query.force && serving == Some(version) {
        return Err(ApiError::new(Code::VersionIsLive, StoreError::Live { name, version }.to_string()));
    }
    let store = state.registry.store().clone();
    let guard = if query.force { DeleteGuard::AnyVersion } else { DeleteGuard::KeepLive };
    spawn_blocking(move || store.delete(&name, version, guard)).await.map_err(ApiError::internal)??;
    state.registry.scan().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A model in the store.
struct StoredVersions<'a> {
    store: &'a ModelStore,
    name: &'a ModelName,
    settings: &'a ModelSettings,
    newest: Option<u32>,
}

impl StoredVersions<'_> {
    fn summary(&self, version: u32) -> Result<VersionSummary, StoreError> {
        let Self { store, name, settings, newest } = self;
        let manifest = store.manifest(name, version);
        let others = manifest.iter().flat_map(|manifest| manifest.variants.iter().map(|record| record.variant));
        let variants = std::iter::once(VariantKind::F32).chain(others).collect();
        let test = store.report(name, version)?.map(|report| report.test).filter(|test| test.images > 0);
        Ok(VersionSummary {
            version,
            live: settings.live_of(newest.as_slice()) == Some(version),
            shadow: settings.shadow.is_some_and(|shadow| shadow.version == version),
            published_at: manifest.as_ref().map(|manifest| manifest.published_at),
            job: manifest.as_ref().and_then(|manifest| manifest.job.clone()).map(|job| job.id),
            bytes: store.file_size(name, version)?,
            variants,
            test_top1: test.map(|test| test.top1),
            notes: settings.versions.get(&version).and_then(|version| version.notes.clone()),
        })
    }
}
