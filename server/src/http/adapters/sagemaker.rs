//! The container of a SageMaker endpoint, and the endpoint itself as `boto3` calls it. The answer is that of SageMaker's
//! image classification models.

use axum::Json;
use axum::extract::{Request, State};
use models::doubt::Doubt;
use serde::Serialize;
use utoipa::ToSchema;

use super::core::{AdapterCall, CallContext, ScoredImage};
use super::upload;
use crate::http::extract::Path;
use crate::http::problem::{ApiError, Code, ERROR_TEXT, documents};
use crate::http::state::AppState;
use crate::http::v1::classify::ImageFile;

/// Names the model of an endpoint that has several.
const TARGET_MODEL: &str = "x-amzn-sagemaker-target-model";

/// What an image shows.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SageMakerPrediction {
    /// The scores, in the order of the labels.
    #[schema(example = json!([0.0117, 0.9731, 0.0152]))]
    probabilities: Vec<f32>,
    /// The class names.
    #[schema(example = json!(["rose", "tulip", "iris"]))]
    labels: Vec<String>,
    /// The best class.
    #[schema(example = "tulip")]
    predicted_label: String,
    /// Why it is not to be trusted, if it is not, as in `POST /classify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "low_score")]
    uncertain: Option<Doubt>,
}

documents! {
    /// The errors of `POST /invocations`.
    InvocationErrors as ERROR_TEXT:
        ModelNotNamed, InvalidParameter, InvalidMultipart, BodyUnreadable, ImageEmpty, ImageMissing, NotAnImage,
        ImageUnsupported, ImageTruncated, ImageCorrupt, ImageTooLarge, NotAClassifier, ModelNotFound, BodyTooLarge,
        UnsupportedMediaType, Overloaded, ModelLoading, ModelUnloaded, ModelFailed, BodyTimeout, ServerBusy
}

/// Classify an image as a container of SageMaker does
///
/// The model is the default one, unless `X-Amzn-SageMaker-Target-Model` names another. The content type may be `application/x-image` or
/// `image/…` too.
#[utoipa::path(
    post, path = "/invocations", operation_id = "sagemaker_invoke", tag = "clients",
    params((
        "X-Amzn-SageMaker-Target-Model" = Option<String>, Header, nullable = false, description = "The model's name.",
        example = "flowers",
    )),
    request_body(content = ImageFile, content_type = "application/octet-stream"),
    responses((status = 200, description = "All classes.", body = SageMakerPrediction), InvocationErrors)
)]
pub async fn sagemaker_invoke(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<SageMakerPrediction>, ApiError> {
    let target = target_model(&request)?;
    invoke(&state, target.as_deref(), request).await
}

/// Classify an image as an endpoint of SageMaker does
///
/// The endpoint is the model, unless `X-Amzn-SageMaker-Target-Model` names another. The access key of the signature is the API
/// key.
#[utoipa::path(
    post, path = "/endpoints/{endpoint}/invocations", operation_id = "sagemaker_invoke_endpoint", tag = "clients",
    params(
        ("endpoint" = String, Path, description = "The model's name.", example = "flowers"),
        ("X-Amzn-SageMaker-Target-Model" = Option<String>, Header, nullable = false, description = "The model's name.",
         example = "flowers"),
    ),
    request_body(content = ImageFile, content_type = "application/octet-stream"),
    responses((status = 200, description = "All classes.", body = SageMakerPrediction), InvocationErrors)
)]
pub async fn sagemaker_invoke_endpoint(
    State(state): State<AppState>,
    Path(endpoint): Path<String>,
    request: Request,
) -> Result<Json<SageMakerPrediction>, ApiError> {
    let target = target_model(&request)?;
    invoke(&state, Some(target.as_deref().unwrap_or(&endpoint)), request).await
}

fn target_model(request: &Request) -> Result<Option<String>, ApiError> {
    let Some(value) = request.headers().get(TARGET_MODEL) else { return Ok(None) };
    match value.to_str() {
        Ok(name) => Ok(Some(name.to_owned())),
        Err(_) => Err(ApiError::new(Code::InvalidParameter, "X-Amzn-SageMaker-Target-Model: send the name of a model")),
    }
}

async fn invoke(
    state: &AppState,
    model: Option<&str>,
    request: Request,
) -> Result<Json<SageMakerPrediction>, ApiError> {
    let call = AdapterCall::admit(state, model, CallContext::of(&request)).await?;
    let image = upload::image(request, state, "image").await?;
    let ScoredImage { scores: probabilities, uncertain } = call.scored_image(state, image).await?;
    let predicted_label = call.ranked(&probabilities, 1).pop().map_or_else(String::new, |class| class.label);
    Ok(Json(SageMakerPrediction { probabilities, labels: call.labels(), predicted_label, uncertain }))
}
