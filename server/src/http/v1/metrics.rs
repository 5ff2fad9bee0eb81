//! What the server counts.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use tokio::time::timeout;

use crate::http::problem::documents;
use crate::http::state::AppState;
use crate::inference::ModelState;
use crate::jobs::JobState;
use crate::metrics::{Gauges, ModelGauges};
use crate::telemetry;

/// A scrape does without the jobs when their database takes longer.
const DATABASE_PATIENCE: Duration = Duration::from_secs(1);
/// `OpenMetrics` 1.0, which Prometheus asks for.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

documents! {
    /// Nothing of its own.
    MetricsErrors:
}

/// What the server has done and is doing, for Prometheus
///
/// Requests by route, model, outcome and reason; seconds by stage, model and engine; queues, batches, connections, bodies,
/// pixels, jobs, the process. Every request that was received is answered, shed, failed, abandoned or in flight.
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "health",
    responses(
        (status = 200, description = "Metrics.", body = String, content_type = "application/openmetrics-text"),
        MetricsErrors
    )
)]
pub async fn get_metrics(State(state): State<AppState>) -> impl IntoResponse {
    let jobs = job_counts(&state).await;
    let models = models(&state);
    let text = state.metrics.encode(|gauges: &Gauges| {
        gauges.set_models(&models);
        gauges.set_memory_limit(state.registry.memory_limit());
        gauges.set_jobs(jobs.into_iter().flatten().map(|(state, count)| (state.as_str(), count)));
        gauges.set_build(&state.engine.kind.to_string());
        gauges.set_lost_lines(telemetry::lost_lines());
        gauges.set_body_bytes(state.budget.used(), state.budget.limit());
        gauges.set_pixels(state.decoder.pixels_in_flight(), state.decoder.pixel_limit());
    });
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}

/// `None` while the database does not answer.
async fn job_counts(state: &AppState) -> Option<Vec<(JobState, i64)>> {
    let jobs = state.jobs.ready().ok()?;
    timeout(DATABASE_PATIENCE, jobs.counts()).await.ok()?.ok()
}

fn models(state: &AppState) -> Vec<ModelGauges> {
    let serving = state.registry.serving();
    let gauges = |status: crate::inference::ModelStatus| {
        let model = serving.iter().find(|model| *model.name() == status.name);
        ModelGauges {
            model: status.name.to_string(),
            state: name(status.state).to_owned(),
            version: status.serving.unwrap_or(0),
            waiting: model.map_or(0, |model| model.waiting()),
            wait: model.map_or(0.0, |model| model.predicted_wait().as_secs_f64()),
            memory: model.map_or(0, |model| model.memory()),
        }
    };
    state.registry.list().into_iter().map(gauges).collect()
}

fn name(state: ModelState) -> &'static str {
    match state {
        ModelState::Loading => "loading",
        ModelState::Ready => "ready",
        ModelState::Unloaded => "unloaded",
        ModelState::Failed => "failed",
        ModelState::Backbone => "backbone",
        ModelState::Stopped => "stopped",
    }
}
