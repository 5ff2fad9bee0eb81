//! Vertex AI's online prediction for image classification: Google's own addresses, and those that it calls a custom
//! container at.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use models::doubt::Doubt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::core::{AdapterCall, CallContext, RankedClass, ScoredImage};
use super::torch_serve::TorchServeHealth;
use super::verb::Verb;
use crate::http::extract::{Path, base64, not_null, read_json};
use crate::http::problem::{ApiError, Code, GOOGLE, documents};
use crate::http::state::AppState;
use crate::http::v1::health::check_ready;

/// How many classes are answered unless the request says otherwise.
const MAX_PREDICTIONS: usize = 10;

/// Images to classify.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct VertexRequest {
    /// One entry for each image.
    #[schema(min_items = 1)]
    instances: Vec<VertexInstance>,
    #[serde(default)]
    parameters: VertexParameters,
}

/// An image, `content` or `b64`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct VertexInstance {
    /// The image file in base64; `b64` is the same.
    #[serde(alias = "b64")]
    #[schema(example = "iVBORw0KGgo…")]
    content: String,
}

/// How to answer.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VertexParameters {
    /// The least score of a class that is answered.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1, default = 0.0, example = 0.1)]
    confidence_threshold: f32,
    /// How many classes [default: 10].
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 1, example = 5)]
    max_predictions: Option<usize>,
}

/// What the images show.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VertexResponse {
    /// In the order of the request.
    predictions: Vec<VertexPrediction>,
    /// Its name: a model has no other id here.
    #[schema(example = "flowers")]
    deployed_model_id: String,
    /// Its name, as in `deployedModelId`.
    #[schema(example = "flowers")]
    model_display_name: String,
    /// The number of the version that answered, as text.
    #[schema(example = "3")]
    model_version_id: String,
}

/// The classes of an image, best first, in three lists of one order.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VertexPrediction {
    /// The numbers of the classes.
    #[schema(example = json!(["7"]))]
    ids: Vec<String>,
    /// What the classes are called.
    #[schema(example = json!(["tulip"]))]
    display_names: Vec<String>,
    /// How sure the model is, 0 to 1.
    #[schema(example = json!([0.9731]))]
    confidences: Vec<f32>,
    /// Why the first is not to be trusted, if it is not, as in `POST /classify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "low_score")]
    uncertain: Option<Doubt>,
}

documents! {
    /// The errors of `…:predict`.
    VertexErrors as GOOGLE:
        RouteNotFound, ModelNotNamed, InvalidParameter, InvalidJson, InvalidBody, BodyUnreadable, ImageEmpty, ImageMissing,
        NotAnImage, ImageUnsupported, ImageTruncated, ImageCorrupt, ImageTooLarge, TooManyImages, NotAClassifier, ModelNotFound,
        BodyTooLarge, UnsupportedMediaType, Overloaded, ModelLoading, ModelUnloaded, ModelFailed, BodyTimeout, ServerBusy
}

documents! {
    /// The errors of the container's health route.
    VertexHealthErrors as GOOGLE: NotReady, ShuttingDown
}

/// Classify images as an endpoint of Vertex AI does
///
/// The endpoint is the model.
#[utoipa::path(
    post, path = "/v1/projects/{project}/locations/{location}/endpoints/{endpoint}:predict",
    operation_id = "vertex_predict", tag = "clients",
    params(
        ("project" = String, Path, description = "Any.", example = "my-project"),
        ("location" = String, Path, description = "Any.", example = "us-central1"),
        ("endpoint" = String, Path, description = "The model's name.", example = "flowers"),
    ),
    request_body = VertexRequest,
    responses((status = 200, description = "The classes of each image.", body = VertexResponse), VertexErrors)
)]
pub async fn vertex_predict(
    State(state): State<AppState>,
    Path((_project, _location, endpoint)): Path<(String, String, String)>,
    request: Request,
) -> Result<Json<VertexResponse>, ApiError> {
    predict(&state, Some(Verb::predict(&endpoint)?), request).await
}

