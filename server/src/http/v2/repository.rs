//! Which models there are, in the words of Triton's model repository.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::extract::parse_json;
use crate::http::problem::{ApiError, Code, ERROR_TEXT, documents};
use crate::http::state::AppState;
use crate::inference::{ModelState, ModelStatus};

/// Which models are wanted.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct RepositoryIndexRequest {
    /// Only those that answer.
    #[serde(default)]
    #[schema(default = false, example = true)]
    pub(crate) ready: bool,
}

/// A version of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RepositoryModel {
    /// What requests call the model.
    #[schema(example = "flowers")]
    pub(crate) name: String,
    /// Its number, as text.
    #[schema(example = "3")]
    pub(crate) version: String,
    /// Whether it answers.
    pub(crate) state: RepositoryState,
    /// Why it is unavailable; else empty.
    #[schema(example = "")]
    pub(crate) reason: String,
}

/// Whether a version answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RepositoryState {
    /// It does, if need be after it was loaded.
    Ready,
    /// `reason` says why it does not.
    Unavailable,
    /// It is being loaded and tested.
    Loading,
}

impl RepositoryState {
    /// Triton's word for it.
    #[cfg(feature = "grpc")]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::Unavailable => "UNAVAILABLE",
            Self::Loading => "LOADING",
        }
    }
}

documents! {
    /// The errors of `POST /v2/repository/index`.
    IndexErrors as ERROR_TEXT:
        InvalidJson, InvalidBody, BodyUnreadable, BodyTooLarge, BodyTimeout, ServerBusy
}

/// List the versions of all models (Open Inference Protocol)
///
/// Whether each answers, and why it does not. The body may be left out.
#[utoipa::path(
    post, path = "/v2/repository/index", operation_id = "v2_list_repository", tag = "inference-protocol",
    request_body(content = RepositoryIndexRequest, content_type = "application/json"),
    responses((status = 200, description = "The versions.", body = Vec<RepositoryModel>), IndexErrors)
)]
pub async fn v2_list_repository(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<Vec<RepositoryModel>>, ApiError> {
    let wanted = body(request, &state).await?;
    Ok(Json(index(&state, &wanted)))
}

/// The versions of all models.
pub(crate) fn index(state: &AppState, wanted: &RepositoryIndexRequest) -> Vec<RepositoryModel> {
    let versions = state.registry.list().into_iter().flat_map(|status| versions(&status));
    versions.filter(|version| !wanted.ready || version.state == RepositoryState::Ready).collect()
}

/// JSON, or nothing at all.
pub(super) async fn body<T: Default + serde::de::DeserializeOwned>(
    request: Request,
    state: &AppState,
) -> Result<T, ApiError> {
    let bytes = Bytes::from_request(request, state).await;
    let bytes = bytes.map_err(|rejection| ApiError::new(Code::BodyUnreadable, rejection.body_text()))?;
    if bytes.is_empty() {
        return Ok(T::default());
    }
    // serde takes a list for a structure as well, field by field.
    let fields: Map<String, Value> = parse_json(&bytes)?;
    serde_json::from_value(Value::Object(fields)).map_err(|error| ApiError::new(Code::InvalidBody, error.to_string()))
}

/// Each version of a model; of them, one at most answers.
fn versions(status: &ModelStatus) -> Vec<RepositoryModel> {
    let version = |version: &u32| {
        let (state, reason) = version_state(status, *version);
        RepositoryModel { name: status.name.to_string(), version: version.to_string(), state, reason }
    };
    status.versions.iter().map(version).collect()
}

fn version_state(status: &ModelStatus, version: u32) -> (RepositoryState, String) {
    if status.serving == Some(version) {
        return (RepositoryState::Ready, String::new());
    }
    let reason = || status.reason.clone().unwrap_or("it cannot serve".to_owned());
    let live = status.live == Some(version);
    match status.state {
        ModelState::Loading if live => (RepositoryState::Loading, String::new()),
        ModelState::Failed if live => (RepositoryState::Unavailable, reason()),
        ModelState::Backbone => (RepositoryState::Unavailable, "a backbone without classes".to_owned()),
        // Triton's word for a model that was unloaded by hand.
        ModelState::Stopped => (RepositoryState::Unavailable, "unloaded".to_owned()),
        _ => (RepositoryState::Unavailable, "another version answers".to_owned()),
    }
}
