//! Images in, classes out.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use models::Labels;
use models::preprocess::ImageError;
use models::scores::ScoreKind;
use models::spec::ScoreSpec;
use serde::Deserialize;
use trainer::evaluate::TestViews;
use trainer::quantize::VariantKind;
use utoipa::{IntoParams, ToSchema};

use super::call::{CallContext, ModelCall};
use super::explanation::explain;
use super::feedback::keep;
use super::result::{Classification, ExplainMethod, ImageProblem, ImageResult, Prediction, Timings};
use super::{refusal, within};
use crate::config::CollectOptions;
use crate::http::extract::{ImageBytes, Images, Query, Upload};
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::inference::InferenceResult;

pub(super) const MOST_CLASSES: usize = 1_000_000;
/// How many images the error of a form names.
const NAMED: usize = 10;

/// With which model, and how much to answer.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ClassifyQuery {
    /// The model's name. Left out, it is the default model, or the only classifier.
    #[param(nullable = false, example = "flowers")]
    model: Option<String>,
    /// How many classes to answer for each image, best first. More than the model has is all of them. Where classes do not
    /// exclude each other, all that are present are answered, however many they are.
    #[serde(default = "default_top_k")]
    #[param(minimum = 1, maximum = 1_000_000, default = 5, example = 5)]
    top_k: usize,
    /// The score from which on a class counts as present, for a model whose classes do not exclude each other (`scores` is
    /// `sigmoid`) [default: the threshold of each class that the model was trained with, or 0.5].
    #[param(nullable = false, minimum = 0, maximum = 1, example = 0.5)]
    threshold: Option<f32>,
    /// The variant of the model that answers, for comparison, whether or not it is the fastest or good enough; `GET /models/{name}`
    /// lists them. The first request for one has it loaded [default: the one that the server chose].
    #[param(nullable = false, inline, example = "int8")]
    variant: Option<VariantKind>,
    /// Views of each image whose answers are averaged: `flip` is the image and the image in a mirror, which may be better and
    /// takes twice as long. Each view counts as an image in the queue [default: none].
    #[serde(default)]
    #[param(inline)]
    tta: TestViews,
    /// Whether the images may wait for feedback. The server must collect images (`--collect`), and keeps those that its policy wants.
    #[serde(default)]
    #[param(default = false, example = false)]
    keep: bool,
    /// Whether to show where the model sees the best class, and how. Takes about as long as training on the image does.
    #[param(nullable = false, inline, example = "cam")]
    explain: Option<ExplainMethod>,
}

pub(super) fn default_top_k() -> usize {
    5
}

impl ClassifyQuery {
    /// What may be kept of the images, if they may.
    fn collection<'a>(&self, state: &'a AppState) -> Result<Option<&'a CollectOptions>, ApiError> {
        match (&state.collect, self.keep) {
            (_, false) => Ok(None),
            (Some(options), true) => Ok(Some(options)),
            (None, true) => Err(Code::CollectionOff.into()),
        }
    }
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

documents! {
    /// What can be wrong with a form of images.
    ClassifyErrors:
        InvalidParameter, InvalidMultipart, BodyUnreadable, ImageMissing, ImageEmpty, ModelNotNamed, ModelNotFound, VariantNotFound,
        BodyTooLarge, UnsupportedMediaType, NotAnImage, ImageUnsupported, ImageTruncated, ImageCorrupt, ImageTooLarge,
        TooManyImages, NotAClassifier, NotExplainable, CollectionOff, Overloaded, ModelLoading, ModelUnloaded, ModelFailed, BodyTimeout, ServerBusy
}

documents! {
    /// What can be wrong with an image.
    ClassifyBytesErrors:
        InvalidParameter, BodyUnreadable, ImageEmpty, ModelNotNamed, ModelNotFound, VariantNotFound, BodyTooLarge,
        UnsupportedMediaType, NotAnImage, ImageUnsupported, ImageTruncated, ImageCorrupt, ImageTooLarge,
        NotAClassifier, NotExplainable, CollectionOff, Overloaded, ModelLoading, ModelUnloaded, ModelFailed, BodyTimeout, ServerBusy
}

