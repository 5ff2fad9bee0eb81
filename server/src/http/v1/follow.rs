//! The events of a job: a page of them as JSON, or all of them as they happen (server-sent events).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{sleep, timeout};
use trainer::estimate::RunProgress;
use utoipa::{IntoParams, ToSchema};

use super::within;
use crate::failure::chain;
use crate::http::problem::{ApiError, Code};
use crate::http::state::AppState;
use crate::jobs::{JobEvent, JobId, JobState, Jobs, JobsError};

/// How soon events that another process has written are found.
const POLL: Duration = Duration::from_secs(1);
/// The shortest time between two looks into the database.
const PAUSE: Duration = Duration::from_millis(100);
/// Proxies close connections on which nothing comes.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Events that are read at a time.
const CHUNK: usize = 200;
/// When another stream may be free.
const BUSY_RETRY: Duration = Duration::from_secs(5);
const EVENT_STREAM: &str = "text/event-stream";
/// Nginx would hold events back otherwise.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// The page of a job's events.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// The `seq` of the last event already received.
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    after: i64,
    /// The maximum number of events in the answer. A stream has no maximum.
    #[serde(default = "default_events")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
}

fn default_events() -> usize {
    100
}

impl EventsQuery {
    /// The number behind which the page begins, and its length.
    fn page(&self) -> Result<(i64, usize), ApiError> {
        let limit = within("limit", self.limit, &(1..=1000))?;
        if self.after < 0 {
            return Err(ApiError::new(Code::InvalidParameter, "after: it must not be negative"));
        }
        Ok((self.after, limit))
    }
}

/// Some of what a job has reported.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct JobEventPage {
    /// In the order in which they happened.
    pub data: Vec<JobEvent>,
    /// Whether there are more already. If not, ask again later with the same `after`.
    pub has_more: bool,
}

/// The events of a job as the client wants them: a stream if it accepts `text/event-stream`, else a page.
pub(super) async fn events(
    state: &AppState,
    id: JobId,
    query: &EventsQuery,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let (after, limit) = query.page()?;
    let jobs = state.jobs.ready()?;
    if accepts_stream(headers) {
        return follow(state, jobs, id, last_event(headers)?.unwrap_or(after)).await;
    }
    let page = jobs.events(id, after, limit).await?;
    Ok(Json(JobEventPage { data: page.data, has_more: page.has_more }).into_response())
}

fn accepts_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = accepted.flat_map(|value| value.split(','));
    types.any(|range| range.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(EVENT_STREAM)))
}

/// Where a client that was cut off goes on.
fn last_event(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else { return Ok(None) };
    let seq = value.to_str().ok().and_then(|text| text.parse().ok()).filter(|seq| *seq >= 0);
    let invalid = || ApiError::new(Code::InvalidParameter, "Last-Event-ID: send the id of an event of this stream");
    seq.map(Some).ok_or_else(invalid)
}

/// Streams the events behind `after` until the job has ended. A client that has had them all is told not to come back.
async fn follow(state: &AppState, jobs: Jobs, id: JobId, after: i64) -> Result<Response, ApiError> {
    if state.draining.begun() {
        return Err(Code::ShuttingDown.into());
    }
    let Ok(permit) = state.streams.clone().try_acquire_owned() else {
        let detail = format!("{} clients follow jobs already", state.limits.event_streams);
        return Err(ApiError::new(Code::TooManyStreams, detail).retry_after(BUSY_RETRY));
    };
    if after > 0 && jobs.get(id).await?.state.is_over() && jobs.events(id, after, 1).await?.data.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let follower = Follower {
        news: jobs.news(),
        draining: state.draining.watch(),
        jobs,
        id,
        after,
        state: None,
        progress: None,
        ready: VecDeque::new(),
        over: false,
        _permit: permit,
    };
    let stream = Sse::new(follower.stream()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(([UNBUFFERED], stream).into_response())
}

/// One client that follows a job.
struct Follower {
    jobs: Jobs,
    id: JobId,
    /// The last event that was sent.
    after: i64,
    /// What was last said about the state and the progress of the job.
    state: Option<(JobState, u32)>,
    progress: Option<RunProgress>,
    ready: VecDeque<sse::Event>,
    over: bool,
    news: watch::Receiver<()>,
    draining: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

/// What is said when the state of a job changes.
#[derive(Serialize)]
struct StateChange {
    state: JobState,
    attempt: u32,
}

impl Follower {
    fn stream(self) -> impl Stream<Item = Result<sse::Event, Infallible>> {
        stream::unfold(self, async |mut follower| {
            loop {
                if let Some(event) = follower.ready.pop_front() {
                    return Some((Ok(event), follower));
                }
                if follower.over {
                    return None;
                }
                if let Err(error) = follower.look().await {
                    // The client comes back, and the database may answer by then.
                    tracing::warn!(cause = chain(&error), "a stream of events ends early");
                    return None;
                }
                if follower.ready.is_empty() && !follower.over && follower.wait().await.is_err() {
                    return None;
                }
            }
        })
    }

    /// Reads what is new. The state is read before the events, so that none is missed when it says that the job has ended.
    async fn look(&mut self) -> Result<(), JobsError> {
        self.news.mark_unchanged();
        let job = self.jobs.get(self.id).await?;
        let page = self.jobs.events(self.id, self.after, CHUNK).await?;
        for event in &page.data {
            self.after = event.seq;
            self.ready.extend(named("event", event).map(|message| message.id(event.seq.to_string())));
        }
        if page.has_more {
            return Ok(());
        }
        if let Some(progress) = job.progress.filter(|progress| self.progress.as_ref() != Some(progress)) {
            self.progress = Some(progress);
            self.ready.extend(named("progress", &progress));
        }
        let change = (job.state, job.attempt);
        if self.state.replace(change) != Some(change) {
            self.ready.extend(named("state", &StateChange { state: job.state, attempt: job.attempt }));
        }
        self.over = job.state.is_over();
        Ok(())
    }

    /// Waits until there may be something new. An error means that the server is going.
    async fn wait(&mut self) -> Result<(), ()> {
        let Self { news, draining, .. } = self;
        let waiting = async {
            sleep(PAUSE).await;
            let _news_or_poll = timeout(POLL, news.changed()).await;
        };
        tokio::select! {
            () = waiting => Ok(()),
            _ = draining.wait_for(|draining| *draining) => Err(()),
        }
    }
}

/// An event of this name with JSON as its data; none if it cannot be written, which no value of ours does.
fn named(name: &str, data: &impl Serialize) -> Option<sse::Event> {
    sse::Event::default().event(name).json_data(data).ok()
}
