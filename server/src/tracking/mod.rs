//! Fine-tunes as runs of an `MLflow` tracking server.
//!
//! What is sent comes from the job database, by a task of its own: a tracking server that is slow or gone delays no job, and gets
//! the rest when it answers again.

mod mlflow;
mod record;

use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;
use uuid::Uuid;

use crate::failure::chain;
use crate::jobs::{Jobs, JobsError, JobsHandle, Recorder, TrackedJob};
use crate::outbound::HttpUrl;
use crate::report::ModelReport;
use crate::store::{ModelName, ModelStore};
pub use mlflow::TrackingError;
use mlflow::{Client, RunEnd};

/// How soon what a job has said is sent.
const EVERY: Duration = Duration::from_secs(2);
/// How soon a server that failed is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(15);
/// How long other servers leave a job alone.
const HOLD: Duration = Duration::from_secs(60);
/// Events that are read at a time.
const CHUNK: usize = 500;

/// Where fine-tunes are recorded.
#[derive(Debug, Clone)]
pub struct TrackingOptions {
    /// The tracking server.
    pub url: HttpUrl,
    /// The experiment, made if it is not there.
    pub experiment: String,
}

/// Records the fine-tunes of one server.
pub struct Tracker {
    jobs: JobsHandle,
    store: ModelStore,
    options: TrackingOptions,
}

/// Why a job was not recorded further.
#[derive(Debug, Error)]
enum TrackerError {
    #[error(transparent)]
    Jobs(#[from] JobsError),
    #[error(transparent)]
    Tracking(#[from] TrackingError),
    #[error("the report cannot be sent")]
    Report(#[from] serde_json::Error),
    #[error("the request was interrupted")]
    Interrupted(#[from] JoinError),
}

impl Tracker {
    /// A tracker of these jobs, whose reports are in this store.
    #[must_use]
    pub fn new(jobs: JobsHandle, store: ModelStore, options: TrackingOptions) -> Self {
        Self { jobs, store, options }
    }

    /// Records until `stopped` becomes true.
    pub async fn run(self, mut stopped: watch::Receiver<bool>) {
        tokio::select! {
            () = self.record() => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    async fn record(&self) {
        let (name, since, url) = (Uuid::now_v7().to_string(), Timestamp::now(), &self.options.url);
        let recorder = Recorder { name: &name, since, hold: HOLD };
        let jobs = self.jobs.wait().await;
        let mut failing = false;
        loop {
            let outcome = self.send(&jobs, &recorder).await;
            match &outcome {
                Err(error) if !failing => {
                    let cause = chain(error);
                    tracing::warn!(%url, cause, "fine-tunes are not recorded for now; they run all the same");
                }
                Ok(()) if failing => tracing::info!(%url, "fine-tunes are recorded again"),
                _ => {}
            }
            failing = outcome.is_err();
            sleep(if failing { AFTER_FAILURE } else { EVERY }).await;
        }
    }

    async fn send(&self, jobs: &Jobs, recorder: &Recorder<'_>) -> Result<(), TrackerError> {
        for tracked in jobs.tracked(recorder).await? {
            self.send_one(jobs, tracked).await?;
        }
        Ok(())
    }

    /// What is new of one job. Its state is older than its events, so that none is missed when it has ended.
    async fn send_one(&self, jobs: &Jobs, tracked: TrackedJob) -> Result<(), TrackerError> {
        let TrackedJob { job, run, mut seq } = tracked;
        let run = match run {
            Some(run) => run,
            None => {
                let begin = record::begin(&job);
                let run = self.call(move |client| client.begin(&begin)).await?;
                jobs.note_tracking(job.id, &run, seq).await?;
                run
            }
        };
        loop {
            let page = jobs.events(job.id, seq, CHUNK).await?;
            let metrics: Vec<_> = page.data.iter().flat_map(record::metrics).collect();
            if !metrics.is_empty() {
                let run = run.clone();
                self.call(move |client| client.log(&run, &metrics)).await?;
            }
            if let Some(last) = page.data.last() {
                seq = last.seq;
                jobs.note_tracking(job.id, &run, seq).await?;
            }
            if !page.has_more {
                break;
            }
        }
        let Some(end) = RunEnd::of(&job) else { return Ok(()) };
        let files = match &job.result {
            Some(result) => self.reports(&result.model, result.version).await?,
            None => vec![],
        };
        self.call(move |client| client.end(&run, &end, &files)).await?;
        Ok(jobs.end_tracking(job.id).await?)
    }

    /// The report of a version, as JSON and as a page; none where there is none to read.
    async fn reports(&self, model: &str, version: u32) -> Result<Vec<(&'static str, Vec<u8>)>, TrackerError> {
        let (store, Ok(name)) = (self.store.clone(), model.parse::<ModelName>()) else { return Ok(vec![]) };
        let read = move || match ModelReport::read(&store, &name, version) {
            Ok(Some(report)) => {
                let page = report.html(|file| store.picture(&name, version, file));
                let json = serde_json::to_vec(&report.report)?;
                Ok(vec![("report.json", json), ("report.html", page.into_bytes())])
            }
            Ok(None) => Ok(vec![]),
            // It will be no better later, and the run would never end.
            Err(error) => {
                tracing::warn!(model = %name, version, error = %chain(&error), "the run has no report: it cannot be read");
                Ok(vec![])
            }
        };
        spawn_blocking(read).await?
    }

    async fn call<T: Send + 'static>(
        &self,
        request: impl FnOnce(&Client) -> Result<T, TrackingError> + Send + 'static,
    ) -> Result<T, TrackerError> {
        let options = self.options.clone();
        Ok(spawn_blocking(move || request(&Client::new(&options)?)).await??)
    }
}
