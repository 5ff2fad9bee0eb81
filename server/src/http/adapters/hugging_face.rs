//! Hugging Face's Inference API for image classification, as `InferenceClient(model="http://host/hf/flowers")` calls it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header;
use models::scores::ScoreKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::core::{AdapterCall, CallContext};
use super::upload;
use crate::http::extract::{Path, base64, not_null, read_json};
use crate::http::problem::{ApiError, Code, ERROR_TEXT, documents};
use crate::http::state::AppState;
use crate::http::v1::classify::ImageFile;

/// How many classes are answered unless the request says otherwise, as of transformers' pipeline.
const TOP_K: usize = 5;

/// An image with parameters.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct HuggingFaceRequest {
    /// The image file in base64.
    #[schema(example = "iVBORw0KGgo…")]
    inputs: String,
    #[serde(default)]
    parameters: HuggingFaceParameters,
}

/// How to answer.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct HuggingFaceParameters {
    /// How many classes [default: 5].
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false, minimum = 1, example = 3)]
    top_k: Option<usize>,
    /// How scores are made of what the network computes [default: as the model was trained].
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    function_to_apply: Option<OutputTransform>,
}

/// How scores are made.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputTransform {
    /// Of each class by itself.
    Sigmoid,
    /// Of classes that exclude each other.
    Softmax,
    /// Not at all.
    None,
}

/// A class of the image.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HuggingFaceClass {
    /// The class's name.
    #[schema(example = "tulip")]
    label: String,
    /// How sure the model is.
    #[schema(example = 0.9731)]
    score: f32,
}

documents! {
    /// The errors of `POST /hf/{model}`.
    HuggingFaceErrors as ERROR_TEXT:
        InvalidParameter, InvalidJson, InvalidBody, InvalidMultipart, BodyUnreadable, ImageEmpty, ImageMissing, NotAnImage,
        ImageUnsupported, ImageTruncated, ImageCorrupt, ImageTooLarge, NotAClassifier, ModelNotFound, BodyTooLarge,
        UnsupportedMediaType, Overloaded, ModelLoading, ModelUnloaded, ModelFailed, BodyTimeout, ServerBusy
}

/// Classify an image as Hugging Face's Inference API does
///
/// The bytes of an image, or JSON with the image in base64 and parameters.
#[utoipa::path(
    post, path = "/hf/{model}", operation_id = "hugging_face_classify", tag = "clients",
    params(("model" = String, Path, description = "The model's name.", example = "flowers")),
    request_body(content((HuggingFaceRequest = "application/json"), (ImageFile = "application/octet-stream"))),
    responses((status = 200, description = "The best classes.", body = Vec<HuggingFaceClass>), HuggingFaceErrors)
)]
pub async fn hugging_face_classify(
    State(state): State<AppState>,
    Path(model): Path<String>,
    request: Request,
) -> Result<Json<Vec<HuggingFaceClass>>, ApiError> {
    let call = AdapterCall::admit(&state, Some(&model), CallContext::of(&request)).await?;
    let (image, HuggingFaceParameters { top_k, function_to_apply }) = read(request, &state).await?;
    let top_k = top_k.unwrap_or(TOP_K);
    if top_k == 0 {
        return Err(ApiError::new(Code::InvalidParameter, "top_k: 0 classes are no answer; send 1 or more"));
    }
    let scores = match function_to_apply {
        None => call.scores(&state, vec![image]).await?,
        Some(function) => {
            let kind = ScoreKind::from(function);
            call.logits(&state, vec![image]).await?.iter().map(|logits| kind.scores(logits)).collect()
        }
    };
    let classes = scores.iter().flat_map(|scores| call.ranked(scores, top_k));
    Ok(Json(classes.map(|class| HuggingFaceClass { label: class.label, score: class.score }).collect()))
}

async fn read(request: Request, state: &AppState) -> Result<(Bytes, HuggingFaceParameters), ApiError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("application/json")) {
        return Ok((upload::image(request, state, "image").await?, HuggingFaceParameters::default()));
    }
    let HuggingFaceRequest { inputs, parameters } = read_json(request, state).await?;
    let image = base64::decode(&inputs);
    Ok((image.map_err(|error| ApiError::new(Code::InvalidBody, format!("inputs: {error}")))?, parameters))
}

impl From<OutputTransform> for ScoreKind {
    fn from(function: OutputTransform) -> Self {
        match function {
            OutputTransform::Sigmoid => Self::Sigmoid,
            OutputTransform::Softmax => Self::Softmax,
            OutputTransform::None => Self::Identity,
        }
    }
}
