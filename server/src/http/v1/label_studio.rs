//! The ML backend protocol of Label Studio. Field names and answers are the protocol's.

use axum::Extension;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use models::doubt::Doubt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;
use trainer::evaluate::TestViews;
use utoipa::ToSchema;

use super::call::{CallContext, ModelCall};
use crate::failure::chain;
use crate::http::extract::{self, Path};
use crate::http::problem::{ApiError, Code, documents};
use crate::http::record::RequestRecord;
use crate::http::state::AppState;
use crate::label_studio::{ImageClient, Labeling, Trainer, Training};
use crate::store::ModelName;

/// What Label Studio wants to know before it uses a model.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LabelStudioHealth {
    /// `UP`.
    #[schema(example = "UP")]
    pub status: &'static str,
    /// `graft`.
    #[schema(example = "graft")]
    pub model_class: &'static str,
    /// The last training that Label Studio has asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub training: Option<Training>,
}

/// The project that a model is set up for. Label Studio sends more, which is not used: above all no address and no token is taken
/// from it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct LabelStudioSetup {
    /// The labeling configuration.
    #[serde(default)]
    #[schema(
        example = "<View><Image name=\"image\" value=\"$image\"/><Choices name=\"choice\" toName=\"image\"><Choice value=\"tulip\"/></Choices></View>"
    )]
    schema: String,
}

/// The version that answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LabelStudioVersion {
    /// Name and number; empty before the first training.
    #[schema(example = "flowers-3")]
    pub model_version: String,
}

/// Tasks to predict.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct LabelStudioTasks {
    /// Each has `data` with the image in the field that the configuration names.
    #[schema(value_type = Vec<Value>, example = json!([{"id": 1, "data": {"image": "/data/upload/1/rose.jpg"}}]))]
    tasks: Vec<Value>,
    /// The labeling configuration.
    #[serde(default, deserialize_with = "extract::not_null")]
    #[schema(nullable = false)]
    label_config: Option<String>,
}

/// A prediction for each task.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LabelStudioPredictions {
    /// In the order of the tasks. One whose image cannot be used has an empty `result`. Where the answer is uncertain, `meta.text` of the
    /// `result` says why.
    #[schema(value_type = Vec<Object>)]
    pub results: Vec<Value>,
}

/// What Label Studio tells an ML backend about.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct LabelStudioEvent {
    /// `START_TRAINING` begins a fine-tune; others are taken and nothing else.
    #[schema(example = "START_TRAINING")]
    action: String,
    /// The project, with `id` and `label_config`.
    #[serde(default)]
    #[schema(value_type = Object)]
    project: Map<String, Value>,
}

/// That an event was taken.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LabelStudioTaken {
    /// `ok`.
    #[schema(example = "ok")]
    pub status: &'static str,
}

documents! {
    /// The errors of `GET /label-studio/{model}/health`.
    HealthErrors: InvalidParameter
}

documents! {
    /// The errors of `POST /label-studio/{model}/setup`.
    SetupErrors:
        InvalidJson, InvalidParameter, BodyUnreadable, BodyTooLarge, UnsupportedMediaType, InvalidBody, BodyTimeout, ServerBusy
}

documents! {
    /// The errors of `POST /label-studio/{model}/predict`.
    PredictErrors:
        InvalidJson, InvalidParameter, BodyUnreadable, BodyTooLarge, UnsupportedMediaType, InvalidBody, NotAClassifier,
        Overloaded, ModelLoading, ModelUnloaded, ModelFailed, BodyTimeout, ServerBusy
}

documents! {
    /// The errors of `POST /label-studio/{model}/webhook`.
    EventErrors:
        InvalidJson, InvalidParameter, BodyUnreadable, BodyTooLarge, UnsupportedMediaType, InvalidBody, LabelStudioOff,
        JobsUnavailable, BodyTimeout, ServerBusy
}

