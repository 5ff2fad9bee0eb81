//! The Open Inference Protocol over gRPC: the service `inference.GRPCInferenceService` of KServe and Triton.
//!
//! A call is a request of HTTP/2 with one message in its body, so calls go through the same layers as requests of HTTP, and come
//! to the same functions as `http::v2`. What is here is the wire: messages, frames, statuses.

mod calls;
mod config_proto;
mod fields;
mod frame;
mod infer;
mod proto;
mod repository;
mod statistics;
mod status;

use axum::routing::post;
use axum::{Router, middleware};

use crate::http::middleware::respond;
use crate::http::problem::{ApiError, Code};
use crate::http::router::guarded;
use crate::http::state::AppState;

/// What answers calls.
pub(crate) fn router(state: AppState) -> Router {
    guarded(calls(), &state)
        .layer(middleware::from_fn_with_state(state.clone(), respond::respond))
        .layer(middleware::from_fn(status::translate))
        .with_state(state)
}

/// What answers clients that do not encrypt to a server that does.
pub(crate) fn tls_only(state: AppState) -> Router {
    Router::new()
        .fallback(async || ApiError::new(Code::HttpsRequired, "the server speaks TLS; open a secure channel to it"))
        .layer(middleware::from_fn_with_state(state, respond::respond))
        .layer(middleware::from_fn(status::translate))
}

/// The addresses of a service are `/PACKAGE.SERVICE/METHOD`.
fn calls() -> Router<AppState> {
    Router::new()
        .route("/inference.GRPCInferenceService/ServerLive", post(calls::server_live))
        .route("/inference.GRPCInferenceService/ServerReady", post(calls::server_ready))
        .route("/inference.GRPCInferenceService/ServerMetadata", post(calls::server_metadata))
        .route("/inference.GRPCInferenceService/ModelReady", post(calls::model_ready))
        .route("/inference.GRPCInferenceService/ModelMetadata", post(calls::model_metadata))
        .route("/inference.GRPCInferenceService/ModelConfig", post(calls::model_config))
        .route("/inference.GRPCInferenceService/ModelStatistics", post(statistics::model_statistics))
        .route("/inference.GRPCInferenceService/ModelInfer", post(infer::model_infer))
        .route("/inference.GRPCInferenceService/ModelStreamInfer", post(infer::model_stream_infer))
        .route("/inference.GRPCInferenceService/RepositoryIndex", post(repository::repository_index))
        .route("/inference.GRPCInferenceService/RepositoryModelLoad", post(repository::repository_model_load))
        .route("/inference.GRPCInferenceService/RepositoryModelUnload", post(repository::repository_model_unload))
}

#[cfg(test)]
mod tests;
