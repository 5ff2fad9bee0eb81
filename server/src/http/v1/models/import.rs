//! Imports of models that clients have sent, as jobs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::{sleep, timeout, timeout_at};
use utoipa::ToSchema;

use super::Model;
use crate::failure::STORAGE_FULL;
use crate::http::extract::prefer::{AnswerKind, PREFERENCE_APPLIED, Preferences};
use crate::http::problem::{ApiError, Code};
use crate::http::routes::MODELS_ROUTE;
use crate::http::state::AppState;
use crate::http::v1::jobs::{IMPORTS, JobResource, JobStatus, JobTexts, of_other_kind};
use crate::imports::{ImportFailure, ImportSpec, UploadedFile};
use crate::jobs::{JobError, JobId, JobRecord, JobSpec, JobState, Jobs, JobsError};

/// A model that was imported.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImportedVersion {
    /// The new version.
    #[schema(example = 4)]
    pub version: u32,
    /// What was noticed on the way: how the file was understood, and how the engines agree.
    #[schema(example = json!(["images are prepared as torchvision does", "tract: agrees with graft's own executor to 1.2e-7 of the largest logit"]))]
    pub remarks: Vec<String>,
    /// The model as it is now. Its first version answers; of a model that had versions, the live one goes on.
    pub model: Model,
}

/// How long a request waits for its import where its client says nothing. A small model takes less; clients and proxies commonly
/// wait for half a minute or longer.
pub(super) const USUAL_WAIT: Duration = Duration::from_secs(20);
/// How soon the end of an import is found that another server does.
const POLL: Duration = Duration::from_millis(500);
/// The shortest time between two looks into the database.
const PAUSE: Duration = Duration::from_millis(50);

/// A model file that becomes a version.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImportJob {
    /// Its state as a job.
    #[serde(flatten)]
    pub status: JobStatus,
    /// The name under which the model is stored.
    #[schema(example = "flowers")]
    pub name: String,
    /// The files that were sent: first the model's, then those that it keeps its weights in.
    pub files: Vec<UploadedFile>,
    /// The file of class names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub labels: Option<UploadedFile>,
    /// How images are to be prepared: options of `graft import`.
    #[schema(example = json!({"preprocess": "torchvision"}))]
    pub options: BTreeMap<String, String>,
    /// The version that it has stored, once it has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 4)]
    pub published: Option<u32>,
    /// What was noticed on the way. The list of imports leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["images are prepared as torchvision does"]))]
    pub remarks: Option<Vec<String>>,
}

impl TryFrom<JobRecord> for ImportJob {
    type Error = ApiError;

    /// A job of another kind is no import.
    fn try_from(job: JobRecord) -> Result<Self, ApiError> {
        let status = JobStatus::from(&job);
        let JobSpec::Import(ImportSpec { name, files, labels, options, folder: _ }) = job.spec else {
            return Err(of_other_kind(&job));
        };
        let options = options.into_iter().map(|(option, value)| (option.name().to_owned(), value)).collect();
        let published = job.result.map(|result| result.version);
        Ok(Self { status, name: name.to_string(), files, labels, options, published, remarks: None })
    }
}

impl JobResource for ImportJob {
    const TEXTS: JobTexts = IMPORTS;

    async fn whole(self, jobs: &Jobs, id: JobId) -> Result<Self, ApiError> {
        Ok(Self { remarks: Some(jobs.remarks(id).await?), ..self })
    }
}

/// A request for an import that is written down.
pub(super) struct AcceptedImport {
    pub(super) job: JobRecord,
    pub(super) preferences: Preferences,
    /// How long its client waits.
    pub(super) patience: Duration,
}