/// Say that the backend is up
///
/// The address of the ML backend in Label Studio is `/label-studio/{model}`.
#[utoipa::path(
    get, path = "/label-studio/{model}/health", operation_id = "get_label_studio_health", tag = "label-studio",
    params(("model" = String, Path, description = "The model's name; it need not be there yet.", example = "flowers")),
    responses((status = 200, description = "It is up.", body = LabelStudioHealth), HealthErrors)
)]
pub async fn get_label_studio_health(
    State(state): State<AppState>,
    Path(model): Path<String>,
) -> Result<Json<LabelStudioHealth>, ApiError> {
    let training = state.trainings.of(&name(&model)?);
    Ok(Json(LabelStudioHealth { status: "UP", model_class: "graft", training }))
}

/// Set a model up for a project
///
/// Checks that the project classifies images.
#[utoipa::path(
    post, path = "/label-studio/{model}/setup", operation_id = "set_up_label_studio", tag = "label-studio",
    params(("model" = String, Path, description = "The model's name; it need not be there yet.", example = "flowers")),
    request_body = LabelStudioSetup,
    responses((status = 200, description = "It is set up.", body = LabelStudioVersion), SetupErrors)
)]
pub async fn set_up_label_studio(
    State(state): State<AppState>,
    Path(model): Path<String>,
    extract::Json(request): extract::Json<LabelStudioSetup>,
) -> Result<Json<LabelStudioVersion>, ApiError> {
    labeling(&request.schema)?;
    Ok(Json(LabelStudioVersion { model_version: serving(&state, &name(&model)?).unwrap_or_default() }))
}

/// Predict tasks
///
/// The best class that the configuration lets choose. Before the first training there are no predictions.
#[utoipa::path(
    post, path = "/label-studio/{model}/predict", operation_id = "predict_label_studio", tag = "label-studio",
    params(("model" = String, Path, description = "The model's name; it need not be there yet.", example = "flowers")),
    request_body = LabelStudioTasks,
    responses((status = 200, description = "A prediction for each task.", body = LabelStudioPredictions), PredictErrors)
)]
pub async fn predict_label_studio(
    State(state): State<AppState>,
    Path(model): Path<String>,
    request: Request,
) -> Result<Json<LabelStudioPredictions>, ApiError> {
    let model = name(&model)?;
    let context = CallContext::of(&request);
    let extract::Json(request) = extract::Json::<LabelStudioTasks>::from_request(request, &state).await?;
    let LabelStudioTasks { tasks, label_config } = request;
    let Some(version) = serving(&state, &model) else {
        let results = tasks.iter().map(|_| json!({"model_version": null, "score": 0.0, "result": []})).collect();
        return Ok(Json(LabelStudioPredictions { results }));
    };
    let labeling = labeling(label_config.as_deref().unwrap_or_default())?;
    let call = ModelCall::admit(&state, Some(model.as_str()), context).await?;
    let mut results = Vec::with_capacity(tasks.len());
    for chunk in tasks.chunks(state.limits.images) {
        let answers = classify(&state, &call, chunk, &labeling).await?;
        results.extend(answers.iter().map(|answer| prediction(&labeling, &version, answer)));
    }
    Ok(Json(LabelStudioPredictions { results }))
}

/// Take an event of Label Studio
///
/// `START_TRAINING` fetches the annotated tasks of the project, puts their images into the stored data set
/// `label-studio-{project}` and queues a fine-tune. `GET …/health` says how far that is, `GET /finetune` has the job.
#[utoipa::path(
    post, path = "/label-studio/{model}/webhook", operation_id = "take_label_studio_event", tag = "label-studio",
    params(("model" = String, Path, description = "The name of the model that is trained.", example = "flowers")),
    request_body = LabelStudioEvent,
    responses((status = 201, description = "It is taken.", body = LabelStudioTaken), EventErrors)
)]
pub async fn take_label_studio_event(
    State(state): State<AppState>,
    Path(model): Path<String>,
    Extension(record): Extension<RequestRecord>,
    extract::Json(event): extract::Json<LabelStudioEvent>,
) -> Result<(StatusCode, Json<LabelStudioTaken>), ApiError> {
    let model = name(&model)?;
    if event.action == "START_TRAINING" {
        let options = state.label_studio.as_ref().ok_or(Code::LabelStudioOff)?;
        let project = event.project.get("id").and_then(Value::as_i64);
        let project =
            project.ok_or_else(|| ApiError::new(Code::InvalidBody, "project.id: send the project's number"))?;
        let config = event.project.get("label_config").and_then(Value::as_str).unwrap_or_default();
        labeling(config)?;
        let trainer = Trainer {
            datasets: state.datasets.clone(),
            jobs: state.jobs.ready()?,
            checker: state.checker.clone(),
            client: image_client(&state)?,
            base: options.base.clone(),
            limits: state.limits.image,
            owner: record.caller().map(str::to_owned),
            trainings: state.trainings.clone(),
        };
        trainer.start(model, project, config.to_owned());
    }
    Ok((StatusCode::CREATED, Json(LabelStudioTaken { status: "ok" })))
}

