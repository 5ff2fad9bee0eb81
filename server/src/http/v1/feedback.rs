//! Classified images that are kept, and what somebody says that they show.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};

use super::result::{Classification, ImageResult};
use super::within;
use crate::config::{CollectOptions, CollectPolicy};
use crate::datasets::stored::{Addition, ClassifiedImage, Feedback, InboxImage, Label, file_name};
use crate::http::extract::{self, Path, Query, Upload};
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::http::written;

/// An image whose highest score is lower is uncertain.
const CERTAIN: f32 = 0.7;

/// What an image shows that a model was asked about.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedbackRequest {
    /// The `request_id` of the answer that the image was classified in.
    #[schema(example = "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55")]
    request_id: String,
    /// The place of the image in that answer, from 0.
    #[serde(default)]
    #[schema(default = 0, example = 0)]
    image: u32,
    /// What it shows.
    #[schema(example = "tulip", min_length = 1, max_length = 200)]
    label: String,
}

/// What became of a word about an image.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FeedbackResult {
    /// The data set that has the image now; its next snapshot has it too.
    #[schema(example = "corrected")]
    pub dataset: String,
    /// The image's id there.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub id: String,
    /// The class that the feedback gives it.
    #[schema(example = "tulip")]
    pub label: String,
    /// What the model took it for.
    #[schema(example = "rose")]
    pub predicted: String,
}

/// A classified image that waits for feedback.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InboxEntry {
    /// Its place in the order in which images came, with gaps; `after` of the next request.
    #[schema(example = 42)]
    pub id: i64,
    /// The request that it was classified in.
    #[schema(example = "0199c3a4-6f0e-7cc1-a1de-2f7b8c1d9e55")]
    pub request_id: String,
    /// Its place in that request, from 0.
    #[schema(example = 0)]
    pub image: u32,
    /// What the file was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "rose.jpg")]
    pub file_name: Option<String>,
    /// The model that classified it.
    #[schema(example = "flowers")]
    pub model: String,
    /// The version that answered.
    #[schema(example = 3)]
    pub version: u32,
    /// What the model took it for.
    #[schema(example = "rose")]
    pub predicted: String,
    /// The score of that class.
    #[schema(example = 0.41)]
    pub score: f64,
    /// The size of the file.
    #[schema(example = 42_810)]
    pub bytes: u64,
    /// When it came.
    #[schema(value_type = String, format = DateTime, example = "2026-11-23T18:52:32.104Z")]
    pub kept_at: Timestamp,
}

/// Some of the images that wait for a label.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InboxPage {
    /// Oldest first.
    pub data: Vec<InboxEntry>,
    /// Whether there are more; ask for them with `after` set to the last `id`.
    pub has_more: bool,
    /// The data set that `POST /feedback` moves images to; missing where the server keeps none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "corrected")]
    pub dataset: Option<String>,
}

/// The page of the inbox.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InboxQuery {
    /// The `id` of the last image of the previous page.
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    after: i64,
    /// The maximum number of images in the answer.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

/// The bytes of an image file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes the answer")]
pub struct InboxContent(Vec<u8>);

documents! {
    /// The errors of `POST /feedback`.
    FeedbackErrors:
        InvalidJson, BodyUnreadable, InboxImageNotFound, ImageLabeledOtherwise, BodyTooLarge, UnsupportedMediaType,
        InvalidBody, InvalidLabel, CollectionOff, DatasetLimit, BodyTimeout, ServerBusy, DatasetsUnavailable, StorageFull
}

documents! {
    /// The errors of `GET /inbox`.
    InboxErrors: InvalidParameter, DatasetsUnavailable
}

documents! {
    /// The errors of `GET /inbox/{id}`.
    InboxImageErrors: InboxImageNotFound, DatasetsUnavailable
}

documents! {
    /// The errors of `DELETE /inbox/{id}`.
    DeleteInboxErrors: InboxImageNotFound, DatasetsUnavailable, StorageFull
}

/// Puts images into the inbox that are worth it, and says so in the answer. A disk that fails costs the images, not the answer.
pub(super) async fn keep(
    state: &AppState,
    options: &CollectOptions,
    uploads: Vec<Upload>,
    answer: &mut Classification,
) {
    let worth = |(_, (_, result)): &(usize, (Upload, &ImageResult))| wanted(options.policy, result);
    let chosen: Vec<(usize, (Upload, &ImageResult))> =
        uploads.into_iter().zip(&answer.results).enumerate().filter(worth).collect();
    let places: Vec<usize> = chosen.iter().map(|(place, _)| *place).collect();
    let image = |(place, (upload, result)): (usize, (Upload, &ImageResult))| {
        let best = result.predictions.as_ref()?.first()?;
        Some(ClassifiedImage {
            request_id: answer.request_id.clone(),
            image: u32::try_from(place).ok()?,
            file_name: upload.file_name.as_deref().and_then(file_name),
            model: answer.model.clone(),
            version: answer.version,
            label: best.label.clone(),
            score: best.score,
            bytes: upload.bytes,
        })
    };
    let images: Vec<ClassifiedImage> = chosen.into_iter().filter_map(image).collect();
    let kept = match state.datasets.keep(images, options.limits).await {
        Ok(kept) => kept,
        Err(error) => {
            ApiError::from(error).log();
            return;
        }
    };
    for (place, kept) in places.into_iter().zip(kept) {
        answer.results[place].kept = Some(kept);
    }
}

