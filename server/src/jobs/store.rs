//! The jobs, as clients see and change them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use thiserror::Error;
use tokio::sync::Notify;

use super::record::{JobEvent, JobId, JobRecord, JobState, Page};
use super::schema::{migrate, now};
use super::spec::JobSpec;

/// How long a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// All jobs and their events, in a database that survives the server.
#[derive(Debug, Clone)]
pub struct Jobs {
    pub(super) pool: SqlitePool,
    /// Tells this process's runner that there is something to look at. Other processes' runners poll.
    pub(super) changed: Arc<Notify>,
}

/// Why a job cannot be stored or read.
#[derive(Debug, Error)]
pub enum JobsError {
    /// The folder of the database cannot be made.
    #[error("cannot make the folder of the job database")]
    Folder(#[source] std::io::Error),
    /// The database refused.
    #[error("the job database failed")]
    Database(#[from] sqlx::Error),
    /// A job cannot be written down.
    #[error("the job cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The key was used for another request.
    #[error("the idempotency key was used for another request, job {0}")]
    KeyReused(JobId),
    /// No such job.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// It has ended.
    #[error("job {id} is over; its state is `{}`", .state.as_str())]
    Finished {
        /// The job.
        id: JobId,
        /// How it ended.
        state: JobState,
    },
}

/// A job that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Submission {
    /// It is new.
    New(JobRecord),
    /// The same request with the same key came before.
    Existing(JobRecord),
}

impl Jobs {
    /// Opens the database, made if it is not there.
    ///
    /// # Errors
    /// [`JobsError`] when it cannot be made, opened or brought up to date.
    pub async fn open(path: &Path) -> Result<Self, JobsError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(JobsError::Folder)?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        migrate(&mut *pool.acquire().await?).await?;
        Ok(Self { pool, changed: Arc::new(Notify::new()) })
    }

    /// Queues a job. With a key, the same request twice is one job.
    ///
    /// # Errors
    /// [`JobsError::KeyReused`] when the key belongs to another request.
    pub async fn create(&self, spec: &JobSpec, key: Option<&str>) -> Result<Submission, JobsError> {
        let sql = concat!(
            "INSERT INTO jobs (id, state, spec, idempotency_key, created_at) VALUES ($1, 'queued', $2, $3, ",
            now!(),
            ") ON CONFLICT (idempotency_key) DO NOTHING RETURNING *"
        );
        let query = sqlx::query(sql).bind(JobId::new().to_string()).bind(serde_json::to_string(spec)?).bind(key);
        if let Some(row) = query.fetch_optional(&self.pool).await? {
            self.changed.notify_one();
            return Ok(Submission::New(JobRecord::read(&row)?));
        }
        // The insertion failed over the key, so there is a job with it.
        let existing = match key {
            Some(key) => self.find(spec, key).await?,
            None => None,
        };
        existing.map(Submission::Existing).ok_or(JobsError::Database(sqlx::Error::RowNotFound))
    }

    /// The job that an earlier, equal request with this key created.
    ///
    /// # Errors
    /// [`JobsError::KeyReused`] when the key belongs to another request.
    pub async fn find(&self, spec: &JobSpec, key: &str) -> Result<Option<JobRecord>, JobsError> {
        let query = sqlx::query("SELECT * FROM jobs WHERE idempotency_key = $1").bind(key);
        let Some(row) = query.fetch_optional(&self.pool).await? else { return Ok(None) };
        let job = JobRecord::read(&row)?;
        if job.spec == *spec { Ok(Some(job)) } else { Err(JobsError::KeyReused(job.id)) }
    }

    /// One job.
    ///
    /// # Errors
    /// [`JobsError::Unknown`].
    pub async fn get(&self, id: JobId) -> Result<JobRecord, JobsError> {
        let query = sqlx::query("SELECT * FROM jobs WHERE id = $1").bind(id.to_string());
        let row = query.fetch_optional(&self.pool).await?;
        Ok(JobRecord::read(&row.ok_or(JobsError::Unknown(id))?)?)
    }

