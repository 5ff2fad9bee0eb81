//! Custom Vision's prediction API (Azure), versions 3.x. The name of a published iteration is the model's name.

use std::sync::LazyLock;

use axum::Json;
use axum::extract::{Request, State};
use jiff::Timestamp;
use models::doubt::Doubt;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::{Builder, Uuid};

use super::core::{AdapterCall, CallContext, RankedClass, ScoredImage};
use super::upload;
use crate::http::extract::Path;
use crate::http::problem::{ApiError, CUSTOM_VISION, Code, documents};
use crate::http::state::AppState;
use crate::http::v1::classify::ImageFile;

/// The part of a form that Custom Vision's clients send an image in.
const PART: &str = "imageData";

/// Names of iterations and tags become identifiers by version 5 of RFC 9562, in this space: "graft.custom-vision" in that of
/// DNS names.
static NAMES: LazyLock<Uuid> = LazyLock::new(|| named(&Uuid::NAMESPACE_DNS, "graft.custom-vision"));

/// What an image shows.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CustomVisionPrediction {
    /// The request's id, as in the log.
    #[schema(example = "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55")]
    id: String,
    /// That of the address.
    #[schema(example = "1ea5e1b4-3b0f-4a34-9c34-5f0a7d3e6b21")]
    project: String,
    /// The model and its version.
    #[schema(example = "6b1c5f66-05d2-5a35-8b6d-0e9d61e9a4d5")]
    iteration: String,
    /// When it was answered.
    #[schema(value_type = String, format = DateTime, example = "2026-11-30T10:00:00Z")]
    created: Timestamp,
    /// All classes, best first.
    predictions: Vec<CustomVisionTag>,
    /// Why the first of them is not to be trusted, if it is not, as in `POST /classify`. Custom Vision itself says nothing of the kind;
    /// Microsoft's Python client has it in `additional_properties`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "low_score")]
    uncertain: Option<Doubt>,
}

/// A class that the image may show.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomVisionTag {
    /// How sure the model is, 0 to 1.
    #[schema(example = 0.9731)]
    probability: f32,
    /// Made of the class's name, the same in every model.
    #[schema(example = "2f4c3c35-9a8e-5d26-8e0f-9f2f0f5a8d11")]
    tag_id: String,
    /// The class's name.
    #[schema(example = "tulip")]
    tag_name: String,
    /// `Regular`.
    #[schema(example = "Regular")]
    tag_type: &'static str,
}

documents! {
    /// The errors of `POST …/image`.
    PredictionErrors as CUSTOM_VISION:
        InvalidMultipart, BodyUnreadable, ImageEmpty, ImageMissing, NotAnImage, ImageUnsupported, ImageTruncated, ImageCorrupt,
        ImageTooLarge, NotAClassifier, ModelNotFound, BodyTooLarge, UnsupportedMediaType, Overloaded, ModelLoading, ModelUnloaded,
        ModelFailed, BodyTimeout, ServerBusy
}

/// Classify an image as Custom Vision does
///
/// The bytes of an image, or a form with the part `imageData`. The key may be sent as `Prediction-Key`. `…/image/nostore` and
/// `/Prediction/` with a capital letter are the same: nothing is stored. `…/url` is refused: the server fetches nothing.
#[utoipa::path(
    post, path = "/customvision/{api}/prediction/{project}/classify/iterations/{model}/image",
    operation_id = "custom_vision_classify", tag = "clients",
    params(
        ("api" = String, Path, description = "The version of Custom Vision's API; each of 3.x.", example = "v3.1"),
        ("project" = String, Path, description = "Any; it comes back in the answer.",
         example = "1ea5e1b4-3b0f-4a34-9c34-5f0a7d3e6b21"),
        ("model" = String, Path, description = "The name of the published iteration: the model's name.", example = "flowers"),
    ),
    request_body(content = ImageFile, content_type = "application/octet-stream"),
    responses((status = 200, description = "All classes.", body = CustomVisionPrediction), PredictionErrors)
)]
pub async fn custom_vision_classify(
    State(state): State<AppState>,
    Path((_api, project, model)): Path<(String, String, String)>,
    request: Request,
) -> Result<Json<CustomVisionPrediction>, ApiError> {
    let call = AdapterCall::admit(&state, Some(&model), CallContext::of(&request)).await?;
    let image = upload::image(request, &state, PART).await?;
    let ScoredImage { scores, uncertain } = call.scored_image(&state, image).await?;
    let tag = |class: RankedClass| CustomVisionTag {
        probability: class.score,
        tag_id: named(&NAMES, &format!("tag/{}", class.label)).to_string(),
        tag_name: class.label,
        tag_type: "Regular",
    };
    Ok(Json(CustomVisionPrediction {
        id: call.request_id().to_owned(),
        project,
        iteration: named(&NAMES, &format!("iteration/{}/{}", call.name(), call.version())).to_string(),
        created: Timestamp::now(),
        predictions: call.ranked(&scores, scores.len()).into_iter().map(tag).collect(),
        uncertain,
    }))
}

/// Refuses the address of an image: the server fetches nothing.
pub async fn custom_vision_refuse_url() -> ApiError {
    Code::ImageUrlRefused.into()
}

/// The identifier of a name in a space (RFC 9562, 5.5).
fn named(space: &Uuid, name: &str) -> Uuid {
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(space.as_bytes());
    hash.update(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finish().as_ref()[..16]);
    Builder::from_sha1_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers_as_everywhere() {
        // `python3 -c "import uuid; print(uuid.uuid5(uuid.NAMESPACE_DNS, 'python.org'))"`, from Python's documentation.
        let expected: Uuid = "886313e1-3b8a-5372-9b90-0c9aee199e5d".parse().unwrap();
        assert_eq!(named(&Uuid::NAMESPACE_DNS, "python.org"), expected);
    }
}
