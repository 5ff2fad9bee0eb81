//! The models that there are: look at them, and manage them.

pub mod change;
pub mod default;
pub mod import;
pub mod live;
mod path;
pub mod shadow;
pub mod upload;
pub mod versions;

use axum::Json;
use axum::extract::State;
use models::scores::ScoreKind;
use models::spec::TrainingRecord;
use models::{ModelSpec, Preprocess};
use onnx::EngineKind;
use serde::Serialize;
use trainer::finetune::report::FinetuneReport;
use utoipa::ToSchema;

use crate::http::extract::Path;
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::inference::{ModelDescription, ModelState, ModelStatus, ServingPlan};
use crate::runtime::{SelectedEngine, SelectedProviders};
use crate::store::{ModelName, choices};

/// A model in short.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelSummary {
    /// What requests call it.
    #[schema(example = "flowers")]
    pub name: String,
    /// Whether it answers.
    pub state: ModelState,
    /// The version that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    pub version: Option<u32>,
    /// The version that is to answer: the one that was chosen, or the newest while none was. Another one answers while it is
    /// being loaded or has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    pub live: Option<u32>,
    /// Whether it answers requests that name no model.
    #[schema(example = false)]
    pub default: bool,
    /// Whether it comes with graft: it is read-only, and answers requests that name no model while there is no other.
    #[schema(example = false)]
    pub built_in: bool,
    /// The versions in the store, oldest first.
    #[schema(example = json!([1, 2, 3]))]
    pub versions: Vec<u32>,
    /// Why it does not answer, or why its live version does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        nullable = false,
        example = "version 3: golden image 0.jpg: the logits differ by 2.1e-1 of the largest, and 1e-4 is allowed"
    )]
    pub reason: Option<String>,
    /// What kind of network it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "squeezenet")]
    pub architecture: Option<String>,
    /// How many classes it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 17)]
    pub classes: Option<usize>,
    /// How its scores are made: `softmax` of classes that exclude each other, `sigmoid` of classes that stand beside each other,
    /// so that an image may show several or none (multi-label), or `none` for scores that the network makes itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "softmax")]
    pub scores: Option<ScoreKind>,
    /// How the version that answers runs on this machine, and the measurements that decided it; missing while it is not loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub plan: Option<ServingPlan>,
    /// What people note about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "The shop window's camera; ask Ada before changing it.")]
    pub notes: Option<String>,
}

/// Every stored model, whether it answers or not.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ModelList {
    /// What runs them.
    pub engine: Engine,
    /// By name.
    pub data: Vec<ModelSummary>,
}

/// A model with all that it says of itself.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Model {
    /// The model in short.
    #[serde(flatten)]
    pub summary: ModelSummary,
    /// What runs it.
    pub engine: Engine,
    /// What its version says of itself.
    #[serde(flatten)]
    pub details: VersionDetails,
}

/// What a version says of itself.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct VersionDetails {
    /// The class names, in the order of their numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["daffodil", "snowdrop", "lily valley"]))]
    pub labels: Option<Vec<String>>,
    /// Where classes do not exclude each other: the score from which on each counts as present, in the order of the labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!([0.41, 0.5, 0.36]))]
    pub thresholds: Option<Vec<f32>>,
    /// What says how an imported file's outputs are to be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "output `scores` [n, 17]: probabilities (ends in Softmax)")]
    pub scores_evidence: Option<String>,
    /// How an image becomes its input: resizing, cropping, and the mean and deviation that the network subtracts and
    /// divides by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    pub preprocess: Option<Preprocess>,
    /// How it was trained: base, options, metrics, checksums.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    pub training: Option<TrainingRecord>,
    /// What the training run did and measured, with every epoch, every class and the confusion matrix.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub report: Option<FinetuneReport>,
}

/// What runs the models of this server.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Engine {
    /// `ort` is ONNX Runtime, `tract` is compiled in.
    #[schema(example = "ort")]
    pub kind: String,
    /// Why it is this one.
    #[schema(example = "ONNX Runtime 1.32.0 found beside the executable")]
    pub reason: String,
    /// The version of ONNX Runtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1.32.0")]
    pub version: Option<String>,
    /// How many threads one run may use.
    #[schema(example = 2)]
    pub threads: usize,
    /// What computes inside ONNX Runtime; missing for another engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub providers: Option<EngineProviders>,
}

