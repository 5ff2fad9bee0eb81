//! Whether the server and its models are ready, and what the server is.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::target::ModelTarget;
use crate::http::extract::Path;
use crate::http::problem::{ApiError, Code, ERROR_TEXT, documents};
use crate::http::state::AppState;
use crate::http::v1::health::check_ready;
use crate::inference::{ModelState, ModelStatus};

/// The extensions of the protocol that the server has.
const EXTENSIONS: [&str; 5] =
    ["binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"];

/// That the server answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct V2Liveness {
    #[schema(example = true)]
    live: bool,
}

/// That the server should be sent requests. The protocol's text calls the field `live`, its servers call it `ready`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct V2Readiness {
    #[schema(example = true)]
    live: bool,
    #[schema(example = true)]
    ready: bool,
}

/// That a model answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct V2ModelReadiness {
    /// What requests call the model.
    #[schema(example = "flowers")]
    name: String,
    #[schema(example = true)]
    ready: bool,
}

/// Name, version and extensions of the server.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ServerMetadata {
    /// `graft`.
    #[schema(example = "graft")]
    pub(crate) name: &'static str,
    /// The version of graft.
    #[schema(example = "0.2.0")]
    pub(crate) version: &'static str,
    /// The extensions of the protocol that it has.
    #[schema(value_type = Vec<String>, example = json!(["classification", "binary_tensor_data"]))]
    pub(crate) extensions: [&'static str; 5],
}

documents! {
    /// Nothing of its own.
    LivenessErrors as ERROR_TEXT:
}

documents! {
    /// Not yet, or not any more.
    ReadinessErrors as ERROR_TEXT: NotReady, ShuttingDown
}

documents! {
    /// The errors of `GET /v2/models/{model}/ready`.
    ModelReadinessErrors as ERROR_TEXT: ModelNotFound, VersionNotServed, NotAClassifier, ModelLoading, ModelFailed
}

/// Whether the server answers at all (Open Inference Protocol)
///
/// As `GET /health/live`.
#[utoipa::path(
    get, path = "/v2/health/live", operation_id = "v2_get_liveness", tag = "inference-protocol",
    responses((status = 200, description = "It does.", body = V2Liveness), LivenessErrors)
)]
pub async fn v2_get_liveness() -> Json<V2Liveness> {
    Json(V2Liveness { live: true })
}

/// Whether the server should be sent requests (Open Inference Protocol)
///
/// As `GET /health/ready`.
#[utoipa::path(
    get, path = "/v2/health/ready", operation_id = "v2_get_readiness", tag = "inference-protocol",
    responses((status = 200, description = "It should.", body = V2Readiness), ReadinessErrors)
)]
pub async fn v2_get_readiness(State(state): State<AppState>) -> Result<Json<V2Readiness>, ApiError> {
    check_ready(&state)?;
    Ok(Json(V2Readiness { live: true, ready: true }))
}

/// Describe the server (Open Inference Protocol)
///
/// Its name, version, and the extensions of the protocol that it has.
#[utoipa::path(
    get, path = "/v2", operation_id = "v2_get_server", tag = "inference-protocol",
    responses((status = 200, description = "The server.", body = ServerMetadata), LivenessErrors)
)]
pub async fn v2_get_server() -> Json<ServerMetadata> {
    Json(ServerMetadata::current())
}

/// Whether a model answers (Open Inference Protocol)
///
/// A model that a memory budget has unloaded does: the first request has it loaded.
#[utoipa::path(
    get, path = "/v2/models/{model}/ready", operation_id = "v2_get_model_readiness", tag = "inference-protocol",
    params(("model" = String, Path, description = "The model's name.", example = "flowers")),
    responses((status = 200, description = "It does.", body = V2ModelReadiness), ModelReadinessErrors)
)]
pub async fn v2_get_model_readiness(
    State(state): State<AppState>,
    Path(model): Path<String>,
) -> Result<Json<V2ModelReadiness>, ApiError> {
    ready(&state, &ModelTarget::live(model))
}

/// Whether a version of a model answers (Open Inference Protocol)
///
/// One version of a model does.
#[utoipa::path(
    get, path = "/v2/models/{model}/versions/{version}/ready", operation_id = "v2_get_version_readiness",
    tag = "inference-protocol",
    params(
        ("model" = String, Path, description = "The model's name.", example = "flowers"),
        ("version" = String, Path, description = "The version that answers.", example = "3"),
    ),
    responses((status = 200, description = "It does.", body = V2ModelReadiness), ModelReadinessErrors)
)]
pub async fn v2_get_version_readiness(
    State(state): State<AppState>,
    Path(target): Path<(String, String)>,
) -> Result<Json<V2ModelReadiness>, ApiError> {
    ready(&state, &ModelTarget::version(target))
}

impl ServerMetadata {
    /// This server.
    pub(crate) fn current() -> Self {
        Self { name: "graft", version: env!("CARGO_PKG_VERSION"), extensions: EXTENSIONS }
    }
}

fn ready(state: &AppState, target: &ModelTarget) -> Result<Json<V2ModelReadiness>, ApiError> {
    let status = target.find(state)?;
    check_answers(&status)?;
    Ok(Json(V2ModelReadiness { name: status.name.to_string(), ready: true }))
}

/// Whether a model answers; one that a memory budget has unloaded does.
///
/// # Errors
/// It does not, and why.
pub(crate) fn check_answers(status: &ModelStatus) -> Result<(), ApiError> {
    let name = &status.name;
    let reason = || status.reason.clone().map_or(String::new(), |reason| format!(": {reason}"));
    match status.state {
        state if state.answers() => Ok(()),
        ModelState::Backbone => Err(Code::NotAClassifier.into()),
        ModelState::Failed => Err(ApiError::new(Code::ModelFailed, format!("model `{name}` cannot serve{}", reason()))),
        ModelState::Stopped => {
            Err(ApiError::new(Code::ModelUnloaded, format!("model `{name}` does not answer: it was unloaded")))
        }
        _ => Err(ApiError::new(Code::ModelLoading, format!("model `{name}` does not answer yet{}", reason()))),
    }
}
