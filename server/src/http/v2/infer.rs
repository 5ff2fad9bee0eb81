//! Images or tensors in, tensors or classes out.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use tokio::task::spawn_blocking;
use trainer::evaluate::TestViews;

use super::answer::InferAnswer;
use super::body::InferBody;
use super::input::{InferImages, InputReader};
use super::located::located;
use super::output::{OutputEncoding, OutputPlan, OutputReader};
use super::request::InferRequest;
use super::response::InferResponse;
use super::target::ModelTarget;
use crate::http::extract::{ContentCoding, Path, parse_json};
use crate::http::problem::{ApiError, ERROR_TEXT, documents};
use crate::http::state::AppState;
use crate::http::v1::call::{CallContext, ModelCall};
use crate::http::v1::classify::ImageFile;
use crate::http::v1::refusal::every_image;

documents! {
    /// The errors of `POST /v2/models/{model}/infer`.
    InferErrors as ERROR_TEXT:
        InvalidTensor, InvalidHeaderLength, InvalidJson, InvalidBody, BodyUnreadable, ImageEmpty, NotAnImage, ImageUnsupported,
        ImageTruncated, ImageCorrupt, ImageTooLarge, TooManyImages, NotAClassifier, ModelNotFound, VersionNotServed,
        BodyTooLarge, UnsupportedMediaType, Overloaded, ModelLoading, ModelUnloaded, ModelFailed, BodyTimeout, ServerBusy
}

/// A request that has been read.
pub(crate) struct ParsedRequest {
    pub(crate) images: InferImages,
    pub(crate) outputs: Vec<OutputPlan>,
    pub(crate) id: Option<String>,
    pub(crate) timeout: Option<Duration>,
}

/// How requests to a model are read.
pub(crate) struct RequestReader {
    pub(crate) inputs: InputReader,
    pub(crate) outputs: OutputReader,
}

/// Classify images or tensors (Open Inference Protocol)
///
/// JSON, or, by the binary extension, JSON with the tensors behind it as bytes: `Inference-Header-Content-Length` says how long the
/// JSON is. With `0` the body is one tensor of pixels, or one image file. An image that cannot be used refuses the request.
/// `Content-Encoding` and `Accept-Encoding` may be `gzip` or `deflate`.
#[utoipa::path(
    post, path = "/v2/models/{model}/infer", operation_id = "v2_infer", tag = "inference-protocol",
    params(
        ("model" = String, Path, description = "The model's name.", example = "flowers"),
        ("Inference-Header-Content-Length" = Option<u64>, Header, nullable = false,
         description = "How many bytes of JSON the body begins with, if not all of it."),
    ),
    request_body(content((InferRequest = "application/json"), (ImageFile = "application/octet-stream"))),
    responses(
        (status = 200, description = "The outputs.",
         content((InferResponse = "application/json"), (String = "application/octet-stream"))),
        InferErrors
    )
)]
pub async fn v2_infer(
    State(state): State<AppState>,
    Path(model): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    infer(&state, ModelTarget::live(model), request).await
}

/// Classify images or tensors with a version (Open Inference Protocol)
///
/// The version must be the one that answers.
#[utoipa::path(
    post, path = "/v2/models/{model}/versions/{version}/infer", operation_id = "v2_infer_version", tag = "inference-protocol",
    params(
        ("model" = String, Path, description = "The model's name.", example = "flowers"),
        ("version" = String, Path, description = "The version that answers.", example = "3"),
        ("Inference-Header-Content-Length" = Option<u64>, Header, nullable = false,
         description = "How many bytes of JSON the body begins with, if not all of it."),
    ),
    request_body(content((InferRequest = "application/json"), (ImageFile = "application/octet-stream"))),
    responses(
        (status = 200, description = "The outputs.",
         content((InferResponse = "application/json"), (String = "application/octet-stream"))),
        InferErrors
    )
)]
pub async fn v2_infer_version(
    State(state): State<AppState>,
    Path(target): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    infer(&state, ModelTarget::version(target), request).await
}

async fn infer(state: &AppState, target: ModelTarget, request: Request) -> Result<Response, ApiError> {
    let call = ModelCall::admit(state, Some(&target.name), CallContext::of(&request)).await?;
    target.check_version(Some(call.model().version()))?;
    let coding = ContentCoding::accepted(request.headers());
    let body = InferBody::read(request, state, &call).await?;
    let reader = RequestReader::new(state, &call);
    // A tensor in JSON is megabytes of digits.
    let parsed = spawn_blocking(move || reader.read(body)).await.map_err(ApiError::internal)??;
    parsed.run(state, call).await?.write(coding).await
}

impl ParsedRequest {
    /// What the model says of the images.
    ///
    /// # Errors
    /// An image cannot be used, or the model has no time for it.
    pub(crate) async fn run(self, state: &AppState, mut call: ModelCall) -> Result<InferAnswer, ApiError> {
        let Self { images, outputs, id, timeout } = self;
        if let Some(timeout) = timeout {
            call = call.within(timeout);
        }
        let result = match images {
            InferImages::Files(files) => call.run(state, files, TestViews::None).await?,
            InferImages::Pixels(images) => call.run_prepared(images).await?,
        };
        let rows = every_image(result.logits)?;
        Ok(InferAnswer { call, rows, outputs, id })
    }
}

impl RequestReader {
    /// Reads what the model of a call is asked.
    pub(crate) fn new(state: &AppState, call: &ModelCall) -> Self {
        let model = call.model();
        Self { inputs: InputReader::new(state, model), outputs: OutputReader::new(model.scores()) }
    }

    fn read(&self, body: InferBody) -> Result<ParsedRequest, ApiError> {
        match body {
            InferBody::Raw(body) => Ok(ParsedRequest {
                images: self.inputs.read_raw(body),
                outputs: self.outputs.all(OutputEncoding::Binary),
                id: None,
                timeout: None,
            }),
            InferBody::Json { json, tensors } => {
                let InferRequest { id, parameters, inputs, outputs } = parse_json(&json)?;
                Ok(ParsedRequest {
                    outputs: self.outputs.of_request(&outputs, &parameters)?,
                    images: self.inputs.read(located(inputs, tensors)?)?,
                    id,
                    timeout: micros(parameters.timeout),
                })
            }
        }
    }
}

/// A timeout as requests have it; 0 is none.
pub(crate) fn micros(timeout: u64) -> Option<Duration> {
    (timeout > 0).then(|| Duration::from_micros(timeout))
}