impl AcceptedImport {
    /// The version if it is stored in time, why there will be none, or else the job.
    pub(super) async fn answer(self, state: &AppState, jobs: &Jobs) -> Result<Response, ApiError> {
        let (id, patience, preferences) = (self.job.id, self.patience, self.preferences);
        let headers = |kind| -> HeaderMap {
            let applied = preferences.applied(patience, kind).map(|value| (PREFERENCE_APPLIED, value));
            applied.into_iter().collect()
        };
        // Who wants the job gets it, whatever has become of it.
        let ended = if patience.is_zero() { None } else { ended(state, jobs, id, Instant::now() + patience).await? };
        match ended {
            None => {
                let job = ImportJob::try_from(jobs.get(id).await?)?.whole(jobs, id).await?;
                let location = location(&format!("/{}/{id}", IMPORTS.kind.name()))?;
                Ok((StatusCode::ACCEPTED, [location], headers(AnswerKind::Job), Json(job)).into_response())
            }
            Some(job) => {
                let imported = imported(state, jobs, job).await?;
                let (name, version) = (&imported.model.summary.name, imported.version);
                let location = location(&format!("{MODELS_ROUTE}/{name}/versions/{version}"))?;
                Ok((StatusCode::CREATED, [location], headers(AnswerKind::Outcome), Json(imported)).into_response())
            }
        }
    }
}

fn location(address: &str) -> Result<(HeaderName, HeaderValue), ApiError> {
    Ok((header::LOCATION, HeaderValue::try_from(address).map_err(ApiError::internal)?))
}

/// The job when it is over; `None` if it is not by then, or the server goes before: the job goes on with the next one.
async fn ended(state: &AppState, jobs: &Jobs, id: JobId, until: Instant) -> Result<Option<JobRecord>, JobsError> {
    let (mut news, mut draining) = (jobs.news(), state.draining.watch());
    let over = async {
        loop {
            news.mark_unchanged();
            let job = jobs.get(id).await?;
            if job.state.is_over() {
                return Ok(job);
            }
            sleep(PAUSE).await;
            let _news_or_poll = timeout(POLL, news.changed()).await;
        }
    };
    tokio::select! {
        ended = timeout_at(until.into(), over) => ended.ok().transpose(),
        _ = draining.wait_for(|draining| *draining) => Ok(None),
    }
}

/// What came of an import that is over.
async fn imported(state: &AppState, jobs: &Jobs, job: JobRecord) -> Result<ImportedVersion, ApiError> {
    let id = job.id;
    let result = match job {
        JobRecord { state: JobState::Succeeded, result: Some(result), .. } => result,
        JobRecord { error: Some(error), .. } => return Err(refusal(error)),
        _ => {
            let detail = format!("import {id} was cancelled by another request; nothing is stored");
            return Err(ApiError::new(Code::JobFinished, detail));
        }
    };
    // Another server may have done it.
    state.registry.scan().await?;
    let gone =
        || ApiError::new(Code::ModelNotFound, format!("import {id} has stored `{}`, which is gone", result.model));
    let status = state.registry.get(&result.model).ok_or_else(gone)?;
    let remarks = jobs.remarks(id).await?;
    Ok(ImportedVersion { version: result.version, remarks, model: Model::new(&status, state) })
}

/// The error of an import as the problem of the request that waits for it.
fn refusal(error: JobError) -> ApiError {
    match error.code.as_str() {
        // A file that ends its process, or takes for ever, is at fault itself.
        ImportFailure::REFUSED | "process_died" | "timed_out" => ApiError::new(Code::ModelRefused, error.message),
        STORAGE_FULL => ApiError::from(Code::StorageFull),
        _ => ApiError::internal(error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_import_is_the_problem_that_its_request_would_have_had() {
        let code = |code: &str| refusal(JobError { code: code.to_owned(), message: "why".to_owned() });
        assert_eq!(code("model_refused").code(), Code::ModelRefused);
        assert_eq!(code("model_refused").detail(), Some("why"));
        assert_eq!(code("process_died").code(), Code::ModelRefused);
        assert_eq!(code("storage_full").code(), Code::StorageFull);
        for other in ["store_failed", "process_not_started", "server_lost"] {
            assert_eq!(code(other).code(), Code::Internal, "{other}");
        }
    }
}