/// Classify images of a form
///
/// Takes one or more image files in parts named `image`. Each has a result: what it shows, or, where it cannot be used, its
/// problem. If no image of the form can be used, the answer is the error of the first.
#[utoipa::path(
    post, path = "/classify", operation_id = "classify_images", tag = "classify",
    params(ClassifyQuery),
    request_body(content = ClassifyForm, content_type = "multipart/form-data"),
    responses((status = 200, description = "What the images show; at least one has predictions.", body = Classification), ClassifyErrors)
)]
pub async fn classify_images(
    State(state): State<AppState>,
    Query(query): Query<ClassifyQuery>,
    request: Request,
) -> Result<Json<Classification>, ApiError> {
    let call = admit(&state, &query, CallContext::of(&request)).await?;
    let Images(uploads) = Images::from_request(request, &state).await?;
    classify_and_keep(&state, &query, &call, uploads).await.map(Json)
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
    let call = admit(&state, &query, CallContext::of(&request)).await?;
    let ImageBytes(bytes) = ImageBytes::from_request(request, &state).await?;
    classify_and_keep(&state, &query, &call, vec![Upload { file_name: None, bytes }]).await.map(Json)
}

/// Everything that can be refused is refused before the body is read.
async fn admit(state: &AppState, query: &ClassifyQuery, context: CallContext) -> Result<ModelCall, ApiError> {
    within("top_k", query.top_k, &(1..=MOST_CLASSES))?;
    let call = ModelCall::admit(state, query.model.as_deref(), context).await?.in_variant(state, query.variant).await?;
    check_threshold(query.threshold, call.model().scores().kind)?;
    query.collection(state)?;
    Ok(call)
}

async fn classify_and_keep(
    state: &AppState,
    query: &ClassifyQuery,
    call: &ModelCall,
    uploads: Vec<Upload>,
) -> Result<Classification, ApiError> {
    let Some(options) = query.collection(state)? else { return classify(state, query, call, uploads).await };
    let mut answer = classify(state, query, call, uploads.clone()).await?;
    keep(state, options, uploads, &mut answer).await;
    Ok(answer)
}

async fn classify(
    state: &AppState,
    query: &ClassifyQuery,
    call: &ModelCall,
    uploads: Vec<Upload>,
) -> Result<Classification, ApiError> {
    let (started, model) = (Instant::now(), call.model());
    let (spec, labels, asked) = (model.scores(), model.labels(), query.threshold);
    let (names, images): (Vec<_>, Vec<_>) = uploads.into_iter().map(|upload| (upload.file_name, upload.bytes)).unzip();
    let explained = query.explain.map(|method| (method, images.clone()));
    let InferenceResult { logits, prepare, queue, inference, batch } = call.run(state, images, query.tta).await?;
    refuse_all(&names, &logits)?;
    let answered = AnsweredImages { names, logits: &logits, scores: spec, labels: &labels };
    let mut results = answered.results(query.top_k, asked);
    if let Some((ExplainMethod::Cam, images)) = explained {
        explain(state, model, images, &mut results).await?;
    }
    Ok(Classification {
        request_id: call.request_id().to_owned(),
        model: model.name().to_string(),
        version: model.version(),
        variant: call.variant(),
        engine: state.engine.kind.to_string(),
        scores: spec.kind,
        threshold: spec.common_threshold(asked),
        results,
        batch_size: batch,
        timings_ms: Timings {
            prepare: millis(prepare),
            queue: millis(queue),
            inference: millis(inference),
            total: millis(started.elapsed()),
        },
    })
}

/// The logits of images, and how they are read.
pub(super) struct AnsweredImages<'a> {
    pub(super) names: Vec<Option<String>>,
    pub(super) logits: &'a [Result<Vec<f32>, ImageError>],
    pub(super) scores: &'a ScoreSpec,
    pub(super) labels: &'a Labels,
}