    /// Jobs, newest first, older than `after`.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn list(&self, after: Option<JobId>, limit: usize) -> Result<Page<JobRecord>, JobsError> {
        let sql = "SELECT * FROM jobs WHERE $1 IS NULL OR id < $1 ORDER BY id DESC LIMIT $2";
        let query = sqlx::query(sql).bind(after.map(|id| id.to_string())).bind(limit as i64 + 1);
        let rows = query.fetch_all(&self.pool).await?;
        Ok(Page::cut(rows.iter().map(JobRecord::read).collect::<Result<_, _>>()?, limit))
    }

    /// What happened during a job since `after`, in order.
    ///
    /// # Errors
    /// [`JobsError::Unknown`].
    pub async fn events(&self, id: JobId, after: i64, limit: usize) -> Result<Page<JobEvent>, JobsError> {
        self.get(id).await?;
        let sql = "SELECT * FROM events WHERE job_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";
        let query = sqlx::query(sql).bind(id.to_string()).bind(after).bind(limit as i64 + 1);
        let rows = query.fetch_all(&self.pool).await?;
        Ok(Page::cut(rows.iter().map(JobEvent::read).collect::<Result<_, _>>()?, limit))
    }

    /// Calls a job off. A queued one ends at once, a running one as soon as its server has heard of it.
    ///
    /// # Errors
    /// [`JobsError::Unknown`], [`JobsError::Finished`].
    pub async fn cancel(&self, id: JobId) -> Result<JobRecord, JobsError> {
        let sql = concat!(
            "UPDATE jobs SET cancel_requested = 1, finished_at = CASE state WHEN 'queued' THEN ",
            now!(),
            " END, state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END
             WHERE id = $1 AND state IN ('queued', 'running') RETURNING *"
        );
        let row = sqlx::query(sql).bind(id.to_string()).fetch_optional(&self.pool).await?;
        if let Some(row) = row {
            self.changed.notify_one();
            return Ok(JobRecord::read(&row)?);
        }
        let state = self.get(id).await?.state;
        Err(JobsError::Finished { id, state })
    }

    /// How many jobs wait for a server.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn queued(&self) -> Result<u64, JobsError> {
        let query = sqlx::query("SELECT COUNT(*) AS queued FROM jobs WHERE state = 'queued'");
        let row = query.fetch_one(&self.pool).await?;
        Ok(row.try_get::<i64, _>("queued")?.unsigned_abs())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::finetune::FinetuneSpec;

    pub(in crate::jobs) fn spec(name: &str) -> JobSpec {
        JobSpec::Finetune(FinetuneSpec {
            base_model: "squeezenet".parse().unwrap(),
            dataset: trainer::data::DatasetSource::Folder { path: "flowers".into() },
            name: name.parse().unwrap(),
            options: trainer::finetune::FinetuneOptions::default(),
        })
    }

    pub(in crate::jobs) async fn jobs() -> (tempfile::TempDir, Jobs) {
        let folder = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(&folder.path().join("new").join("jobs.sqlite")).await.unwrap();
        (folder, jobs)
    }

    pub(in crate::jobs) async fn create(jobs: &Jobs, name: &str) -> JobRecord {
        match jobs.create(&spec(name), None).await.unwrap() {
            Submission::New(job) => job,
            Submission::Existing(job) => panic!("{job:?}"),
        }
    }

    #[tokio::test]
    async fn jobs_survive_the_process() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        assert_eq!((job.state, job.attempt, &job.spec), (JobState::Queued, 0, &spec("flowers")));
        jobs.pool.close().await;
        let again = Jobs::open(&folder.path().join("new").join("jobs.sqlite")).await.unwrap();
        assert_eq!(again.get(job.id).await.unwrap(), job);
        assert_eq!(again.queued().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_key_makes_one_job_of_two_requests() {
        let (_folder, jobs) = jobs().await;
        let Submission::New(first) = jobs.create(&spec("a"), Some("key")).await.unwrap() else { panic!() };
        assert_eq!(jobs.create(&spec("a"), Some("key")).await.unwrap(), Submission::Existing(first.clone()));
        let error = jobs.create(&spec("b"), Some("key")).await.unwrap_err();
        assert!(matches!(error, JobsError::KeyReused(id) if id == first.id));
        assert_eq!(jobs.list(None, 10).await.unwrap().data.len(), 1);
    }

    #[tokio::test]
    async fn lists_are_newest_first_and_in_pages() {
        let (_folder, jobs) = jobs().await;
        for name in ["a", "b", "c"] {
            create(&jobs, name).await;
        }
        let name = |job: &JobRecord| match &job.spec {
            JobSpec::Finetune(spec) => spec.name.to_string(),
        };
        let names = |page: &Page<JobRecord>| page.data.iter().map(name).collect::<Vec<_>>();
        let page = jobs.list(None, 2).await.unwrap();
        assert_eq!((names(&page), page.has_more), (vec!["c".to_owned(), "b".to_owned()], true));
        let page = jobs.list(Some(page.data[1].id), 2).await.unwrap();
        assert_eq!((names(&page), page.has_more), (vec!["a".to_owned()], false));
    }

    #[tokio::test]
    async fn a_job_that_waits_is_cancelled_at_once_and_only_once() {
        let (_folder, jobs) = jobs().await;
        let job = create(&jobs, "a").await;
        let cancelled = jobs.cancel(job.id).await.unwrap();
        assert_eq!(cancelled.state, JobState::Cancelled);
        assert!(cancelled.finished_at.is_some());
        let error = jobs.cancel(job.id).await.unwrap_err();
        assert!(matches!(error, JobsError::Finished { state: JobState::Cancelled, .. }));
        assert!(matches!(jobs.cancel(JobId::new()).await, Err(JobsError::Unknown(_))));
    }
}
