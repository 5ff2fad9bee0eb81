//! Models that clients send.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde_json::Value;
use utoipa::ToSchema;

use super::import::{AcceptedImport, ImportJob, ImportedVersion, USUAL_WAIT};
use crate::http::extract::encoding;
use crate::http::extract::prefer::Preferences;
use crate::http::middleware::deadline::Deadline;
use crate::http::problem::{ApiError, Code, documents};
use crate::http::record::RequestRecord;
use crate::http::state::AppState;
use crate::http::v1::jobs::idempotency_key;
use crate::imports::{ImportOption, ImportSpec, IncomingFolder, UploadedFile};
use crate::jobs::{JobRecord, JobRequest, JobSpec, Jobs, Submission};
use crate::store::ModelName;

/// How long before the client's own deadline the answer is the job.
const MARGIN: Duration = Duration::from_millis(250);
/// The longest text of a part that is no file.
const LONGEST_TEXT: usize = 4 << 10;

/// The files and options of an import, as parts of a form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form that is streamed")]
pub struct ModelForm {
    /// The name in the store. A model of this name gets a new version.
    #[schema(example = "flowers", min_length = 1, max_length = 64)]
    name: String,
    /// The model: an ONNX file, or weights as safetensors, PyTorch's `.pth` or Keras' `.h5`. Files that an ONNX file keeps its
    /// weights in come as further parts of this name, under the names that it calls them.
    #[schema(value_type = Vec<String>, format = Binary, min_items = 1)]
    file: Vec<Vec<u8>>,
    /// The class names in the order of the outputs: one a line, or a list in JSON. Text, or a file.
    #[schema(nullable = false, example = "daffodil\nsnowdrop\nlily of the valley")]
    labels: Option<String>,
    /// How images are prepared: a preset (`torchvision`, `squashed`, `caffe-bgr`, `keras-tf`, `zero-one`, `bytes`), or a JSON object of
    /// options of `graft import`: `preprocess` (a preset), `resize`, `crop`, `filter`, `mean`, `std`, `pixel_max`, `channel_order`,
    /// `size`, `output`, `activation`, `arch`.
    #[schema(nullable = false, example = "torchvision")]
    preprocessing: Option<String>,
}

documents! {
    /// The errors of `POST /models`.
    UploadModelErrors:
        InvalidParameter, InvalidMultipart, BodyUnreadable, ModelNotFound, IdempotencyKeyReused, JobFinished, BodyTooLarge,
        UnsupportedMediaType, ModelRefused, TooManyJobs, JobsUnavailable, BodyTimeout, StorageFull
}

/// Send a model
///
/// As `graft import` takes it: the file is parsed, its classes and its preparation are found or taken from the form, it runs
/// on every engine of the server, and it is stored with images that it must reproduce. That is a job. The request waits for it: as
/// long as `Prefer: wait=N` says, up to `--request-timeout-seconds`, and 20 seconds where the client says nothing. When it is done by
/// then, the answer is the version, or what is wrong with the file and what to do. Else, and at once with `Prefer: respond-async`, it is
/// the job, which goes on whether anybody waits for it or not.
#[utoipa::path(
    post, path = "/models", operation_id = "upload_model", tag = "models",
    params(
        (
            "Prefer" = Option<String>, Header, nullable = false, max_length = 255, example = "respond-async",
            description = "`respond-async` answers with the job, `wait=N` waits N seconds for it before (RFC 7240)."
        ),
        (
            "Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
            pattern = "^[!-~]+$",
            description = "Two equal requests with the same key, of the same files, are one import."
        ),
    ),
    request_body(content = ModelForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "It is stored.", body = ImportedVersion,
         headers(
             ("Location" = String, description = "The address of the version."),
             ("Preference-Applied" = String, description = "The preferences that were followed, if there were any.")
         )),
        (status = 202, description = "The job goes on.", body = ImportJob,
         headers(
             ("Location" = String, description = "The address of the job."),
             ("Preference-Applied" = String, description = "The preferences that were followed, if there were any.")
         )),
        UploadModelErrors
    )
)]
pub async fn upload_model(
    State(state): State<AppState>,
    Extension(record): Extension<RequestRecord>,
    request: Request,
) -> Result<Response, ApiError> {
    encoding::check(request.headers())?;
    let jobs = state.jobs.ready()?;
    let preferences = Preferences::of(request.headers());
    let key = idempotency_key(request.headers())?.map(str::to_owned);
    let longest = longest_wait(&state, &request);
    let folder = state.imports.create(declared(request.headers())).await.map_err(disk)?;
    let spec = receive(request, &state, &folder).await?;
    folder.settle().await.map_err(disk)?;
    let order = ImportOrder { spec, key, owner: record.caller().map(str::to_owned) };
    let job = write_down(&jobs, order, folder).await?;
    let patience = preferences.patience(USUAL_WAIT, longest());
    AcceptedImport { job, preferences, patience }.answer(&state, &jobs).await
}

