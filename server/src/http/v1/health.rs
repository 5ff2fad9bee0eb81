//! Whether the server is alive, and whether it should be sent requests.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;

/// The server's health.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    #[schema(example = "ok")]
    pub status: String,
}

impl Health {
    fn ok() -> Json<Self> {
        Json(Self { status: "ok".to_owned() })
    }
}

documents! {
    /// Nothing of its own.
    LivenessErrors:
}

documents! {
    /// Not yet, or not any more.
    ReadinessErrors: NotReady, ShuttingDown
}

/// Whether the server answers at all
///
/// For a supervisor: if this fails, restart the server.
#[utoipa::path(
    get, path = "/health/live", operation_id = "get_liveness", tag = "health",
    responses((status = 200, description = "It does.", body = Health), LivenessErrors)
)]
pub async fn get_liveness() -> Json<Health> {
    Health::ok()
}

/// Whether the server should be sent requests
///
/// For a load balancer. Not before every model of the store has been loaded or has failed, and not while the server is
/// shutting down. A server without models is ready: one can be fine-tuned into being.
#[utoipa::path(
    get, path = "/health/ready", operation_id = "get_readiness", tag = "health",
    responses((status = 200, description = "It should.", body = Health), ReadinessErrors)
)]
pub async fn get_readiness(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    if state.draining.begun() {
        return Err(Code::ShuttingDown.into());
    }
    if !state.registry.scanned() {
        return Err(Code::NotReady.into());
    }
    Ok(Health::ok())
}
