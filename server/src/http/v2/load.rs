//! Loading and unloading models, in the words of Triton's model repository.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::IgnoredAny;
use utoipa::ToSchema;

use super::health::check_answers;
use super::repository::body;
use super::target::ModelTarget;
use crate::http::extract::Path;
use crate::http::middleware::deadline::Deadline;
use crate::http::problem::{ApiError, Code, ERROR_TEXT, documents};
use crate::http::state::AppState;

/// How to load or unload a model.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct RepositoryChange {
    /// Of those that Triton has, `config` and `file:…` are refused, and others are passed over: a model is stored with what it
    /// needs.
    #[serde(default)]
    #[schema(value_type = Object)]
    parameters: BTreeMap<String, IgnoredAny>,
}

documents! {
    /// The errors of `POST /v2/repository/models/{model}/load`.
    LoadErrors as ERROR_TEXT:
        InvalidJson, InvalidBody, ModelNotFound, NotAClassifier, BodyUnreadable, BodyTooLarge, ModelLoading, ModelFailed,
        StorageFull, BodyTimeout, ServerBusy
}

documents! {
    /// The errors of `POST /v2/repository/models/{model}/unload`.
    UnloadErrors as ERROR_TEXT:
        InvalidJson, InvalidBody, ModelNotFound, BodyUnreadable, BodyTooLarge, StorageFull, BodyTimeout, ServerBusy
}

/// Load a model (Open Inference Protocol)
///
/// As `POST /models/{name}/load`. The body may be left out.
#[utoipa::path(
    post, path = "/v2/repository/models/{model}/load", operation_id = "v2_load_model", tag = "inference-protocol",
    params(("model" = String, Path, description = "The model's name.", example = "flowers")),
    request_body(content = RepositoryChange, content_type = "application/json"),
    responses((status = 200, description = "It answers."), LoadErrors)
)]
pub async fn v2_load_model(
    State(state): State<AppState>,
    Path(model): Path<String>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let target = ModelTarget::live(model);
    target.find(&state)?;
    let deadline = request.extensions().get::<Deadline>().copied();
    let RepositoryChange { parameters } = body(request, &state).await?;
    load(&state, &target, LoadOptions { deadline, parameters: parameters.into_keys().collect() }).await?;
    Ok(StatusCode::OK)
}

/// Unload a model (Open Inference Protocol)
///
/// As `POST /models/{name}/unload`. The body may be left out.
#[utoipa::path(
    post, path = "/v2/repository/models/{model}/unload", operation_id = "v2_unload_model", tag = "inference-protocol",
    params(("model" = String, Path, description = "The model's name.", example = "flowers")),
    request_body(content = RepositoryChange, content_type = "application/json"),
    responses((status = 200, description = "It does not answer any more."), UnloadErrors)
)]
pub async fn v2_unload_model(
    State(state): State<AppState>,
    Path(model): Path<String>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let target = ModelTarget::live(model);
    target.find(&state)?;
    let RepositoryChange { .. } = body(request, &state).await?;
    unload(&state, &target).await?;
    Ok(StatusCode::OK)
}

/// How to load a model.
pub(crate) struct LoadOptions {
    /// When to stop waiting for it.
    pub(crate) deadline: Option<Deadline>,
    /// The names of the parameters that the client sends.
    pub(crate) parameters: Vec<String>,
}

/// Loads a model, and waits until it answers.
///
/// # Errors
/// There is no such model, it does not answer, or it is to be loaded otherwise than it is stored.
pub(crate) async fn load(state: &AppState, target: &ModelTarget, options: LoadOptions) -> Result<(), ApiError> {
    let LoadOptions { deadline, parameters } = options;
    let name = target.find(state)?.name;
    if let Some(name) = parameters.iter().find(|name| *name == "config" || name.starts_with("file:")) {
        let detail = format!("parameters.{name}: a model is loaded as it is stored; `POST /models` stores another");
        return Err(ApiError::new(Code::InvalidBody, detail));
    }
    let latest = Instant::now() + state.limits.request_timeout;
    let deadline = deadline.map_or(latest, |deadline| deadline.0);
    let status = state.registry.load_by_hand(&name, deadline).await?.ok_or(Code::ModelNotFound)?;
    check_answers(&status)
}

/// Unloads a model.
///
/// # Errors
/// There is no such model, or that it is unloaded cannot be written down.
pub(crate) async fn unload(state: &AppState, target: &ModelTarget) -> Result<(), ApiError> {
    let name = target.find(state)?.name;
    state.registry.unload_by_hand(&name).await?.ok_or(Code::ModelNotFound)?;
    Ok(())
}
