//! What models have done, as sums: `perf_analyzer` reads them before and after.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::target::ModelTarget;
use crate::http::extract::Path;
use crate::http::problem::{ApiError, ERROR_TEXT, documents};
use crate::http::state::AppState;
use crate::metrics::{DurationSum, RunStatistics, VersionStatistics};

/// What models have done since the server started.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelStatistics {
    /// By name and version. A version that no longer answers keeps its sums.
    pub(crate) model_stats: Vec<ModelStatistic>,
}

/// What a version has done.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelStatistic {
    /// What requests call the model.
    #[schema(example = "flowers")]
    pub(crate) name: String,
    /// Its number, as text.
    #[schema(example = "3")]
    pub(crate) version: String,
    /// When it last ran, in milliseconds since 1970; 0 if it has not.
    #[schema(example = 1_764_489_600_000_u64)]
    pub(crate) last_inference: u64,
    /// Images that were answered.
    #[schema(example = 120)]
    pub(crate) inference_count: u64,
    /// Runs of the model, each of one image or several.
    #[schema(example = 40)]
    pub(crate) execution_count: u64,
    /// Requests by their end, and images by their stages.
    pub(crate) inference_stats: InferenceStatistics,
    /// Runs by how many images were in them.
    pub(crate) batch_stats: Vec<BatchStatistic>,
}

/// Requests by their end, and images by their stages. Each image counts with the whole duration of the run it was in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InferenceStatistics {
    /// Requests that were answered.
    pub(crate) success: DurationStatistic,
    /// Requests that were refused or failed, those for which the queue was full included.
    pub(crate) fail: DurationStatistic,
    /// Images that waited.
    pub(crate) queue: DurationStatistic,
    /// Images that were decoded and resized.
    pub(crate) compute_input: DurationStatistic,
    /// Images that were run.
    pub(crate) compute_infer: DurationStatistic,
    /// Always 0: outputs are read within the run.
    pub(crate) compute_output: DurationStatistic,
    /// Always 0: no answer is cached.
    pub(crate) cache_hit: DurationStatistic,
    /// Always 0: no answer is cached.
    pub(crate) cache_miss: DurationStatistic,
}

/// Runs of one size.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BatchStatistic {
    /// Images in each run.
    #[schema(example = 4)]
    pub(crate) batch_size: usize,
    /// Always 0: images are prepared one by one, before they are in a run.
    pub(crate) compute_input: DurationStatistic,
    /// The runs themselves.
    pub(crate) compute_infer: DurationStatistic,
    /// Always 0: outputs are read within the run.
    pub(crate) compute_output: DurationStatistic,
}

/// How often, and how long together.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub struct DurationStatistic {
    /// How often.
    #[schema(example = 40)]
    pub(crate) count: u64,
    /// Nanoseconds.
    #[schema(example = 392_000_000)]
    pub(crate) ns: u64,
}

documents! {
    /// The errors of `GET /v2/models/{model}/stats`.
    StatisticsErrors as ERROR_TEXT: ModelNotFound, VersionNotServed
}

documents! {
    /// Nothing of its own.
    AllStatisticsErrors as ERROR_TEXT:
}

/// What all models have done (Open Inference Protocol)
///
/// Sums since the server started. They belong to the process: loading a model again does not set them back.
#[utoipa::path(
    get, path = "/v2/models/stats", operation_id = "v2_list_statistics", tag = "inference-protocol",
    responses((status = 200, description = "The sums.", body = ModelStatistics), AllStatisticsErrors)
)]
pub async fn v2_list_statistics(State(state): State<AppState>) -> Json<ModelStatistics> {
    Json(all_statistics(&state))
}

/// What a model has done (Open Inference Protocol)
///
/// All its versions that have answered since the server started.
#[utoipa::path(
    get, path = "/v2/models/{model}/stats", operation_id = "v2_get_statistics", tag = "inference-protocol",
    params(("model" = String, Path, description = "The model's name.", example = "flowers")),
    responses((status = 200, description = "The sums.", body = ModelStatistics), StatisticsErrors)
)]
pub async fn v2_get_statistics(
    State(state): State<AppState>,
    Path(model): Path<String>,
) -> Result<Json<ModelStatistics>, ApiError> {
    statistics(&state, &ModelTarget::live(model)).map(Json)
}

/// What a version has done (Open Inference Protocol)
///
/// The version must be the one that answers.
#[utoipa::path(
    get, path = "/v2/models/{model}/versions/{version}/stats", operation_id = "v2_get_version_statistics",
    tag = "inference-protocol",
    params(
        ("model" = String, Path, description = "The model's name.", example = "flowers"),
        ("version" = String, Path, description = "The version that answers.", example = "3"),
    ),
    responses((status = 200, description = "The sums.", body = ModelStatistics), StatisticsErrors)
)]
pub async fn v2_get_version_statistics(
    State(state): State<AppState>,
    Path(target): Path<(String, String)>,
) -> Result<Json<ModelStatistics>, ApiError> {
    statistics(&state, &ModelTarget::version(target)).map(Json)
}

/// What all models have done.
pub(crate) fn all_statistics(state: &AppState) -> ModelStatistics {
    collect(state, |_| true)
}

/// What a model has done: all its versions, or the one that is named.
///
/// # Errors
/// There is no such model, or the version is not the one that answers.
pub(crate) fn statistics(state: &AppState, target: &ModelTarget) -> Result<ModelStatistics, ApiError> {
    let serving = target.find(state)?.serving;
    let named = |version: &VersionStatistics| target.version.is_none() || Some(version.version) == serving;
    Ok(collect(state, |version| version.model == target.name && named(version)))
}

fn collect(state: &AppState, wanted: impl Fn(&VersionStatistics) -> bool) -> ModelStatistics {
    let versions = state.metrics.statistics().into_iter();
    ModelStatistics { model_stats: versions.filter(wanted).map(ModelStatistic::from).collect() }
}

impl From<VersionStatistics> for ModelStatistic {
    fn from(VersionStatistics { model, version, runs: statistics }: VersionStatistics) -> Self {
        let RunStatistics { last_run_ms, images, runs, succeeded, failed, queue, decode, inference, batches } =
            statistics;
        let none = DurationStatistic::default();
        let batch = |(batch_size, sum): (usize, DurationSum)| BatchStatistic {
            batch_size,
            compute_input: none,
            compute_infer: sum.into(),
            compute_output: none,
        };
        Self {
            name: model,
            version: version.to_string(),
            last_inference: last_run_ms,
            inference_count: images,
            execution_count: runs,
            inference_stats: InferenceStatistics {
                success: succeeded.into(),
                fail: failed.into(),
                queue: queue.into(),
                compute_input: decode.into(),
                compute_infer: inference.into(),
                compute_output: none,
                cache_hit: none,
                cache_miss: none,
            },
            batch_stats: batches.into_iter().map(batch).collect(),
        }
    }
}

impl From<DurationSum> for DurationStatistic {
    fn from(DurationSum { count, nanos }: DurationSum) -> Self {
        Self { count, ns: nanos }
    }
}
