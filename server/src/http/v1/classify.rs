//! Images in, classes out.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use models::scores::{ScoreKind, top_k};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::call::ModelCall;
use super::{refusal, within};
use crate::http::extract::{ImageBytes, Images, Query, Upload};
use crate::http::problem::{ApiError, Code, documents};
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
    /// The score from which on a class counts as present, for a model whose classes do not exclude each other (`scores` is
    /// `sigmoid`) [default: 0.5].
    #[param(nullable = false, minimum = 0, maximum = 1, example = 0.5)]
    threshold: Option<f32>,
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
    /// How its scores are made: `softmax` of classes that exclude each other, `sigmoid` of classes that stand beside each
    /// other (multi-label), `none` for scores that the network makes itself.
    #[schema(value_type = String, example = "softmax")]
    pub scores: ScoreKind,
    /// The score from which on a class counts as present; for `sigmoid` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 0.5)]
    pub threshold: Option<f32>,
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
    /// How sure the model is, 0 to 1. Scores made by `softmax` add up to 1 over all classes; others stand alone.
    #[schema(example = 0.9731)]
    pub score: f32,
    /// Whether the score reaches the threshold; for `sigmoid` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = true)]
    pub present: Option<bool>,
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
        TooManyImages, NotAClassifier, Overloaded, ModelLoading, ModelFailed, BodyTimeout, ServerBusy
}

documents! {
    /// What can be wrong with an image.
    ClassifyBytesErrors:
        InvalidParameter, BodyUnreadable, ImageEmpty, ModelNotNamed, ModelNotFound, BodyTooLarge,
        UnsupportedMediaType, NotAnImage, ImageUnsupported, ImageTruncated, ImageCorrupt, ImageTooLarge,
        NotAClassifier, Overloaded, ModelLoading, ModelFailed, BodyTimeout, ServerBusy
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
    request: Request,
) -> Result<Json<Classification>, ApiError> {
    let call = admit(&state, &query, &request)?;
    let Images(uploads) = Images::from_request(request, &state).await?;
    classify(&state, &query, &call, uploads).await.map(Json)
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
    request: Request,
) -> Result<Json<Classification>, ApiError> {
    let call = admit(&state, &query, &request)?;
    let ImageBytes(bytes) = ImageBytes::from_request(request, &state).await?;
    classify(&state, &query, &call, vec![Upload { file_name: None, bytes }]).await.map(Json)
}

/// Everything that can be refused is refused before the body is read.
fn admit(state: &AppState, query: &ClassifyQuery, request: &Request) -> Result<ModelCall, ApiError> {
    within("top_k", query.top_k, &(1..=MOST_CLASSES))?;
    let call = ModelCall::admit(state, query.model.as_deref(), request)?;
    threshold(query.threshold, call.model().scores())?;
    Ok(call)
}

async fn classify(
    state: &AppState,
    query: &ClassifyQuery,
    call: &ModelCall,
    uploads: Vec<Upload>,
) -> Result<Classification, ApiError> {
    let (started, model) = (Instant::now(), call.model());
    let threshold = threshold(query.threshold, model.scores())?;
    let (names, images): (Vec<_>, Vec<_>) = uploads.into_iter().map(|upload| (upload.file_name, upload.bytes)).unzip();
    let answers = call.run(state, images).await.map_err(|error| match error {
        InferenceError::Image { index, source } => refusal::image(&source, part(index, &names).as_deref()),
        error => error.into(),
    })?;
    let InferenceResult { logits, prepare, queue, inference, batch } = answers;
    let predictions = |logits: &[f32]| {
        let scores = model.scores().scores(logits);
        let best = top_k(&scores, query.top_k).into_iter();
        let label = |class| model.labels().get(class).unwrap_or_default().to_owned();
        let present = |score: f32| threshold.map(|threshold| score >= threshold);
        let prediction = |class: usize| Prediction {
            label: label(class),
            class,
            score: scores[class],
            present: present(scores[class]),
        };
        best.map(prediction).collect()
    };
    let results = names.into_iter().zip(&logits);
    Ok(Classification {
        model: model.name().to_string(),
        version: model.version(),
        engine: state.engine.kind.to_string(),
        scores: model.scores(),
        threshold,
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

/// The threshold of a model with independent classes; no other has one.
fn threshold(asked: Option<f32>, scores: ScoreKind) -> Result<Option<f32>, ApiError> {
    match (asked, scores) {
        (Some(threshold), _) if !(0.0..=1.0).contains(&threshold) => Err(ApiError::new(
            Code::InvalidParameter,
            format!("`threshold` is {threshold}; it must be between 0 and 1"),
        )),
        (asked, ScoreKind::Sigmoid) => Ok(Some(asked.unwrap_or(ScoreKind::THRESHOLD))),
        (None, _) => Ok(None),
        (Some(_), _) => Err(ApiError::new(
            Code::InvalidParameter,
            "the classes of this model exclude each other, so there is no `threshold`; leave it out",
        )),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_classes_that_stand_beside_each_other_have_a_threshold() {
        assert_eq!(threshold(None, ScoreKind::Sigmoid).unwrap(), Some(0.5));
        assert_eq!(threshold(Some(0.25), ScoreKind::Sigmoid).unwrap(), Some(0.25));
        assert_eq!(threshold(None, ScoreKind::Softmax).unwrap(), None);
        for (asked, scores, expected) in [
            (0.5, ScoreKind::Softmax, "exclude each other"),
            (1.5, ScoreKind::Sigmoid, "between 0 and 1"),
            (f32::NAN, ScoreKind::Sigmoid, "between 0 and 1"),
        ] {
            let error = threshold(Some(asked), scores).unwrap_err();
            assert_eq!(error.code(), Code::InvalidParameter);
            assert!(error.detail().unwrap().contains(expected), "{error:?}");
        }
    }
}
