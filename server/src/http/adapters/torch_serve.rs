//! TorchServe's inference API, as its image classifiers answer.

use axum::Json;
use axum::extract::{Request, State};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::core::{AdapterCall, CallContext, RankedClass};
use super::upload;
use crate::http::extract::Path;
use crate::http::problem::{ApiError, TORCH_SERVE, documents};
use crate::http::state::AppState;
use crate::http::v1::classify::ImageFile;
use crate::http::v1::health::check_ready;

/// How many classes are answered, as of TorchServe's handler `image_classifier`.
const TOP_K: usize = 5;
/// The part of a form that TorchServe's examples send an image in.
const PART: &str = "data";

/// That the server should be sent requests.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TorchServeHealth {
    /// `Healthy`.
    #[schema(example = "Healthy")]
    status: &'static str,
}

impl TorchServeHealth {
    pub(super) const HEALTHY: Self = Self { status: "Healthy" };
}

/// Scores by class names, best first.
#[derive(Debug, Clone, ToSchema)]
#[schema(value_type = std::collections::HashMap<String, f32>, example = json!({"tulip": 0.9731, "rose": 0.0152}))]
pub struct TorchServeClasses(Vec<RankedClass>);

/// JSON's maps have no order; its readers keep the one that they find.
impl Serialize for TorchServeClasses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for class in &self.0 {
            map.serialize_entry(&class.label, &class.score)?;
        }
        map.end()
    }
}

documents! {
    /// The errors of `GET /ping`.
    PingErrors as TORCH_SERVE: NotReady, ShuttingDown
}

documents! {
    /// The errors of `POST /predictions/{model}`.
    PredictionErrors as TORCH_SERVE:
        InvalidMultipart, BodyUnreadable, ImageEmpty, ImageMissing, NotAnImage, ImageUnsupported, ImageTruncated, ImageCorrupt,
        ImageTooLarge, NotAClassifier, ModelNotFound, VersionNotServed, BodyTooLarge, UnsupportedMediaType, Overloaded,
        ModelLoading, ModelUnloaded, ModelFailed, BodyTimeout, ServerBusy
}

/// Whether the server should be sent requests, as TorchServe and SageMaker ask
///
/// As `GET /health/ready`.
#[utoipa::path(
    get, path = "/ping", operation_id = "get_ping", tag = "clients",
    responses((status = 200, description = "It should.", body = TorchServeHealth), PingErrors)
)]
pub async fn get_ping(State(state): State<AppState>) -> Result<Json<TorchServeHealth>, ApiError> {
    check_ready(&state)?;
    Ok(Json(TorchServeHealth::HEALTHY))
}

/// Classify an image as TorchServe does
///
/// The bytes of an image, or a form with the part `data`. `PUT`, which `curl --upload-file` sends, is the same.
#[utoipa::path(
    post, path = "/predictions/{model}", operation_id = "torch_serve_predict", tag = "clients",
    params(("model" = String, Path, description = "The model's name.", example = "flowers")),
    request_body(content = ImageFile, content_type = "application/octet-stream"),
    responses((status = 200, description = "The five best classes.", body = TorchServeClasses), PredictionErrors)
)]
pub async fn torch_serve_predict(
    State(state): State<AppState>,
    Path(model): Path<String>,
    request: Request,
) -> Result<Json<TorchServeClasses>, ApiError> {
    predict(&state, &model, None, request).await
}

/// Classify an image with a version as TorchServe does
///
/// The version must be the one that answers.
#[utoipa::path(
    post, path = "/predictions/{model}/{version}", operation_id = "torch_serve_predict_version", tag = "clients",
    params(
        ("model" = String, Path, description = "The model's name.", example = "flowers"),
        ("version" = String, Path, description = "The version that answers.", example = "3"),
    ),
    request_body(content = ImageFile, content_type = "application/octet-stream"),
    responses((status = 200, description = "The five best classes.", body = TorchServeClasses), PredictionErrors)
)]
pub async fn torch_serve_predict_version(
    State(state): State<AppState>,
    Path((model, version)): Path<(String, String)>,
    request: Request,
) -> Result<Json<TorchServeClasses>, ApiError> {
    predict(&state, &model, Some(&version), request).await
}

async fn predict(
    state: &AppState,
    model: &str,
    version: Option<&str>,
    request: Request,
) -> Result<Json<TorchServeClasses>, ApiError> {
    let call = AdapterCall::admit(state, Some(model), CallContext::of(&request)).await?.of_version(version)?;
    let image = upload::image(request, state, PART).await?;
    let scores = call.scores(state, vec![image]).await?.concat();
    Ok(Json(TorchServeClasses(call.ranked(&scores, TOP_K))))
}
