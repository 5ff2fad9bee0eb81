//! What the server and its models are.

use axum::extract::State;

use super::config_proto::{
    ModelConfig, ModelConfigResponse, ModelDynamicBatching, ModelInput, ModelOutput, ModelVersionPolicy,
    SpecificVersions, data_type,
};
use super::frame::Message;
use super::proto::{
    ModelMetadataResponse, ModelReadyResponse, ModelRequest, ServerLiveResponse, ServerMetadataResponse,
    ServerReadyResponse, ServerRequest, TensorMetadata,
};
use crate::http::problem::ApiError;
use crate::http::state::AppState;
use crate::http::v1::health::check_ready;
use crate::http::v2::health::{ServerMetadata, check_answers};
use crate::http::v2::target::ModelTarget;
use crate::http::v2::tensors;
use crate::http::v2::{config, metadata};

pub(super) async fn server_live(Message(ServerRequest {}): Message<ServerRequest>) -> Message<ServerLiveResponse> {
    Message(ServerLiveResponse { live: true })
}

pub(super) async fn server_ready(
    State(state): State<AppState>,
    Message(ServerRequest {}): Message<ServerRequest>,
) -> Message<ServerReadyResponse> {
    Message(ServerReadyResponse { ready: check_ready(&state).is_ok() })
}

pub(super) async fn server_metadata(
    Message(ServerRequest {}): Message<ServerRequest>,
) -> Message<ServerMetadataResponse> {
    let ServerMetadata { name, version, extensions } = ServerMetadata::current();
    Message(ServerMetadataResponse {
        name: name.to_owned(),
        version: version.to_owned(),
        extensions: extensions.map(str::to_owned).into(),
    })
}

pub(super) async fn model_ready(
    State(state): State<AppState>,
    Message(request): Message<ModelRequest>,
) -> Result<Message<ModelReadyResponse>, ApiError> {
    let status = ModelTarget::from(request).find(&state)?;
    Ok(Message(ModelReadyResponse { ready: check_answers(&status).is_ok() }))
}

pub(super) async fn model_metadata(
    State(state): State<AppState>,
    Message(request): Message<ModelRequest>,
) -> Result<Message<ModelMetadataResponse>, ApiError> {
    let metadata::ModelMetadata { name, versions, platform, inputs, outputs } =
        metadata::metadata(&state, &request.into())?;
    Ok(Message(ModelMetadataResponse {
        name,
        versions,
        platform: platform.to_owned(),
        inputs: inputs.map(TensorMetadata::from).into(),
        outputs: outputs.into_iter().map(TensorMetadata::from).collect(),
    }))
}

pub(super) async fn model_config(
    State(state): State<AppState>,
    Message(request): Message<ModelRequest>,
) -> Result<Message<ModelConfigResponse>, ApiError> {
    let config::ModelConfig { name, platform, backend, version_policy, max_batch_size, input, output, .. } =
        config::config(&state, &request.into())?;
    let versions = version_policy.specific.versions.into_iter().map(i64::from).collect();
    let inputs = input.into_iter().map(|tensor| ModelInput {
        name: tensor.name.to_owned(),
        data_type: data_type(tensor.data_type),
        dims: tensor.dims,
        optional: tensor.optional.is_some_and(|optional| optional),
    });
    let outputs = output.into_iter().map(|tensor| ModelOutput {
        name: tensor.name.to_owned(),
        data_type: data_type(tensor.data_type),
        dims: tensor.dims,
    });
    let config = ModelConfig {
        name,
        platform: platform.to_owned(),
        backend: backend.to_owned(),
        version_policy: Some(ModelVersionPolicy { specific: Some(SpecificVersions { versions }) }),
        max_batch_size: i32::try_from(max_batch_size).unwrap_or(i32::MAX),
        input: inputs.collect(),
        output: outputs.collect(),
        dynamic_batching: Some(ModelDynamicBatching {}),
    };
    Ok(Message(ModelConfigResponse { config: Some(config) }))
}

impl From<ModelRequest> for ModelTarget {
    fn from(ModelRequest { name, version }: ModelRequest) -> Self {
        target(name, version)
    }
}

/// A model, and a version where a message names one: texts that are left out are empty.
pub(super) fn target(name: String, version: String) -> ModelTarget {
    ModelTarget { name, version: Some(version).filter(|version| !version.is_empty()) }
}

impl From<tensors::TensorMetadata> for TensorMetadata {
    fn from(tensors::TensorMetadata { name, datatype, shape }: tensors::TensorMetadata) -> Self {
        Self { name: name.to_owned(), datatype: datatype.to_owned(), shape }
    }
}
