//! Which models there are, loading and unloading them.

use axum::Extension;
use axum::extract::State;

use super::calls::target;
use super::frame::Message;
use super::proto::{ModelIndex, Nothing, RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelRequest};
use crate::http::middleware::deadline::Deadline;
use crate::http::problem::ApiError;
use crate::http::state::AppState;
use crate::http::v2::load::{LoadOptions, load, unload};
use crate::http::v2::repository::{self, RepositoryModel};

pub(super) async fn repository_index(
    State(state): State<AppState>,
    Message(request): Message<RepositoryIndexRequest>,
) -> Message<RepositoryIndexResponse> {
    let versions = repository::index(&state, &repository::RepositoryIndexRequest { ready: request.ready });
    Message(RepositoryIndexResponse { models: versions.into_iter().map(ModelIndex::from).collect() })
}

pub(super) async fn repository_model_load(
    State(state): State<AppState>,
    Extension(deadline): Extension<Deadline>,
    Message(request): Message<RepositoryModelRequest>,
) -> Result<Message<Nothing>, ApiError> {
    let options = LoadOptions { deadline: Some(deadline), parameters: request.parameters.into_keys().collect() };
    load(&state, &target(request.model_name, String::new()), options).await?;
    Ok(Message(Nothing {}))
}

pub(super) async fn repository_model_unload(
    State(state): State<AppState>,
    Message(request): Message<RepositoryModelRequest>,
) -> Result<Message<Nothing>, ApiError> {
    unload(&state, &target(request.model_name, String::new())).await?;
    Ok(Message(Nothing {}))
}

impl From<RepositoryModel> for ModelIndex {
    fn from(RepositoryModel { name, version, state, reason }: RepositoryModel) -> Self {
        Self { name, version, state: state.name().to_owned(), reason }
    }
}