impl AnsweredImages<'_> {
    /// What each image shows, so many classes of each, by this threshold where one was asked for.
    pub(super) fn results(self, top_k: usize, asked: Option<f32>) -> Vec<ImageResult> {
        let Self { names, logits, scores: spec, labels } = self;
        let predictions = |logits: &[f32]| {
            let scores = spec.kind.scores(logits);
            let prediction = |class: usize| {
                let (score, threshold) = (scores[class], spec.threshold(class, asked));
                Prediction {
                    label: labels.get(class).unwrap_or_default().to_owned(),
                    class,
                    score,
                    present: threshold.map(|threshold| score >= threshold),
                    threshold,
                }
            };
            spec.answered(&scores, top_k, asked).into_iter().map(prediction).collect()
        };
        let result = |(file_name, row): (Option<String>, &Result<Vec<f32>, ImageError>)| {
            let (predictions, problem) = match row {
                Ok(logits) => (Some(predictions(logits)), None),
                Err(error) => (None, Some(ImageProblem::of(error))),
            };
            let uncertain = row.as_ref().ok().and_then(|logits| spec.doubt(logits));
            ImageResult { file_name, predictions, uncertain, problem, explanation: None, kept: None }
        };
        names.into_iter().zip(logits).map(result).collect()
    }
}

/// An error if no image can be used, or one not for its own sake: that of the first, with what is wrong with the others.
pub(super) fn refuse_all<T>(names: &[Option<String>], files: &[Result<T, ImageError>]) -> Result<(), ApiError> {
    let refusals = || files.iter().enumerate().filter_map(|(index, row)| Some((index, row.as_ref().err()?)));
    if let Some((_, fault)) = refusals().find(|(_, error)| matches!(error, ImageError::Parameters(_))) {
        return Err(refusal::image(fault));
    }
    let Some((_, first)) = refusals().next().filter(|_| files.iter().all(Result::is_err)) else { return Ok(()) };
    let mut details: Vec<String> = refusals().take(NAMED).map(|(index, error)| named(index, names, error)).collect();
    if files.len() > NAMED {
        details.push(format!("and {} more", files.len() - NAMED));
    }
    Err(ApiError::new(refusal::image(first).code(), details.join("; ")))
}

/// Whether a threshold makes sense: only classes that stand beside each other have one.
fn check_threshold(asked: Option<f32>, scores: ScoreKind) -> Result<(), ApiError> {
    match (asked, scores) {
        (Some(threshold), _) if !(0.0..=1.0).contains(&threshold) => Err(ApiError::new(
            Code::InvalidParameter,
            format!("`threshold` is {threshold}; it must be between 0 and 1"),
        )),
        (None, _) | (_, ScoreKind::Sigmoid) => Ok(()),
        (Some(_), _) => Err(ApiError::new(
            Code::InvalidParameter,
            "the classes of this model exclude each other, so there is no `threshold`; leave it out",
        )),
    }
}

/// What is wrong with an image, which is named where there are several.
fn named(index: usize, names: &[Option<String>], error: &ImageError) -> String {
    let (number, count) = (index + 1, names.len());
    match names.get(index) {
        Some(Some(name)) => format!("image {number} of {count} ({name}): {error}"),
        _ if count > 1 => format!("image {number} of {count}: {error}"),
        _ => error.to_string(),
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
    fn the_error_of_a_form_names_ten_images_and_counts_the_others() {
        let refused = refuse_all(&vec![None; 12], &vec![Err::<(), _>(ImageError::Empty); 12]).unwrap_err();
        assert_eq!(refused.code(), Code::ImageEmpty);
        let detail = refused.detail().unwrap();
        assert!(
            detail.starts_with("image 1 of 12: the image is empty") && detail.ends_with("; and 2 more"),
            "{detail}"
        );
        assert!(detail.contains("image 10 of 12") && !detail.contains("image 11"), "{detail}");
        refuse_all(&vec![None; 2], &[Err(ImageError::Empty), Ok(())]).unwrap();
    }

    #[test]
    fn only_classes_that_stand_beside_each_other_have_a_threshold() {
        for (asked, scores) in
            [(None, ScoreKind::Sigmoid), (Some(0.25), ScoreKind::Sigmoid), (None, ScoreKind::Softmax)]
        {
            check_threshold(asked, scores).unwrap();
        }
        for (asked, scores, expected) in [
            (0.5, ScoreKind::Softmax, "exclude each other"),
            (1.5, ScoreKind::Sigmoid, "between 0 and 1"),
            (f32::NAN, ScoreKind::Sigmoid, "between 0 and 1"),
        ] {
            let error = check_threshold(Some(asked), scores).unwrap_err();
            assert_eq!(error.code(), Code::InvalidParameter);
            assert!(error.detail().unwrap().contains(expected), "{error:?}");
        }
    }
}
