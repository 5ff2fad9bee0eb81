//! TensorFlow Serving's REST API, for a model whose signature takes image files as strings.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::core::{AdapterCall, CallContext};
use super::tf_images::{TfClassifyRequest, TfImages, TfPredictRequest};
use super::verb::Verb;
use crate::http::extract::{Path, read_json};
use crate::http::problem::{ApiError, Code, ERROR_TEXT, documents};
use crate::http::state::AppState;
use crate::inference::ModelStatus;
use crate::store::{ModelName, choices};

/// The scores of each image.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TfPredictions {
    /// In the order of `instances`: the scores of all classes, in the order of their numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!([[0.0117, 0.9731, 0.0152]]))]
    predictions: Option<Vec<Vec<f32>>>,
    /// The same in answer to `inputs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!([[0.0117, 0.9731, 0.0152]]))]
    outputs: Option<Vec<Vec<f32>>>,
}

/// The classes of each image.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TfClasses {
    /// For each image, its classes with their scores, best first.
    #[schema(value_type = Vec<Vec<Vec<Value>>>, example = json!([[["tulip", 0.9731], ["iris", 0.0152]]]))]
    result: Vec<Vec<(String, f32)>>,
}

/// The versions of a model.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TfModelStatus {
    /// Oldest last.
    model_version_status: Vec<TfVersionStatus>,
}

/// Whether a version answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TfVersionStatus {
    /// Its number, as text.
    #[schema(example = "3")]
    version: String,
    /// `AVAILABLE`, `LOADING` or `END`.
    #[schema(example = "AVAILABLE")]
    state: &'static str,
    /// Why it does not answer.
    status: TfStatus,
}

/// Why a version does not answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TfStatus {
    /// `OK` or `UNKNOWN`.
    #[schema(example = "OK")]
    error_code: &'static str,
    /// What happened.
    #[schema(example = "")]
    error_message: String,
}

documents! {
    /// The errors of `…:predict` and `…:classify`.
    TfErrors as ERROR_TEXT:
        RouteNotFound, InvalidJson, InvalidBody, BodyUnreadable, ImageEmpty, ImageMissing, NotAnImage, ImageUnsupported,
        ImageTruncated, ImageCorrupt, ImageTooLarge, TooManyImages, NotAClassifier, ModelNotFound, VersionNotServed,
        BodyTooLarge, UnsupportedMediaType, Overloaded, ModelLoading, ModelUnloaded, ModelFailed, BodyTimeout, ServerBusy
}

documents! {
    /// The errors of a model's status and metadata.
    TfStatusErrors as ERROR_TEXT: ModelNotFound, VersionNotServed
}

/// Classify images as TensorFlow Serving's `predict` does
///
/// `instances` or `inputs`, each image as `{"b64": …}`, if need be within an object with one field.
#[utoipa::path(
    post, path = "/v1/models/{model}:predict", operation_id = "tf_serving_predict", tag = "clients",
    params(("model" = String, Path, description = "The model's name.", example = "flowers")),
    request_body = TfPredictRequest,
    responses((status = 200, description = "The scores of each image.", body = TfPredictions), TfErrors)
)]
pub async fn tf_serving_predict(
    State(state): State<AppState>,
    Path(address): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    act(&state, &address, None, request).await
}

/// Classify images with a version as TensorFlow Serving's `predict` does
///
/// The version must be the one that answers.
#[utoipa::path(
    post, path = "/v1/models/{model}/versions/{version}:predict", operation_id = "tf_serving_predict_version", tag = "clients",
    params(
        ("model" = String, Path, description = "The model's name.", example = "flowers"),
        ("version" = String, Path, description = "The version that answers.", example = "3"),
    ),
    request_body = TfPredictRequest,
    responses((status = 200, description = "The scores of each image.", body = TfPredictions), TfErrors)
)]
pub async fn tf_serving_predict_version(
    State(state): State<AppState>,
    Path((model, address)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    act(&state, &address, Some(&model), request).await
}

/// Classify images as TensorFlow Serving's `classify` does
///
/// `examples`, each with one field that is an image as `{"b64": …}`.
#[utoipa::path(
    post, path = "/v1/models/{model}:classify", operation_id = "tf_serving_classify", tag = "clients",
    params(("model" = String, Path, description = "The model's name.", example = "flowers")),
    request_body = TfClassifyRequest,
    responses((status = 200, description = "The classes of each image.", body = TfClasses), TfErrors)
)]
#[expect(dead_code, reason = "describes what `act` does")]
async fn tf_serving_classify() {}

