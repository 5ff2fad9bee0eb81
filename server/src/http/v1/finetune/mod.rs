//! Fine-tunes: start one, follow it, call it off.

pub mod events;
pub mod job;
pub mod strategy;

use std::path::PathBuf;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use trainer::data;
use trainer::finetune as training;
use utoipa::{IntoParams, ToSchema};

use crate::finetune::{self, FinetuneSpec};
use crate::http::extract::{self, Path, Query};
use crate::http::problem::{ApiError, Code, documents};
use crate::http::state::AppState;
use crate::http::v1::within;
use crate::jobs::{JobId, Submission};
use crate::store::ModelName;
use job::Job;
use strategy::{FinetuneStrategy, TuningOptions};

/// What a fine-tune is made from.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinetuneRequest {
    /// The model to graft upon: a classifier, whose head is replaced, or a backbone.
    #[schema(value_type = String, example = "squeezenet", min_length = 1, max_length = 64)]
    pub base_model: ModelName,
    /// The images.
    pub dataset: DatasetSource,
    /// The name under which the result is published. If there is such a model, it gets a new version.
    #[schema(value_type = String, example = "flowers", min_length = 1, max_length = 64)]
    pub name: ModelName,
    /// How to train; each option has a default.
    #[serde(default)]
    pub options: FinetuneOptions,
}

/// Images with classes, on the machine of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DatasetSource {
    /// Any of the others, told apart by what the path holds.
    #[schema(title = "AutoDataset")]
    Auto {
        /// The folder, archive or table.
        #[schema(example = "/data/birds.zip")]
        path: String,
    },
    /// A folder with one folder for each class, named after it, or with `train`, `val` and `test` that each have one; or
    /// a zip or tar archive of such a folder.
    #[schema(title = "FolderDataset")]
    Folder {
        /// The outer folder.
        #[schema(example = "/data/birds")]
        path: String,
    },
    /// A CSV table of paths and labels, and perhaps of parts: `train`, `val` or `test`.
    #[schema(title = "CsvDataset")]
    Csv {
        /// The table; its paths are relative to its folder.
        #[schema(example = "/data/birds/labels.csv")]
        path: String,
    },
    /// CIFAR-10 in its binary version or its Python version, as a folder or as the published archive.
    #[schema(title = "Cifar10Dataset")]
    Cifar10 {
        /// The folder of the batches, or the archive.
        #[schema(example = "/data/cifar-10-batches-bin")]
        path: String,
    },
    /// The Oxford 17 Category Flowers: `image_0001.jpg` to `image_1360.jpg`, 80 of a class in order.
    #[schema(title = "Oxford17Dataset")]
    Oxford17 {
        /// The folder of the images.
        #[schema(example = "/data/oxford17")]
        path: String,
    },
}

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinetuneOptions {
    /// How much of the base is trained.
    #[serde(default)]
    pub strategy: FinetuneStrategy,
    /// Fixed looks at each image whose features are computed: plain, mirrored, then crops.
    #[serde(default = "views")]
    #[schema(minimum = 1, maximum = 64, default = views)]
    pub views: usize,
    /// How layers of the base are trained, where the strategy trains any.
    #[serde(default)]
    pub tuning: TuningOptions,
    /// Passes of the head over the features.
    #[serde(default = "epochs")]
    #[schema(minimum = 1, default = epochs)]
    pub epochs: usize,
    /// Images in a step of the head.
    #[serde(default = "batch_size")]
    #[schema(minimum = 1, default = batch_size)]
    pub batch_size: usize,
    /// The head's first learning rate; it falls to zero along a cosine.
    #[serde(default = "learning_rate")]
    #[schema(exclusive_minimum = 0.0, default = learning_rate)]
    pub learning_rate: f64,
    /// The penalty on large weights of the head while it is trained alone.
    #[serde(default = "weight_decay")]
    #[schema(minimum = 0.0, default = weight_decay)]
    pub weight_decay: f64,
    /// The share of each target that is spread over all classes.
    #[serde(default = "label_smoothing")]
    #[schema(minimum = 0.0, maximum = 1.0, default = label_smoothing)]
    pub label_smoothing: f64,
    /// Decides how the images are divided and in which order they come.
    #[serde(default = "seed")]
    #[schema(minimum = 0, default = seed)]
    pub seed: u64,
    /// The share of each class that chooses the best epoch; with 0 the last epoch is kept.
    #[serde(default = "validation")]
    #[schema(minimum = 0.0, exclusive_maximum = 0.9, default = validation)]
    pub validation: f64,
    /// The share of each class that measures the result.
    #[serde(default = "test")]
    #[schema(minimum = 0.0, exclusive_maximum = 0.9, default = test)]
    pub test: f64,
    /// What to do with files that cannot be read.
    #[serde(default)]
    pub bad_files: BadFilePolicy,
}

