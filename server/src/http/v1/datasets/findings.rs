//! What may be wrong with a data set.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::path::DatasetPath;
use crate::datasets::JobDataset;
use crate::finetune::{CheckSpec, DatasetCheck};
use crate::http::extract::Query;
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::store::{ModelName, choices};

/// What is checked.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FindingsQuery {
    /// A model whose features tell which labels may be wrong: each image is classified by heads that are trained without it.
    /// Without it no label is checked. The features stay in the cache, so that a fine-tune does not compute them again.
    #[param(nullable = false, value_type = Option<String>, example = "squeezenet")]
    base_model: Option<String>,
}

documents! {
    /// The errors of `GET /datasets/{name}/findings`.
    FindingsErrors:
        InvalidParameter, DatasetNotFound, ModelNotFound, FinetuneRefused, PlannerBusy, DatasetsUnavailable, StorageFull
}

/// Say what may be wrong with a data set
///
/// Reads every image, as `graft data check` does: files that cannot be used, tiny images, copies, classes of very different size, and
/// with `base_model` labels that may be wrong. A large data set needs a longer `X-Request-Timeout-Ms`. One check or plan is made at a
/// time.
#[utoipa::path(
    get, path = "/datasets/{name}/findings", operation_id = "get_dataset_findings", tag = "datasets",
    params(DatasetPath, FindingsQuery),
    responses((status = 200, description = "What was found.", body = DatasetCheck), FindingsErrors)
)]
pub async fn get_findings(
    State(state): State<AppState>,
    DatasetPath { name }: DatasetPath,
    Query(query): Query<FindingsQuery>,
) -> Result<Json<DatasetCheck>, ApiError> {
    let base_model = query.base_model.as_deref().map(|base| known_model(&state, base)).transpose()?;
    let record = state.datasets.snapshot(&name).await?;
    let spec = CheckSpec { dataset: JobDataset::stored(name, record.number), base_model };
    Ok(Json(state.planner.check(&spec).await?))
}

fn known_model(state: &AppState, name: &str) -> Result<ModelName, ApiError> {
    state.registry.get(name).map(|status| status.name).ok_or_else(|| {
        let known: Vec<ModelName> = state.registry.list().into_iter().map(|status| status.name).collect();
        ApiError::new(Code::ModelNotFound, format!("there is no model `{name}`; {}", choices(Some(name), &known)))
    })
}