/// Classify images with a version as TensorFlow Serving's `classify` does
///
/// The version must be the one that answers.
#[utoipa::path(
    post, path = "/v1/models/{model}/versions/{version}:classify", operation_id = "tf_serving_classify_version",
    tag = "clients",
    params(
        ("model" = String, Path, description = "The model's name.", example = "flowers"),
        ("version" = String, Path, description = "The version that answers.", example = "3"),
    ),
    request_body = TfClassifyRequest,
    responses((status = 200, description = "The classes of each image.", body = TfClasses), TfErrors)
)]
#[expect(dead_code, reason = "describes what `act` does")]
async fn tf_serving_classify_version() {}

/// Show a model's versions as TensorFlow Serving does
///
/// One of them at most is `AVAILABLE`.
#[utoipa::path(
    get, path = "/v1/models/{model}", operation_id = "tf_serving_get_status", tag = "clients",
    params(("model" = String, Path, description = "The model's name.", example = "flowers")),
    responses((status = 200, description = "The versions.", body = TfModelStatus), TfStatusErrors)
)]
pub async fn tf_serving_get_status(
    State(state): State<AppState>,
    Path(model): Path<String>,
) -> Result<Json<TfModelStatus>, ApiError> {
    let status = find(&state, &model)?;
    Ok(Json(TfModelStatus { model_version_status: versions(&status, |_| true) }))
}

/// Show a version as TensorFlow Serving does
///
/// Whether it answers.
#[utoipa::path(
    get, path = "/v1/models/{model}/versions/{version}", operation_id = "tf_serving_get_version_status", tag = "clients",
    params(
        ("model" = String, Path, description = "The model's name.", example = "flowers"),
        ("version" = String, Path, description = "The version.", example = "3"),
    ),
    responses((status = 200, description = "The version.", body = TfModelStatus), TfStatusErrors)
)]
pub async fn tf_serving_get_version_status(
    State(state): State<AppState>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<TfModelStatus>, ApiError> {
    let found = versions(&find(&state, &model)?, |number| number.to_string() == version);
    match found.is_empty() {
        true => Err(ApiError::new(Code::VersionNotServed, format!("there is no version `{version}` of `{model}`"))),
        false => Ok(Json(TfModelStatus { model_version_status: found })),
    }
}

/// Show a model's signature as TensorFlow Serving does
///
/// `image_bytes` takes files, `scores` are answered.
#[utoipa::path(
    get, path = "/v1/models/{model}/metadata", operation_id = "tf_serving_get_metadata", tag = "clients",
    params(("model" = String, Path, description = "The model's name.", example = "flowers")),
    responses((status = 200, description = "The signature.", body = Value), TfStatusErrors)
)]
pub async fn tf_serving_get_metadata(
    State(state): State<AppState>,
    Path(model): Path<String>,
) -> Result<Json<Value>, ApiError> {
    metadata(&find(&state, &model)?).map(Json)
}

/// Show a version's signature as TensorFlow Serving does
///
/// The version must be the one that answers.
#[utoipa::path(
    get, path = "/v1/models/{model}/versions/{version}/metadata", operation_id = "tf_serving_get_version_metadata",
    tag = "clients",
    params(
        ("model" = String, Path, description = "The model's name.", example = "flowers"),
        ("version" = String, Path, description = "The version that answers.", example = "3"),
    ),
    responses((status = 200, description = "The signature.", body = Value), TfStatusErrors)
)]
pub async fn tf_serving_get_version_metadata(
    State(state): State<AppState>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let status = find(&state, &model)?;
    match status.serving {
        Some(serving) if serving.to_string() == version => metadata(&status).map(Json),
        _ => Err(ApiError::new(Code::VersionNotServed, format!("version `{version}` of `{model}` does not answer"))),
    }
}

