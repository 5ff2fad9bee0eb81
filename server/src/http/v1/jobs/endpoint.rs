//! The requests that every kind of job answers alike.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::table::{Creation, JobTexts};
use super::{JobQuery, accepted, bound_images, idempotency_key, job_id, submit};
use crate::http::extract::{self, Path, Query};
use crate::http::problem::ApiError;
use crate::http::record::RequestRecord;
use crate::http::state::AppState;
use crate::http::v1::follow::{EventsQuery, events};
use crate::jobs::{JobId, JobRecord, JobRequest, JobSpec, Jobs};

/// How jobs of a kind are shown; a job of another kind is none of them.
pub trait JobResource: TryFrom<JobRecord, Error = ApiError> + Serialize + ToSchema + Send + 'static {
    /// What is said about them.
    const TEXTS: JobTexts;

    /// Without what a list leaves out.
    #[must_use]
    fn brief(self) -> Self {
        self
    }

    /// With what has to be looked up, for a job that is asked for by its id.
    fn whole(self, jobs: &Jobs, id: JobId) -> impl Future<Output = Result<Self, ApiError>> + Send {
        let _nothing_to_look_up = (jobs, id);
        async { Ok(self) }
    }
}

/// A kind of job that a request in JSON asks for.
pub trait JobCreation: JobResource {
    /// The body of that request.
    type Request: DeserializeOwned + ToSchema + Clone + Send + 'static;

    /// What is said about asking for one.
    const CREATION: Creation;

    /// How large its images may be.
    fn max_megapixels(request: &mut Self::Request) -> &mut u64;

    /// The job that is asked for.
    fn asked(request: Self::Request) -> JobSpec;

    /// The job that is to be done, once it is checked: of a stored data set with the snapshot of now.
    fn checked(state: &AppState, request: Self::Request) -> impl Future<Output = Result<JobSpec, ApiError>> + Send;
}

/// Some jobs of one kind, newest first.
#[derive(Debug, Clone, Serialize)]
pub(super) struct JobPage<R> {
    data: Vec<R>,
    has_more: bool,
}

pub(super) async fn create<R: JobCreation>(
    State(state): State<AppState>,
    headers: HeaderMap,
    Extension(record): Extension<RequestRecord>,
    extract::Json(mut request): extract::Json<R::Request>,
) -> Result<Response, ApiError> {
    let key = idempotency_key(&headers)?;
    bound_images(R::max_megapixels(&mut request), &state.limits.image)?;
    let jobs = state.jobs.ready()?;
    let spec = R::asked(request.clone());
    let client = JobRequest { spec: &spec, idempotency_key: key, owner: record.caller() };
    let job = submit(&jobs, client, R::checked(&state, request)).await?;
    let id = job.id;
    accepted(R::TEXTS.kind, id, Json(R::try_from(job)?))
}

pub(super) async fn list<R: JobResource>(
    State(state): State<AppState>,
    Query(query): Query<JobQuery>,
) -> Result<Json<JobPage<R>>, ApiError> {
    let (after, limit) = query.page()?;
    let page = state.jobs.ready()?.list(R::TEXTS.kind, after, limit).await?;
    let data = page.data.into_iter().map(|job| R::try_from(job).map(R::brief)).collect::<Result<_, _>>()?;
    Ok(Json(JobPage { data, has_more: page.has_more }))
}

pub(super) async fn get<R: JobResource>(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<R>, ApiError> {
    let (jobs, id) = (state.jobs.ready()?, job_id(&id)?);
    let job = R::try_from(jobs.get(id).await?)?;
    Ok(Json(job.whole(&jobs, id).await?))
}

pub(super) async fn list_events<R: JobResource>(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (_, id) = named::<R>(&state, &id).await?;
    events(&state, id, &query, &headers).await
}

pub(super) async fn cancel<R: JobResource>(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<R>), ApiError> {
    let (jobs, id) = named::<R>(&state, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(jobs.cancel(id).await?.try_into()?)))
}

/// The jobs, and the id of one that is of this kind.
pub(in crate::http::v1) async fn named<R: JobResource>(state: &AppState, id: &str) -> Result<(Jobs, JobId), ApiError> {
    let (jobs, id) = (state.jobs.ready()?, job_id(id)?);
    R::try_from(jobs.get(id).await?)?;
    Ok((jobs, id))
}