/// How long the answer may wait, as it is known when the upload is complete.
fn longest_wait(state: &AppState, request: &Request) -> impl Fn() -> Duration + use<> {
    let (most, deadline) = (state.limits.request_timeout, request.extensions().get::<Deadline>().copied());
    move || match deadline {
        Some(Deadline(deadline)) => most.min(deadline.saturating_duration_since(Instant::now() + MARGIN)),
        None => most,
    }
}

/// A request for an import, whose files are on the disk.
struct ImportOrder {
    spec: JobSpec,
    key: Option<String>,
    owner: Option<String>,
}

/// The job, which owns the folder from now on; of a request that came before, its job, and the folder goes. A client that goes
/// meanwhile changes nothing: between the two there would be a job without files.
async fn write_down(jobs: &Jobs, order: ImportOrder, folder: IncomingFolder) -> Result<JobRecord, ApiError> {
    let jobs = jobs.clone();
    let write = async move {
        let ImportOrder { spec, key, owner } = &order;
        let request = JobRequest { spec, idempotency_key: key.as_deref(), owner: owner.as_deref() };
        match jobs.create(&request).await? {
            Submission::New(job) => {
                folder.hand_over();
                Ok(job)
            }
            Submission::Existing(job) => Ok(job),
        }
    };
    tokio::spawn(write).await.map_err(ApiError::internal)?
}

/// How many bytes the body has, if it says so.
fn declared(headers: &HeaderMap) -> u64 {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Writes the files of a form into the folder.
async fn receive(request: Request, state: &AppState, folder: &IncomingFolder) -> Result<JobSpec, ApiError> {
    let mut parts = Multipart::from_request(request, state).await.map_err(|_| {
        ApiError::new(Code::UnsupportedMediaType, "send `multipart/form-data` with parts named `name` and `file`")
    })?;
    let (mut name, mut files, mut labels, mut options) = (None, Vec::new(), None, BTreeMap::new());
    while let Some(part) = parts.next_field().await.map_err(|error| broken(&error))? {
        match part.name() {
            Some("name") => name = Some(model_name(&text(part).await?)?),
            Some("file") => files.push(file(part, folder, "model").await?),
            Some("labels") => labels = Some(file(part, folder, "labels.txt").await?),
            Some("preprocessing") => options = preparation(&text(part).await?)?,
            // A part that is ignored is a setting that silently has no effect.
            other => {
                let other = other.unwrap_or_default();
                let detail = format!(
                    "there is a part named `{other}`; only `name`, `file`, `labels` and `preprocessing` are taken"
                );
                return Err(ApiError::new(Code::InvalidMultipart, detail));
            }
        }
    }
    let missing = |what: &str| ApiError::new(Code::InvalidMultipart, format!("the form has no part named `{what}`"));
    let name = name.ok_or_else(|| missing("name"))?;
    if files.is_empty() {
        return Err(missing("file"));
    }
    Ok(JobSpec::Import(ImportSpec { name, files, labels, options, folder: folder.name() }))
}

fn model_name(text: &str) -> Result<ModelName, ApiError> {
    text.parse().map_err(|error| ApiError::new(Code::InvalidMultipart, format!("name: {error}")))
}

async fn text(mut part: Field<'_>) -> Result<String, ApiError> {
    let name = part.name().unwrap_or_default().to_owned();
    let mut bytes = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(|error| broken(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LONGEST_TEXT {
            let detail = format!("{name}: the text has more than {LONGEST_TEXT} bytes");
            return Err(ApiError::new(Code::InvalidMultipart, detail));
        }
    }
    let text = String::from_utf8(bytes);
    text.map_err(|_| ApiError::new(Code::InvalidMultipart, format!("{name}: the text is not UTF-8")))
}

/// Writes a part to a file.
async fn file(mut part: Field<'_>, folder: &IncomingFolder, otherwise: &str) -> Result<UploadedFile, ApiError> {
    let mut file = match folder.file(part.file_name(), otherwise).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let detail = "two files of the form have one name; give each a name of its own";
            return Err(ApiError::new(Code::InvalidMultipart, detail));
        }
        Err(error) => return Err(disk(error)),
    };
    while let Some(chunk) = part.chunk().await.map_err(|error| broken(&error))? {
        file.write(&chunk).await.map_err(disk)?;
    }
    file.finish().await.map_err(disk)
}