/// What to do with files that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BadFilePolicy {
    /// Refuse the data set and name the file.
    #[default]
    Refuse,
    /// Go on without them, and say so in the events.
    Skip,
}

/// Which part of the list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FinetuneQuery {
    /// The id of the last fine-tune of the page before.
    #[param(nullable = false)]
    after: Option<String>,
    /// The most fine-tunes in the answer.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: usize,
}

/// Fine-tunes.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobList {
    /// Newest first.
    pub data: Vec<Job>,
    /// Whether there are older ones; ask for them with `after`.
    pub has_more: bool,
}

documents! {
    /// What can be wrong with a request for a fine-tune.
    CreateErrors:
        InvalidJson, InvalidParameter, BodyUnreadable, IdempotencyKeyReused, BodyTooLarge, UnsupportedMediaType,
        InvalidBody, FinetuneRefused
}

documents! {
    /// What can be wrong with a list.
    ListErrors: InvalidParameter
}

documents! {
    /// The id names nothing.
    GetErrors: JobNotFound
}

documents! {
    /// There is nothing to call off.
    CancelErrors: JobNotFound, JobFinished
}

/// Start a fine-tune
///
/// The base, the options and every image file's header are checked before it is accepted; then it waits for its turn.
/// When it has succeeded, its model answers.
#[utoipa::path(
    post, path = "/finetune", operation_id = "create_finetune", tag = "finetune",
    params((
        "Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
        pattern = "^[!-~]+$",
        description = "The same request twice with the same key is one fine-tune."
    )),
    request_body = FinetuneRequest,
    responses(
        (status = 202, description = "Accepted.", body = Job,
         headers(("Location" = String, description = "The address of the fine-tune."))),
        CreateErrors
    )
)]
pub async fn create_finetune(
    State(state): State<AppState>,
    headers: HeaderMap,
    extract::Json(request): extract::Json<FinetuneRequest>,
) -> Result<Response, ApiError> {
    let key = idempotency_key(&headers)?;
    let spec = FinetuneSpec::from(request);
    let (data, asked) = (state.data.clone(), spec.clone());
    let checked = spawn_blocking(move || finetune::check(&data, &asked)).await;
    checked.map_err(ApiError::internal)??;
    let (Submission::New(job) | Submission::Existing(job)) = state.jobs.create(&spec, key).await?;
    let location = HeaderValue::try_from(format!("/finetune/{}", job.id)).map_err(ApiError::internal)?;
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(Job::from(job))).into_response())
}

/// List the fine-tunes
///
/// Newest first.
#[utoipa::path(
    get, path = "/finetune", operation_id = "list_finetunes", tag = "finetune",
    params(FinetuneQuery),
    responses((status = 200, description = "A page of fine-tunes.", body = JobList), ListErrors)
)]
pub async fn list_finetunes(
    State(state): State<AppState>,
    Query(query): Query<FinetuneQuery>,
) -> Result<Json<JobList>, ApiError> {
    let limit = within("limit", query.limit, &(1..=100))?;
    let invalid =
        |text: &str| ApiError::new(Code::InvalidParameter, format!("after: `{text}` is not the id of a fine-tune"));
    let after = query.after.as_deref().map(|text| text.parse().map_err(|_| invalid(text))).transpose()?;
    let page = state.jobs.list(after, limit).await?;
    Ok(Json(JobList { data: page.data.into_iter().map(Job::from).collect(), has_more: page.has_more }))
}

/// Describe a fine-tune
///
/// Its state, progress and, in the end, its result or error.
#[utoipa::path(
    get, path = "/finetune/{id}", operation_id = "get_finetune", tag = "finetune",
    params(("id" = String, Path, description = "The fine-tune's id.")),
    responses((status = 200, description = "The fine-tune.", body = Job), GetErrors)
)]
pub async fn get_finetune(State(state): State<AppState>, Path(id): Path<String>) -> Result<Json<Job>, ApiError> {
    Ok(Json(state.jobs.get(job_id(&id)?).await?.into()))
}

/// Call a fine-tune off
///
/// One that waits ends at once, one that runs within moments; look at its state. Nothing is published after that, unless
/// it was published already.
#[utoipa::path(
    post, path = "/finetune/{id}/cancel", operation_id = "cancel_finetune", tag = "finetune",
    params(("id" = String, Path, description = "The fine-tune's id.")),
    responses((status = 202, description = "It will end.", body = Job), CancelErrors)
)]
pub async fn cancel_finetune(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Job>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(state.jobs.cancel(job_id(&id)?).await?.into())))
}