/// What computes inside ONNX Runtime: one for all models, or two that are measured for each; `plan.provider` of a model says which it
/// took.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EngineProviders {
    /// `cpu` are ONNX Runtime's own kernels.
    #[schema(example = json!(["cpu", "openvino"]))]
    pub offered: Vec<String>,
    /// Why these are offered, as a sentence.
    #[schema(example = "OpenVINO found in the data folder; each model takes the faster one")]
    pub reason: String,
}

documents! {
    /// Nothing of its own.
    ListModelsErrors:
}

documents! {
    /// The name names nothing.
    GetModelErrors: ModelNotFound
}

/// List the models
///
/// What `graft import`, `graft finetune`, `graft models` or a job has changed appears within seconds.
#[utoipa::path(
    get, path = "/models", operation_id = "list_models", tag = "models",
    responses((status = 200, description = "All models.", body = ModelList), ListModelsErrors)
)]
pub async fn list_models(State(state): State<AppState>) -> Json<ModelList> {
    let default = state.registry.default_model();
    let data = state.registry.list().iter().map(|status| ModelSummary::new(status, default.as_ref())).collect();
    Json(ModelList { engine: Engine::from(&*state.engine), data })
}

/// Describe a model
///
/// The version that answers, or, where none does, the live one.
#[utoipa::path(
    get, path = "/models/{name}", operation_id = "get_model", tag = "models",
    params(("name" = String, Path, description = "The model's name.", example = "flowers")),
    responses((status = 200, description = "The model.", body = Model), GetModelErrors)
)]
pub async fn get_model(State(state): State<AppState>, Path(name): Path<String>) -> Result<Json<Model>, ApiError> {
    let status = state.registry.get(&name).ok_or_else(|| {
        let known: Vec<ModelName> = state.registry.list().into_iter().map(|status| status.name).collect();
        ApiError::new(Code::ModelNotFound, format!("there is no model `{name}`; {}", choices(Some(&name), &known)))
    })?;
    Ok(Json(Model::new(&status, &state)))
}

impl Model {
    fn new(status: &ModelStatus, state: &AppState) -> Self {
        Self {
            summary: ModelSummary::new(status, state.registry.default_model().as_ref()),
            engine: Engine::from(&*state.engine),
            details: status.description.as_deref().map_or_else(VersionDetails::default, VersionDetails::from),
        }
    }
}

impl From<&ModelDescription> for VersionDetails {
    fn from(ModelDescription { spec, report, .. }: &ModelDescription) -> Self {
        Self {
            labels: spec.labels.as_ref().map(|labels| labels.names().to_vec()),
            thresholds: thresholds(spec),
            scores_evidence: spec.scores.evidence.clone(),
            preprocess: Some(spec.preprocess.clone()),
            training: spec.training.clone(),
            report: report.clone(),
        }
    }
}

impl From<&SelectedEngine> for Engine {
    fn from(engine: &SelectedEngine) -> Self {
        Self {
            kind: engine.kind.to_string(),
            reason: engine.reason.clone(),
            version: engine.version.clone(),
            threads: engine.threads.get(),
            providers: (engine.kind == EngineKind::Ort).then(|| EngineProviders::from(&engine.providers)),
        }
    }
}

impl From<&SelectedProviders> for EngineProviders {
    fn from(SelectedProviders { first, rival, reason }: &SelectedProviders) -> Self {
        let offered = std::iter::once(first).chain(rival).map(ToString::to_string).collect();
        Self { offered, reason: reason.clone() }
    }
}

fn thresholds(spec: &ModelSpec) -> Option<Vec<f32>> {
    (0..spec.labels.as_ref()?.len()).map(|class| spec.scores.threshold(class, None)).collect()
}

impl ModelSummary {
    /// From what the registry knows, and the name of the default model.
    fn new(status: &ModelStatus, default: Option<&ModelName>) -> Self {
        let spec = status.description.as_ref().map(|description| &description.spec);
        Self {
            name: status.name.to_string(),
            state: status.state,
            version: status.serving,
            live: status.live,
            default: default == Some(&status.name),
            built_in: status.settings.built_in.is_some(),
            versions: status.versions.clone(),
            reason: status.reason.clone(),
            architecture: spec.map(|spec| spec.architecture.clone()),
            classes: spec.and_then(|spec| spec.labels.as_ref()).map(models::Labels::len),
            scores: spec.filter(|spec| spec.labels.is_some()).map(|spec| spec.scores.kind),
            plan: status.plan.as_deref().cloned(),
            notes: status.settings.notes.clone(),
        }
    }
}