/// The options of a preset's name, or of a JSON object.
fn preparation(text: &str) -> Result<BTreeMap<ImportOption, String>, ApiError> {
    let invalid = |detail: String| ApiError::new(Code::InvalidMultipart, format!("preprocessing: {detail}"));
    let text = text.trim();
    if !text.starts_with('{') {
        return Ok(BTreeMap::from([(ImportOption::Preprocess, text.to_owned())]));
    }
    let options: serde_json::Map<String, Value> =
        serde_json::from_str(text).map_err(|error| invalid(format!("it is no JSON object: {error}")))?;
    let option = |(name, value): (String, Value)| {
        let option = ImportOption::ALL.iter().copied().find(|option| option.name() == name).ok_or_else(|| {
            let names: Vec<&str> = ImportOption::ALL.iter().map(|option| option.name()).collect();
            invalid(format!("there is no option `{name}`; there are {}", names.join(", ")))
        })?;
        let value =
            word(&value).ok_or_else(|| invalid(format!("{name}: send a text, a number or a list of numbers")))?;
        Ok((option, value))
    };
    options.into_iter().map(option).collect()
}

/// As the command line has it: lists with commas.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(list) => {
            let words = list.iter().map(|value| if value.is_array() { None } else { word(value) });
            Some(words.collect::<Option<Vec<String>>>()?.join(","))
        }
        _ => None,
    }
}

fn broken(error: &MultipartError) -> ApiError {
    ApiError::new(Code::InvalidMultipart, error.body_text())
}

fn disk(error: io::Error) -> ApiError {
    match crate::failure::is_full_disk(&error) {
        true => ApiError::from(Code::StorageFull).caused_by(error),
        false => ApiError::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preparation_is_a_preset_or_options_of_the_command() {
        let preset = BTreeMap::from([(ImportOption::Preprocess, "bytes".to_owned())]);
        assert_eq!(preparation(" bytes\n").unwrap(), preset);
        let options = r#"{"mean": [0.5, 0.5, 0.25], "pixel_max": 255, "resize": "exact"}"#;
        let expected = BTreeMap::from([
            (ImportOption::Mean, "0.5,0.5,0.25".to_owned()),
            (ImportOption::PixelMax, "255".to_owned()),
            (ImportOption::Resize, "exact".to_owned()),
        ]);
        assert_eq!(preparation(options).unwrap(), expected);
        for (text, expected) in [
            (r#"{"verify": "/etc"}"#, "there is no option `verify`"),
            (r#"{"mean": {}}"#, "mean: send a text"),
            ("{", "it is no JSON object"),
        ] {
            let error = preparation(text).unwrap_err();
            assert!(error.detail().unwrap().contains(expected), "{text}: {error:?}");
        }
    }
}