fn wanted(policy: CollectPolicy, result: &ImageResult) -> bool {
    let Some(best) = result.predictions.as_ref().and_then(|predictions| predictions.first()) else { return false };
    match policy {
        CollectPolicy::All => true,
        CollectPolicy::Uncertain => result.uncertain.is_some() || best.score < CERTAIN,
        // Each state is seeded anew by the standard library.
        CollectPolicy::Sampled(share) => (RandomState::new().build_hasher().finish() as f64) < share * u64::MAX as f64,
    }
}

/// Say what a classified image shows
///
/// The image was sent to `POST /classify?keep=true` and waits in the inbox. It moves to the data set that the server collects
/// for, whose next snapshot has it.
#[utoipa::path(
    post, path = "/feedback", operation_id = "give_feedback", tag = "classify",
    request_body = FeedbackRequest,
    responses((status = 200, description = "The data set has the image.", body = FeedbackResult), FeedbackErrors)
)]
pub async fn give_feedback(
    State(state): State<AppState>,
    extract::Json(request): extract::Json<FeedbackRequest>,
) -> Result<Json<FeedbackResult>, ApiError> {
    let Some(options) = &state.collect else { return Err(Code::CollectionOff.into()) };
    let label = request.label.parse::<Label>();
    let label = label.map_err(|error| ApiError::new(Code::InvalidLabel, error.to_string()))?;
    let (dataset, request_id) = (&options.dataset, &*request.request_id);
    let word = Feedback { dataset, request_id, image: request.image, label: &label };
    let (entry, addition) = state.datasets.take_from_inbox(&word, state.limits.image).await?;
    match addition {
        Addition::Added(id) | Addition::Present(id) => Ok(Json(FeedbackResult {
            dataset: dataset.to_string(),
            id: id.to_string(),
            label: label.to_string(),
            predicted: entry.label,
        })),
        Addition::LabeledOtherwise { sha256, label } => {
            let detail = format!(
                "the image is in the data set `{dataset}` with the label `{label}`; change it with PATCH on the image {sha256}"
            );
            Err(ApiError::new(Code::ImageLabeledOtherwise, detail))
        }
    }
}

/// List the images that wait for feedback
///
/// Oldest first.
#[utoipa::path(
    get, path = "/inbox", operation_id = "list_inbox", tag = "datasets",
    params(InboxQuery),
    responses((status = 200, description = "A page of the inbox.", body = InboxPage), InboxErrors)
)]
pub async fn list_inbox(
    State(state): State<AppState>,
    Query(query): Query<InboxQuery>,
) -> Result<Json<InboxPage>, ApiError> {
    let limit = within("limit", query.limit, &(1..=1000))?;
    if query.after < 0 {
        return Err(ApiError::new(Code::InvalidParameter, "after: it must not be negative"));
    }
    let page = state.datasets.inbox(query.after, limit).await?;
    Ok(Json(InboxPage {
        data: page.data.into_iter().map(InboxEntry::from).collect(),
        has_more: page.has_more,
        dataset: state.collect.as_ref().map(|options| options.dataset.to_string()),
    }))
}

/// Get an image that waits for feedback
///
/// The file as it came.
#[utoipa::path(
    get, path = "/inbox/{id}", operation_id = "get_inbox_image", tag = "datasets",
    params(("id" = i64, Path, description = "The image's `id` in the inbox.")),
    responses(
        (status = 200, description = "The image file.", body = InboxContent, content_type = "application/octet-stream"),
        InboxImageErrors
    )
)]
pub async fn get_inbox_image(State(state): State<AppState>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let path = state.datasets.inbox_file(inbox_id(&id)?).await?;
    let opened = spawn_blocking(move || {
        let file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        Ok::<_, io::Error>((file, length))
    });
    let (mut file, length) = opened.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
    let body = written::body(length, move |to| io::copy(&mut file, to).map(drop));
    // What a client has sent is shown by no browser as a page of this server.
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))];
    Ok((headers, body).into_response())
}

/// Remove an image that waits for feedback
///
/// It goes into no data set, and its file is deleted.
#[utoipa::path(
    delete, path = "/inbox/{id}", operation_id = "delete_inbox_image", tag = "datasets",
    params(("id" = i64, Path, description = "The image's `id` in the inbox.")),
    responses((status = 204, description = "It is removed."), DeleteInboxErrors)
)]
pub async fn delete_inbox_image(State(state): State<AppState>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    state.datasets.discard_inbox_image(inbox_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<InboxImage> for InboxEntry {
    fn from(image: InboxImage) -> Self {
        Self {
            id: image.id,
            request_id: image.request_id,
            image: image.image,
            file_name: image.file_name,
            model: image.model,
            version: image.version,
            predicted: image.label,
            score: image.score,
            bytes: image.bytes,
            kept_at: image.kept_at,
        }
    }
}

/// Parses the id in a path. A malformed one is that of no image.
fn inbox_id(text: &str) -> Result<i64, ApiError> {
    text.parse().map_err(|_| ApiError::new(Code::InboxImageNotFound, format!("the inbox has no image `{text}`")))
}
