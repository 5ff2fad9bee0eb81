//! A model's configuration, as Triton has it: `perf_analyzer` reads it before it sends anything.

use axum::Json;
use axum::extract::State;
use onnx::EngineKind;
use serde::Serialize;
use utoipa::ToSchema;

use super::metadata::{MetadataErrors, platform};
use super::output;
use super::target::{ModelTarget, description};
use super::tensors::{self, FP32, IMAGE, TensorMetadata};
use crate::http::extract::Path;
use crate::http::problem::ApiError;
use crate::http::state::AppState;

/// How a model is served, in the words of Triton's `ModelConfig`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelConfig {
    /// What requests call the model.
    #[schema(example = "flowers")]
    pub(crate) name: String,
    /// What runs it: `onnxruntime_onnx` or `tract_onnx`.
    #[schema(example = "onnxruntime_onnx")]
    pub(crate) platform: &'static str,
    /// What runs it: `onnxruntime` or `tract`.
    #[schema(example = "onnxruntime")]
    pub(crate) backend: &'static str,
    /// Which versions answer.
    pub(crate) version_policy: VersionPolicy,
    /// The most images of a request; the server runs them in batches of its own.
    #[schema(example = 64)]
    pub(crate) max_batch_size: usize,
    /// What it takes.
    pub(crate) input: Vec<ConfigTensor>,
    /// What it gives.
    pub(crate) output: Vec<ConfigTensor>,
    /// Requests that wait are run together.
    dynamic_batching: DynamicBatching,
}

/// The versions that answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VersionPolicy {
    pub(crate) specific: SpecificVersions,
}

/// The versions that answer, by number.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SpecificVersions {
    #[schema(example = json!([3]))]
    pub(crate) versions: Vec<u32>,
}

/// Without settings: the server waits for no further requests.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DynamicBatching {}

/// A tensor, without its batch.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConfigTensor {
    /// What requests call it.
    #[schema(example = "input")]
    pub(crate) name: &'static str,
    /// What its elements are.
    #[schema(example = "TYPE_FP32")]
    pub(crate) data_type: &'static str,
    /// Its sizes; -1 where any size is taken.
    #[schema(example = json!([3, 224, 224]))]
    pub(crate) dims: Vec<i64>,
    /// Whether a request may do without; only there where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = true)]
    pub(crate) optional: Option<bool>,
}

/// Show the configuration of a model (Open Inference Protocol)
///
/// In the words of Triton's model configuration.
#[utoipa::path(
    get, path = "/v2/models/{model}/config", operation_id = "v2_get_config", tag = "inference-protocol",
    params(("model" = String, Path, description = "The model's name.", example = "flowers")),
    responses((status = 200, description = "The configuration.", body = ModelConfig), MetadataErrors)
)]
pub async fn v2_get_config(
    State(state): State<AppState>,
    Path(model): Path<String>,
) -> Result<Json<ModelConfig>, ApiError> {
    config(&state, &ModelTarget::live(model)).map(Json)
}

/// Show the configuration of a version (Open Inference Protocol)
///
/// The version must be the one that answers.
#[utoipa::path(
    get, path = "/v2/models/{model}/versions/{version}/config", operation_id = "v2_get_version_config",
    tag = "inference-protocol",
    params(
        ("model" = String, Path, description = "The model's name.", example = "flowers"),
        ("version" = String, Path, description = "The version that answers.", example = "3"),
    ),
    responses((status = 200, description = "The configuration.", body = ModelConfig), MetadataErrors)
)]
pub async fn v2_get_version_config(
    State(state): State<AppState>,
    Path(target): Path<(String, String)>,
) -> Result<Json<ModelConfig>, ApiError> {
    config(&state, &ModelTarget::version(target)).map(Json)
}

/// How a model is served.
///
/// # Errors
/// There is no such model, or nothing is known of it yet.
pub(crate) fn config(state: &AppState, target: &ModelTarget) -> Result<ModelConfig, ApiError> {
    let status = target.find(state)?;
    let (description, classes) = description(&status)?;
    Ok(ModelConfig {
        name: status.name.to_string(),
        platform: platform(state.engine.kind),
        backend: match state.engine.kind {
            EngineKind::Ort => "onnxruntime",
            EngineKind::Tract => "tract",
        },
        version_policy: VersionPolicy { specific: SpecificVersions { versions: status.serving.into_iter().collect() } },
        max_batch_size: state.limits.images,
        input: tensors::inputs(&description.spec.preprocess).map(ConfigTensor::of).into(),
        output: output::outputs(&description.spec.scores, classes).into_iter().map(ConfigTensor::of).collect(),
        dynamic_batching: DynamicBatching {},
    })
}

impl ConfigTensor {
    fn of(tensor: TensorMetadata) -> Self {
        let TensorMetadata { name, datatype, shape } = tensor;
        let data_type = if datatype == FP32 { "TYPE_FP32" } else { "TYPE_STRING" };
        // One of the two inputs has to be there; clients that make up their data fill those that are not optional.
        Self { name, data_type, dims: shape[1..].to_vec(), optional: (name == IMAGE).then_some(true) }
    }
}