/// What the verb of an address says: of `model:verb`, or of `version:verb` where the model stands before it.
async fn act(state: &AppState, address: &str, model: Option<&str>, request: Request) -> Result<Response, ApiError> {
    let (name, verb) = Verb::split(address)?;
    let (model, version) = model.map_or((name, None), |model| (model, Some(name)));
    let call = AdapterCall::admit(state, Some(model), CallContext::of(&request)).await?.of_version(version)?;
    match verb {
        Verb::Predict => {
            let (images, columns) = match read_json::<TfPredictRequest, _>(request, state).await?.images()? {
                TfImages::Rows(images) => (images, false),
                TfImages::Columns(images) => (images, true),
            };
            let scores = call.scores(state, images).await?;
            let (predictions, outputs) = if columns { (None, Some(scores)) } else { (Some(scores), None) };
            Ok(Json(TfPredictions { predictions, outputs }).into_response())
        }
        Verb::Classify => {
            let images = read_json::<TfClassifyRequest, _>(request, state).await?.images()?;
            let scores = call.scores(state, images).await?;
            let classes = |scores: &Vec<f32>| {
                let classes = call.ranked(scores, scores.len()).into_iter();
                classes.map(|class| (class.label, class.score)).collect()
            };
            Ok(Json(TfClasses { result: scores.iter().map(classes).collect() }).into_response())
        }
    }
}

fn find(state: &AppState, model: &str) -> Result<ModelStatus, ApiError> {
    state.registry.get(model).ok_or_else(|| {
        let known: Vec<ModelName> = state.registry.list().into_iter().map(|status| status.name).collect();
        ApiError::new(Code::ModelNotFound, format!("there is no model `{model}`; {}", choices(Some(model), &known)))
    })
}

/// Newest first, as TensorFlow Serving lists them.
fn versions(status: &ModelStatus, wanted: impl Fn(u32) -> bool) -> Vec<TfVersionStatus> {
    let version = |version: u32| {
        let state = if status.serving == Some(version) { "AVAILABLE" } else { "END" };
        let reason = status.reason.as_ref().filter(|_| status.serving != Some(version));
        let (error_code, error_message) = reason.map_or(("OK", String::new()), |reason| ("UNKNOWN", reason.clone()));
        TfVersionStatus { version: version.to_string(), state, status: TfStatus { error_code, error_message } }
    };
    status.versions.iter().rev().copied().filter(|number| wanted(*number)).map(version).collect()
}

/// A signature of strings to numbers.
fn metadata(status: &ModelStatus) -> Result<Value, ApiError> {
    let labels = status.description.as_ref().and_then(|description| description.spec.labels.as_ref());
    let classes =
        labels.ok_or_else(|| ApiError::new(Code::NotAClassifier, format!("`{}` has no classes", status.name)))?;
    let tensor = |name: &str, dtype: &str, sizes: &[i64]| {
        let dim: Vec<Value> = sizes.iter().map(|size| json!({"size": size.to_string(), "name": ""})).collect();
        json!({"name": name, "dtype": dtype, "tensor_shape": {"dim": dim, "unknown_rank": false}})
    };
    let version = status.serving.map_or(String::new(), |version| version.to_string());
    Ok(json!({
        "model_spec": {"name": status.name.as_str(), "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": {"serving_default": {
            "inputs": {"image_bytes": tensor("image_bytes:0", "DT_STRING", &[-1])},
            "outputs": {"scores": tensor("scores:0", "DT_FLOAT", &[-1, classes.len() as i64])},
            "method_name": "tensorflow/serving/predict",
        }}}},
    }))
}