/// The id of an address. What is no id names no job.
pub(super) fn job_id(text: &str) -> Result<JobId, ApiError> {
    text.parse().map_err(|_| ApiError::new(Code::JobNotFound, format!("there is no job `{text}`")))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let valid = |key: &&str| (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key = value.to_str().ok().filter(valid);
    let invalid = || ApiError::new(Code::InvalidParameter, "Idempotency-Key: use 1 to 255 visible ASCII characters");
    key.map(Some).ok_or_else(invalid)
}

fn default_limit() -> usize {
    20
}

fn views() -> usize {
    training::FinetuneOptions::default().views
}

fn epochs() -> usize {
    training::FinetuneOptions::default().epochs
}

fn batch_size() -> usize {
    training::FinetuneOptions::default().batch_size
}

fn learning_rate() -> f64 {
    training::FinetuneOptions::default().learning_rate
}

fn weight_decay() -> f64 {
    training::FinetuneOptions::default().weight_decay
}

fn label_smoothing() -> f64 {
    training::FinetuneOptions::default().label_smoothing
}

fn seed() -> u64 {
    training::FinetuneOptions::default().seed
}

fn validation() -> f64 {
    training::FinetuneOptions::default().validation
}

fn test() -> f64 {
    training::FinetuneOptions::default().test
}

impl Default for FinetuneOptions {
    fn default() -> Self {
        training::FinetuneOptions::default().into()
    }
}

impl From<FinetuneRequest> for FinetuneSpec {
    fn from(request: FinetuneRequest) -> Self {
        let FinetuneRequest { base_model, dataset, name, options } = request;
        Self { base_model, dataset: dataset.into(), name, options: options.into() }
    }
}

impl From<DatasetSource> for data::DatasetSource {
    fn from(source: DatasetSource) -> Self {
        match source {
            DatasetSource::Auto { path } => data::DatasetSource::Auto { path: PathBuf::from(path) },
            DatasetSource::Folder { path } => data::DatasetSource::Folder { path: PathBuf::from(path) },
            DatasetSource::Csv { path } => data::DatasetSource::Csv { path: PathBuf::from(path) },
            DatasetSource::Cifar10 { path } => data::DatasetSource::Cifar10 { path: PathBuf::from(path) },
            DatasetSource::Oxford17 { path } => data::DatasetSource::Oxford17 { path: PathBuf::from(path) },
        }
    }
}

impl From<data::DatasetSource> for DatasetSource {
    fn from(source: data::DatasetSource) -> Self {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        match source {
            data::DatasetSource::Auto { path } => DatasetSource::Auto { path: text(path) },
            data::DatasetSource::Folder { path } => DatasetSource::Folder { path: text(path) },
            data::DatasetSource::Csv { path } => DatasetSource::Csv { path: text(path) },
            data::DatasetSource::Cifar10 { path } => DatasetSource::Cifar10 { path: text(path) },
            data::DatasetSource::Oxford17 { path } => DatasetSource::Oxford17 { path: text(path) },
        }
    }
}

impl From<FinetuneOptions> for training::FinetuneOptions {
    fn from(options: FinetuneOptions) -> Self {
        let bad_files = match options.bad_files {
            BadFilePolicy::Refuse => data::BadFilePolicy::Refuse,
            BadFilePolicy::Skip => data::BadFilePolicy::Skip,
        };
        let (strategy, tuning) = (options.strategy.into(), options.tuning.into());
        let FinetuneOptions {
            views,
            epochs,
            batch_size,
            learning_rate,
            weight_decay,
            label_smoothing,
            seed,
            validation,
            test,
            ..
        } = options;
        Self {
            strategy,
            views,
            tuning,
            epochs,
            batch_size,
            learning_rate,
            weight_decay,
            label_smoothing,
            seed,
            validation,
            test,
            bad_files,
        }
    }
}

impl From<training::FinetuneOptions> for FinetuneOptions {
    fn from(options: training::FinetuneOptions) -> Self {
        let bad_files = match options.bad_files {
            data::BadFilePolicy::Refuse => BadFilePolicy::Refuse,
            data::BadFilePolicy::Skip => BadFilePolicy::Skip,
        };
        let (strategy, tuning) = (options.strategy.into(), options.tuning.into());
        let training::FinetuneOptions {
            views,
            epochs,
            batch_size,
            learning_rate,
            weight_decay,
            label_smoothing,
            seed,
            validation,
            test,
            ..
        } = options;
        Self {
            strategy,
            views,
            tuning,
            epochs,
            batch_size,
            learning_rate,
            weight_decay,
            label_smoothing,
            seed,
            validation,
            test,
            bad_files,
        }
    }
}
