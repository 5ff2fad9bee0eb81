//! Classifications by versions that do not answer.

use std::time::Instant;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use models::Labels;
use serde::Deserialize;
use utoipa::IntoParams;

use super::classify::{AnsweredImages, ClassifyForm, MOST_CLASSES, default_top_k, refuse_all};
use super::result::{Classification, Timings};
use super::within;
use crate::http::extract::{Images, Query};
use crate::http::problem::{ApiError, Code, documents};
use crate::http::record::RequestRecord;
use crate::http::state::AppState;
use crate::store::{ModelName, StoreError};
use crate::trials::{TrialAnswer, TrialFailure};

/// The version that is asked.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TrialQuery {
    /// The model's name.
    #[param(example = "flowers")]
    model: String,
    /// The number of a stored version, whether it answers or not.
    #[param(minimum = 1, example = 2)]
    version: u32,
    /// How many classes to answer for each image, best first. More than the model has is all of them.
    #[serde(default = "default_top_k")]
    #[param(minimum = 1, maximum = 1_000_000, default = 5)]
    top_k: usize,
}

documents! {
    /// The errors of `POST /classify/version`.
    TrialErrors:
        InvalidParameter, InvalidMultipart, BodyUnreadable, ImageMissing, ImageEmpty, ModelNotFound, BodyTooLarge,
        UnsupportedMediaType, NotAnImage, ImageUnsupported, ImageTruncated, ImageCorrupt, ImageTooLarge, TooManyImages,
        NotAClassifier, Overloaded, ModelFailed, BodyTimeout, ServerBusy
}

/// Classify images with a version that does not answer
///
/// To compare it with the one that does, before it is let in. One such version is open at a time, and the first request for another
/// takes as long as opening it does.
#[utoipa::path(
    post, path = "/classify/version", operation_id = "classify_with_version", tag = "classify",
    params(TrialQuery),
    request_body(content = ClassifyForm, content_type = "multipart/form-data"),
    responses((status = 200, description = "What the images show; at least one has predictions.", body = Classification), TrialErrors)
)]
pub async fn classify_with_version(
    State(state): State<AppState>,
    Query(query): Query<TrialQuery>,
    request: Request,
) -> Result<Json<Classification>, ApiError> {
    within("top_k", query.top_k, &(1..=MOST_CLASSES))?;
    let missing = || ApiError::new(Code::ModelNotFound, format!("there is no model `{}`", query.model));
    let name: ModelName = query.model.parse().map_err(|_| missing())?;
    state.trials.check()?;
    let request_id = request.extensions().get::<RequestRecord>().map_or(String::new(), |record| record.id().to_owned());
    let Images(uploads) = Images::from_request(request, &state).await?;
    let started = Instant::now();
    let (names, images): (Vec<_>, Vec<_>) = uploads.into_iter().map(|upload| (upload.file_name, upload.bytes)).unzip();
    let count = images.len();
    let TrialAnswer { spec, logits, took } = state.trials.answer(&name, query.version, images).await?;
    refuse_all(&names, &logits)?;
    let none = Labels::new(vec![]);
    let labels = spec.labels.as_ref().unwrap_or(&none);
    let answered = AnsweredImages { names, logits: &logits, scores: &spec.scores, labels };
    let millis = |duration: std::time::Duration| duration.as_micros() as f64 / 1000.0;
    Ok(Json(Classification {
        request_id,
        model: name.to_string(),
        version: query.version,
        variant: None,
        engine: state.engine.kind.to_string(),
        scores: spec.scores.kind,
        threshold: spec.scores.common_threshold(None),
        results: answered.results(query.top_k, None),
        batch_size: count,
        timings_ms: Timings { prepare: 0.0, queue: 0.0, inference: millis(took), total: millis(started.elapsed()) },
    }))
}

impl From<TrialFailure> for ApiError {
    fn from(failure: TrialFailure) -> Self {
        let detail = failure.to_string();
        match failure {
            TrialFailure::Busy => ApiError::from(Code::Overloaded).retry_after(std::time::Duration::from_secs(1)),
            TrialFailure::Backbone { .. } => ApiError::new(Code::NotAClassifier, detail),
            TrialFailure::Store(StoreError::Unknown { .. } | StoreError::UnknownVersion { .. }) => {
                ApiError::new(Code::ModelNotFound, detail)
            }
            TrialFailure::Store(StoreError::Damaged { .. }) | TrialFailure::Engine(_) => {
                ApiError::new(Code::ModelFailed, detail)
            }
            TrialFailure::Store(_) | TrialFailure::Interrupted(_) => ApiError::internal(failure),
        }
    }
}