/// Classify images as a container of Vertex AI does
///
/// The route that Vertex AI calls unless the model names another. The numbers in it are Vertex AI's; the default model answers.
#[utoipa::path(
    post, path = "/v1/endpoints/{endpoint}/deployedModels/{deployed}:predict",
    operation_id = "vertex_predict_deployed", tag = "clients",
    params(
        ("endpoint" = String, Path, description = "Any.", example = "7365738345634201600"),
        ("deployed" = String, Path, description = "Any.", example = "2991835172301144064"),
    ),
    request_body = VertexRequest,
    responses((status = 200, description = "The classes of each image.", body = VertexResponse), VertexErrors)
)]
pub async fn vertex_predict_deployed(
    State(state): State<AppState>,
    Path((_endpoint, deployed)): Path<(String, String)>,
    request: Request,
) -> Result<Json<VertexResponse>, ApiError> {
    Verb::predict(&deployed)?;
    predict(&state, None, request).await
}

/// Whether the server should be sent requests, as Vertex AI asks a container
///
/// As `GET /health/ready`.
#[utoipa::path(
    get, path = "/v1/endpoints/{endpoint}/deployedModels/{deployed}", operation_id = "vertex_get_health", tag = "clients",
    params(
        ("endpoint" = String, Path, description = "Any.", example = "7365738345634201600"),
        ("deployed" = String, Path, description = "Any.", example = "2991835172301144064"),
    ),
    responses((status = 200, description = "It should.", body = TorchServeHealth), VertexHealthErrors)
)]
pub async fn vertex_get_health(State(state): State<AppState>) -> Result<Json<TorchServeHealth>, ApiError> {
    check_ready(&state)?;
    Ok(Json(TorchServeHealth::HEALTHY))
}

async fn predict(state: &AppState, model: Option<&str>, request: Request) -> Result<Json<VertexResponse>, ApiError> {
    let call = AdapterCall::admit(state, model, CallContext::of(&request)).await?;
    let VertexRequest { instances, parameters } = read_json(request, state).await?;
    parameters.check()?;
    let image = |(index, instance): (usize, VertexInstance)| -> Result<Bytes, ApiError> {
        base64::decode(&instance.content)
            .map_err(|error| ApiError::new(Code::InvalidBody, format!("instances[{index}].content: {error}")))
    };
    let images = instances.into_iter().enumerate().map(image).collect::<Result<Vec<Bytes>, _>>()?;
    if images.is_empty() {
        return Err(ApiError::new(Code::ImageMissing, "instances: send at least one image"));
    }
    let scored = call.scored(state, images).await?;
    let most = parameters.max_predictions.unwrap_or(MAX_PREDICTIONS);
    let prediction = |image: &ScoredImage| {
        let classes = call.ranked(&image.scores, most).into_iter();
        let classes = classes.filter(|class| class.score >= parameters.confidence_threshold);
        VertexPrediction { uncertain: image.uncertain, ..VertexPrediction::of(classes) }
    };
    Ok(Json(VertexResponse {
        predictions: scored.iter().map(prediction).collect(),
        deployed_model_id: call.name().to_owned(),
        model_display_name: call.name().to_owned(),
        model_version_id: call.version().to_string(),
    }))
}

impl VertexParameters {
    fn check(&self) -> Result<(), ApiError> {
        let Self { confidence_threshold, max_predictions } = self;
        if !(0.0..=1.0).contains(confidence_threshold) {
            let detail = format!("parameters.confidenceThreshold is {confidence_threshold}; send a number from 0 to 1");
            return Err(ApiError::new(Code::InvalidParameter, detail));
        }
        match max_predictions {
            Some(0) => Err(ApiError::new(Code::InvalidParameter, "parameters.maxPredictions is 0; send 1 or more")),
            _ => Ok(()),
        }
    }
}

impl VertexPrediction {
    fn of(classes: impl Iterator<Item = RankedClass>) -> Self {
        let mut prediction = Self::default();
        for RankedClass { index, label, score } in classes {
            prediction.ids.push(index.to_string());
            prediction.display_names.push(label);
            prediction.confidences.push(score);
        }
        prediction
    }
}
