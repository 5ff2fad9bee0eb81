//! What a model takes and gives.

use axum::Json;
use axum::extract::State;
use onnx::EngineKind;
use serde::Serialize;
use utoipa::ToSchema;

use super::output;
use super::target::{ModelTarget, description};
use super::tensors::{self, TensorMetadata};
use crate::http::extract::Path;
use crate::http::problem::{ApiError, ERROR_TEXT, documents};
use crate::http::state::AppState;

/// A model's tensors.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelMetadata {
    /// What requests call the model.
    #[schema(example = "flowers")]
    pub(crate) name: String,
    /// The version that answers.
    #[schema(example = json!(["3"]))]
    pub(crate) versions: Vec<String>,
    /// What runs it: `onnxruntime_onnx` or `tract_onnx`.
    #[schema(example = "onnxruntime_onnx")]
    pub(crate) platform: &'static str,
    /// What it takes: prepared pixels (`input`) or whole image files (`image`), one of them.
    #[schema(value_type = Vec<TensorMetadata>)]
    pub(crate) inputs: [TensorMetadata; 2],
    /// What it gives.
    pub(crate) outputs: Vec<TensorMetadata>,
}

documents! {
    /// The errors of `GET /v2/models/{model}` and of its configuration.
    MetadataErrors as ERROR_TEXT: ModelNotFound, VersionNotServed, NotAClassifier, ModelLoading, ModelFailed
}

/// Describe a model's tensors (Open Inference Protocol)
///
/// `input` takes pixels that the client has resized and cropped itself, 0 to 255, red, green, blue, channels first. `image` takes
/// whole files (JPEG, PNG, WebP, GIF, BMP), which the server prepares. A request has one of them.
#[utoipa::path(
    get, path = "/v2/models/{model}", operation_id = "v2_get_model", tag = "inference-protocol",
    params(("model" = String, Path, description = "The model's name.", example = "flowers")),
    responses((status = 200, description = "The tensors.", body = ModelMetadata), MetadataErrors)
)]
pub async fn v2_get_model(
    State(state): State<AppState>,
    Path(model): Path<String>,
) -> Result<Json<ModelMetadata>, ApiError> {
    metadata(&state, &ModelTarget::live(model)).map(Json)
}

/// Describe the tensors of a version (Open Inference Protocol)
///
/// The version must be the one that answers.
#[utoipa::path(
    get, path = "/v2/models/{model}/versions/{version}", operation_id = "v2_get_version", tag = "inference-protocol",
    params(
        ("model" = String, Path, description = "The model's name.", example = "flowers"),
        ("version" = String, Path, description = "The version that answers.", example = "3"),
    ),
    responses((status = 200, description = "The tensors.", body = ModelMetadata), MetadataErrors)
)]
pub async fn v2_get_version(
    State(state): State<AppState>,
    Path(target): Path<(String, String)>,
) -> Result<Json<ModelMetadata>, ApiError> {
    metadata(&state, &ModelTarget::version(target)).map(Json)
}

/// What a model takes and gives.
///
/// # Errors
/// There is no such model, or nothing is known of it yet.
pub(crate) fn metadata(state: &AppState, target: &ModelTarget) -> Result<ModelMetadata, ApiError> {
    let status = target.find(state)?;
    let (description, classes) = description(&status)?;
    Ok(ModelMetadata {
        name: status.name.to_string(),
        versions: status.serving.iter().map(ToString::to_string).collect(),
        platform: platform(state.engine.kind),
        inputs: tensors::inputs(&description.spec.preprocess),
        outputs: output::outputs(&description.spec.scores, classes),
    })
}

/// The protocol's platforms are `<project>_<format>`.
pub(super) fn platform(engine: EngineKind) -> &'static str {
    match engine {
        EngineKind::Ort => "onnxruntime_onnx",
        EngineKind::Tract => "tract_onnx",
    }
}
