//! Whether the server is alive, and whether it should be sent requests.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::ReadyPolicy;
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::inference::{ModelState, ModelStatus};

/// The server's health.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    #[schema(example = "ok")]
    pub status: String,
}

/// The server's readiness.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Readiness {
    /// `ok`.
    #[schema(example = "ok")]
    pub status: String,
    /// The classifiers by name.
    pub models: Vec<ModelReadiness>,
}

/// Whether a model answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelReadiness {
    /// What requests call it.
    #[schema(example = "flowers")]
    pub name: String,
    /// Whether it answers.
    pub state: ModelState,
    /// The version that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    pub version: Option<u32>,
}

impl ModelReadiness {
    /// `None` for a backbone, which is not meant to answer.
    fn of(status: ModelStatus) -> Option<Self> {
        let ModelStatus { name, state, serving, .. } = status;
        (state != ModelState::Backbone).then(|| Self { name: name.to_string(), state, version: serving })
    }
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
/// For a load balancer. Not before every model of the store has been loaded or has failed, not while the server is shutting
/// down, and not without the models that `--ready` names: one (`any`, the default), `all`, or a list. With `any`, a server
/// without classifiers is ready: one can be fine-tuned. A model that a memory budget has unloaded answers: the first request
/// for it has it loaded.
#[utoipa::path(
    get, path = "/health/ready", operation_id = "get_readiness", tag = "health",
    responses((status = 200, description = "It should.", body = Readiness), ReadinessErrors)
)]
pub async fn get_readiness(State(state): State<AppState>) -> Result<Json<Readiness>, ApiError> {
    let models = check_ready(&state)?;
    Ok(Json(Readiness { status: "ok".to_owned(), models }))
}

/// The classifiers of a server that should be sent requests.
///
/// # Errors
/// It should not, or not any more.
pub(crate) fn check_ready(state: &AppState) -> Result<Vec<ModelReadiness>, ApiError> {
    if state.draining.begun() {
        return Err(Code::ShuttingDown.into());
    }
    if !state.registry.scanned() {
        return Err(Code::NotReady.into());
    }
    let models: Vec<ModelReadiness> = state.registry.list().into_iter().filter_map(ModelReadiness::of).collect();
    match missing(&state.ready, &models) {
        None => Ok(models),
        Some(detail) => Err(ApiError::new(Code::NotReady, detail)),
    }
}

/// What the policy wants and the models do not give.
fn missing(policy: &ReadyPolicy, models: &[ModelReadiness]) -> Option<String> {
    let answers = |name: &str| models.iter().any(|model| model.name == name && model.state.answers());
    let silent = |names: Vec<&str>| match names[..] {
        [] => None,
        _ => Some(format!("these models do not answer: {}; `GET /models` says why", names.join(", "))),
    };
    // A model that somebody has unloaded is not missed.
    let served = || models.iter().filter(|model| model.state != ModelState::Stopped);
    let all = || served().map(|model| model.name.as_str()).filter(|name| !answers(name)).collect();
    match policy {
        ReadyPolicy::Any if models.iter().any(|model| model.state.answers()) => None,
        ReadyPolicy::Any | ReadyPolicy::All => silent(all()),
        ReadyPolicy::Named(names) => silent(names.iter().map(String::as_str).filter(|name| !answers(name)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_says_which_models_have_to_answer() {
        let model = |(name, state): (&str, ModelState)| ModelReadiness { name: name.to_owned(), state, version: None };
        let models = [("good", ModelState::Ready), ("bad", ModelState::Failed)].map(model);
        let unloaded = [("good", ModelState::Unloaded)].map(model);
        let stopped = [("gone", ModelState::Stopped)].map(model);
        let named = |names: &str| names.parse::<ReadyPolicy>().unwrap();
        for (policy, models, silent) in [
            ("any", &models[..], None),
            ("any", &models[1..], Some("bad")),
            ("any", &[], None),
            ("all", &models[..], Some("bad")),
            ("all", &models[..1], None),
            ("any", &unloaded[..], None),
            ("all", &unloaded[..], None),
            ("any", &stopped[..], None),
            ("all", &stopped[..], None),
            ("gone", &stopped[..], Some("gone")),
            ("good", &models[..], None),
            ("good, bad,gone", &models[..], Some("bad, gone")),
        ] {
            let detail = missing(&named(policy), models);
            assert_eq!(detail.is_some(), silent.is_some(), "{policy}: {detail:?}");
            let expected = silent.map(|names| format!("these models do not answer: {names}; `GET /models` says why"));
            assert_eq!(detail, expected, "{policy}");
        }
    }
}