/// What a model says of the image of a task; nothing where it cannot be used.
#[derive(Debug, Clone, Default)]
struct TaskAnswer {
    /// The classes with their scores, best first.
    classes: Vec<(String, f32)>,
    /// Why the best class is not to be trusted, if it is not.
    uncertain: Option<Doubt>,
}

/// What the model says of the image of each task.
async fn classify(
    state: &AppState,
    call: &ModelCall,
    tasks: &[Value],
    labeling: &Labeling,
) -> Result<Vec<TaskAnswer>, ApiError> {
    let (client, field, data) = (image_client(state)?, labeling.field.clone(), tasks.to_vec());
    let fetch = move || data.iter().map(|task| client.image(&task["data"], &field)).collect::<Vec<_>>();
    let mut images = Vec::new();
    let mut places = Vec::new();
    for (place, image) in spawn_blocking(fetch).await.map_err(ApiError::internal)?.into_iter().enumerate() {
        match image {
            Ok(bytes) => {
                images.push(Bytes::from(bytes));
                places.push(place);
            }
            Err(error) => tracing::warn!(cause = chain(&error), "an image of Label Studio is not predicted"),
        }
    }
    let mut answers = vec![TaskAnswer::default(); tasks.len()];
    if images.is_empty() {
        return Ok(answers);
    }
    let model = call.model();
    for (place, logits) in places.into_iter().zip(call.run(state, images, TestViews::None).await?.logits) {
        let Ok(logits) = logits else { continue };
        let scores = model.scores().kind.scores(&logits);
        let label = |class: usize| (model.labels().get(class).unwrap_or_default().to_owned(), scores[class]);
        let classes = models::scores::top_k(&scores, scores.len()).into_iter().map(label).collect();
        answers[place] = TaskAnswer { classes, uncertain: model.scores().doubt(&logits) };
    }
    Ok(answers)
}

fn prediction(labeling: &Labeling, version: &str, answer: &TaskAnswer) -> Value {
    let Some((label, score)) = labeling.choose(&answer.classes) else {
        return json!({"model_version": version, "score": 0.0, "result": []});
    };
    let mut result = json!({
        "from_name": labeling.from_name,
        "to_name": labeling.to_name,
        "type": "choices",
        "value": {"choices": [label]},
        "score": score,
    });
    if let Some(doubt) = answer.uncertain {
        result["meta"] = json!({"text": [format!("uncertain: {doubt}")]});
    }
    json!({"model_version": version, "score": score, "result": [result]})
}

/// The version that answers, as Label Studio shows it.
fn serving(state: &AppState, model: &ModelName) -> Option<String> {
    let status = state.registry.get(model.as_str())?;
    Some(format!("{model}-{}", status.serving?))
}

fn labeling(config: &str) -> Result<Labeling, ApiError> {
    Labeling::parse(config).map_err(|error| ApiError::new(Code::InvalidBody, error.to_string()))
}

fn name(text: &str) -> Result<ModelName, ApiError> {
    text.parse().map_err(|error| ApiError::new(Code::InvalidParameter, format!("{error}")))
}

fn image_client(state: &AppState) -> Result<ImageClient, ApiError> {
    ImageClient::new(state.label_studio.as_ref(), state.limits.body_bytes).map_err(ApiError::internal)
}
