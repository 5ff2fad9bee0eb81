//! Images in, classes out.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use models::scores::{softmax, top_k};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{refusal, within};
use crate::http::extract::{ImageBytes, Images, Query, Upload};
use crate::http::problem::{ApiError, documents};
use crate::http::state::AppState;
use crate::inference::{InferenceError, InferenceResult};

const MOST_CLASSES: usize = 1_000_000;

/// With which model, and how much to answer.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ClassifyQuery {
    /// The model's name. May be left out where there is only one classifier.
    #[param(nullable = false, example = "flowers")]
    model: Option<String>,
    /// How many classes to answer for each image, best first. More than the model has is all of them.
    #[serde(default = "default_top_k")]
    #[param(minimum = 1, maximum = 1_000_000, default = 5, example = 5)]
    top_k: usize,
}

fn default_top_k() -> usize {
    5
}

/// Image files as a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that `Images` reads")]
pub struct ClassifyForm {
    /// One part for each image file: JPEG, PNG, WebP, GIF or BMP.
    #[schema(value_type = Vec<String>, format = Binary, min_items = 1)]
    image: Vec<Vec<u8>>,
}

/// The bytes of one image file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes the body that `ImageBytes` reads")]
pub struct ImageFile(Vec<u8>);

/// What the images show.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Classification {
    /// The model that answered.
    #[schema(example = "flowers")]
    pub model: String,
    /// Its version.
    #[schema(example = 3)]
    pub version: u32,
    /// The engine that ran it: `ort` is ONNX Runtime.
    #[schema(example = "ort")]
    pub engine: String,
    /// One entry for each image, in the order of the request.
    pub results: Vec<ImageResult>,
    /// How many images were in the run of the model, other requests' included.
    #[schema(example = 1)]
    pub batch_size: usize,
    /// How long it took.
    pub timings_ms: Timings,
}

/// What one image shows.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImageResult {
    /// The file name in the form, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "rose.jpg")]
    pub file_name: Option<String>,
    /// The classes, best first.
    pub predictions: Vec<Prediction>,
}

/// A class that an image may show.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Prediction {
    /// The class's name.
    #[schema(example = "tulip")]
    pub label: String,
    /// The class's number, from 0.
    #[schema(example = 7)]
    pub class: usize,
    /// How sure the model is, 0 to 1. The scores of all classes add up to 1.
    #[schema(example = 0.9731)]
    pub score: f32,
}

/// Milliseconds. With several images those of the slowest, where they ran side by side.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Timings {
    /// Decoding and resizing.
    #[schema(example = 3.2)]
    pub prepare: f64,
    /// Waiting for the model.
    #[schema(example = 0.1)]
    pub queue: f64,
    /// The run of the model.
    #[schema(example = 9.8)]
    pub inference: f64,
    /// From the moment the body had arrived.
    #[schema(example = 13.4)]
    pub total: f64,
}

documents! {
    /// What can be wrong with a form of images.
    ClassifyErrors:
        InvalidParameter, InvalidMultipart, BodyUnreadable, ImageMissing, ImageEmpty, ModelNotNamed, ModelNotFound,
        BodyTooLarge, UnsupportedMediaType, NotAnImage, ImageUnsupported, ImageTruncated, ImageCorrupt, ImageTooLarge,
        TooManyImages, NotAClassifier, Overloaded, ModelLoading, ModelFailed
}

documents! {
    /// What can be wrong with an image.
    ClassifyBytesErrors:
        InvalidParameter, BodyUnreadable, ImageEmpty, ModelNotNamed, ModelNotFound, BodyTooLarge,
        UnsupportedMediaType, NotAnImage, ImageUnsupported, ImageTruncated, ImageCorrupt, ImageTooLarge,
        NotAClassifier, Overloaded, ModelLoading, ModelFailed
}

/// Classify images of a form
///
/// Takes one or more image files in parts named `image`. If one of them cannot be used, none is classified and the error
/// names it.
#[utoipa::path(
    post, path = "/classify", operation_id = "classify_images", tag = "classify",
    params(ClassifyQuery),
    request_body(content = ClassifyForm, content_type = "multipart/form-data"),
    responses((status = 200, description = "What the images show.", body = Classification), ClassifyErrors)
)]
pub async fn classify_images(
    State(state): State<AppState>,
    Query(query): Query<ClassifyQuery>,
    Images(uploads): Images,
) -> Result<Json<Classification>, ApiError> {
    classify(&state, &query, uploads).await.map(Json)
}

/// Classify one image
///
/// Takes the bytes of an image file as they are. `image/…` is accepted as content type too; the format is told by the
/// bytes.
#[utoipa::path(
    post, path = "/classify/bytes", operation_id = "classify_bytes", tag = "classify",
    params(ClassifyQuery),
    request_body(content = ImageFile, content_type = "application/octet-stream"),
    responses((status = 200, description = "What the image shows.", body = Classification), ClassifyBytesErrors)
)]
pub async fn classify_bytes(
    State(state): State<AppState>,
    Query(query): Query<ClassifyQuery>,
    ImageBytes(bytes): ImageBytes,
) -> Result<Json<Classification>, ApiError> {
    classify(&state, &query, vec![Upload { file_name: None, bytes }]).await.map(Json)
}

async fn classify(state: &AppState, query: &ClassifyQuery, uploads: Vec<Upload>) -> Result<Classification, ApiError> {
    let started = Instant::now();
    let count = within("top_k", query.top_k, &(1..=MOST_CLASSES))?;
    let model = state.registry.classifier(query.model.as_deref())?;
    let (names, images): (Vec<_>, Vec<_>) = uploads.into_iter().map(|upload| (upload.file_name, upload.bytes)).unzip();
    let answers = model.run(&state.decoder, images).await.map_err(|error| match error {
        InferenceError::Image { index, source } => refusal::image(&source, part(index, &names).as_deref()),
        error => error.into(),
    })?;
    let InferenceResult { logits, prepare, queue, inference, batch } = answers;
    let predictions = |logits: &[f32]| {
        let scores = softmax(logits, 1.0);
        let best = top_k(&scores, count).into_iter();
        let label = |class| model.labels().get(class).unwrap_or_default().to_owned();
        best.map(|class| Prediction { label: label(class), class, score: scores[class] }).collect()
    };
    let results = names.into_iter().zip(&logits);
    Ok(Classification {
        model: model.name().to_string(),
        version: model.version(),
        engine: state.engine.kind.to_string(),
        results: results.map(|(file_name, row)| ImageResult { file_name, predictions: predictions(row) }).collect(),
        batch_size: batch,
        timings_ms: Timings {
            prepare: millis(prepare),
            queue: millis(queue),
            inference: millis(inference),
            total: millis(started.elapsed()),
        },
    })
}

/// Names an image of a form; the only image of a body needs no name.
fn part(index: usize, names: &[Option<String>]) -> Option<String> {
    let (number, count) = (index + 1, names.len());
    match names.get(index)? {
        Some(name) => Some(format!("image {number} of {count} ({name})")),
        None if count > 1 => Some(format!("image {number} of {count}")),
        None => None,
    }
}

/// Microseconds are as fine as anyone measures.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
