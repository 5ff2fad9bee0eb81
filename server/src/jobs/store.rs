//! The jobs as clients see and change them.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{Row, Sqlite, SqliteConnection, Transaction};
use tokio::sync::watch;
use trainer::data::DatasetSummary;
use trainer::events::Event;

use super::error::JobsError;
use super::options::JobOptions;
use super::record::{JobEvent, JobId, JobRecord, JobState, Page};
use super::schema::{MIGRATIONS, is_import};
use super::spec::{JobKind, JobQueue, JobSpec};
use crate::database::{self, now};
use crate::datasets::DatasetName;

/// How long a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// All jobs and their events, in a database that survives the server.
#[derive(Debug, Clone)]
pub struct Jobs {
    pub(super) pool: SqlitePool,
    pub(super) options: JobOptions,
    /// Wakes this process's runners when there is something to do or to stop. Runners of other processes poll.
    pub(super) changed: watch::Sender<()>,
    /// Wakes those who follow jobs of this process.
    pub(super) news: watch::Sender<()>,
}

/// What a client asks for when it creates a job.
#[derive(Debug, Clone, Copy)]
pub struct JobRequest<'a> {
    /// What is to be done.
    pub spec: &'a JobSpec,
    /// The client's name for the request, so that it can be sent again.
    pub idempotency_key: Option<&'a str>,
    /// The name of the API key, whose jobs have a limit of their own.
    pub owner: Option<&'a str>,
}

/// The answer to a request for a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Submission {
    /// A new job.
    New(JobRecord),
    /// The job of an earlier, equal request with the same key.
    Existing(JobRecord),
}

impl Jobs {
    /// Opens the database, and creates it if it does not exist.
    ///
    /// # Errors
    /// [`JobsError`] when it cannot be made, opened or brought up to date.
    pub async fn open(path: &Path, options: JobOptions) -> Result<Self, JobsError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(JobsError::Folder)?;
        }
        Self::connect(database::connection(path, BUSY_TIMEOUT), options).await
    }

    async fn connect(connection: SqliteConnectOptions, options: JobOptions) -> Result<Self, JobsError> {
        let pool = database::connect(connection, MIGRATIONS).await?;
        Ok(Self { pool, options, changed: watch::Sender::new(()), news: watch::Sender::new(()) })
    }

    /// A transaction that may write. Its writes are on the disk when its commit has succeeded.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, JobsError> {
        Ok(database::begin(&self.pool).await?)
    }

    /// Ends a transaction of which those who follow a job may want to know.
    pub(super) async fn commit(&self, transaction: Transaction<'static, Sqlite>) -> Result<(), JobsError> {
        transaction.commit().await?;
        self.news.send_replace(());
        Ok(())
    }

    /// Tells that something was written about a job by this process. What other processes write is found by asking.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Queues a job. With an idempotency key, the same request twice is one job.
    ///
    /// # Errors
    /// [`JobsError::KeyReused`] when the key belongs to another request, [`JobsError::QueueFull`] when too many jobs wait.
    pub async fn create(&self, request: &JobRequest<'_>) -> Result<Submission, JobsError> {
        let JobRequest { spec, idempotency_key, owner } = *request;
        let mut transaction = self.begin().await?;
        if let Some(key) = idempotency_key
            && let Some(job) = find(&mut transaction, spec, key).await?
        {
            return Ok(Submission::Existing(job));
        }
        let sql = concat!(
            "INSERT INTO jobs (id, state, spec, idempotency_key, owner, created_at) VALUES ($1, 'queued', $2, $3, $4, ",
            now!(),
            ") RETURNING *"
        );
        let query = sqlx::query(sql).bind(JobId::new().to_string()).bind(serde_json::to_string(spec)?);
        let row = query.bind(idempotency_key).bind(owner).fetch_one(&mut *transaction).await?;
        let job = JobRecord::read(&row)?;
        self.check_room(&mut transaction, owner, spec.kind().queue()).await?;
        self.commit(transaction).await?;
        self.changed.send_replace(());
        Ok(Submission::New(job))
    }

    /// Refuses a job that has been put into its queue when more wait there than may, in all or of one owner.
    pub(super) async fn check_room(
        &self,
        connection: &mut SqliteConnection,
        owner: Option<&str>,
        queue: JobQueue,
    ) -> Result<(), JobsError> {
        let sql = concat!(
            "SELECT COUNT(*) AS queued, COUNT(*) FILTER (WHERE owner = $1) AS own FROM jobs WHERE state = 'queued' AND ",
            is_import!(),
            " = $2"
        );
        let row = sqlx::query(sql).bind(owner).bind(queue == JobQueue::Imports).fetch_one(connection).await?;
        let (queued, own): (i64, i64) = (row.try_get("queued")?, row.try_get("own")?);
        let JobOptions { queued: most, queued_per_key: most_own, .. } = self.options;
        if own > i64::from(most_own) {
            return Err(JobsError::QueueFull { limit: most_own, flag: "--max-queued-jobs-per-key" });
        }
        if queued > i64::from(most) {
            return Err(JobsError::QueueFull { limit: most, flag: "--max-queued-jobs" });
        }
        Ok(())
    }

    /// The job that an earlier, equal request with this key created.
    ///
    /// # Errors
    /// [`JobsError::KeyReused`] when the key belongs to another request.
    pub async fn find(&self, spec: &JobSpec, key: &str) -> Result<Option<JobRecord>, JobsError> {
        find(&mut *self.pool.acquire().await?, spec, key).await
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

    /// How many jobs there are in each state.
    ///
    /// # Errors
    /// [`JobsError::Database`].
    pub async fn counts(&self) -> Result<Vec<(JobState, i64)>, JobsError> {
        let rows = sqlx::query("SELECT state, COUNT(*) FROM jobs GROUP BY state").fetch_all(&self.pool).await?;
        let count = |state: JobState| {
            let row = rows.iter().find(|row| row.get::<&str, _>(0) == state.as_str());
            (state, row.map_or(0, |row| row.get(1)))
        };
        Ok(JobState::ALL.map(count).to_vec())
    }

    /// Jobs of a kind, newest first, older than `after`.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn list(&self, kind: JobKind, after: Option<JobId>, limit: usize) -> Result<Page<JobRecord>, JobsError> {
        // Version 0.1 had no kinds but one.
        let sql = "SELECT * FROM jobs WHERE COALESCE(json_extract(spec, '$.job'), 'finetune') = $1
                   AND ($2 IS NULL OR id < $2) ORDER BY id DESC LIMIT $3";
        let query = sqlx::query(sql).bind(kind.name());
        let query = query.bind(after.map(|id| id.to_string())).bind(limit as i64 + 1);
        let rows = query.fetch_all(&self.pool).await?;
        Ok(Page::cut(rows.iter().map(JobRecord::read).collect::<Result<_, _>>()?, limit))
    }

    /// The events of a job behind `after`, in order.
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

    /// How the last attempt of a job understood its data set, once it has.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn dataset(&self, id: JobId) -> Result<Option<DatasetSummary>, JobsError> {
        let sql = "SELECT * FROM events WHERE job_id = $1 AND json_extract(data, '$.type') = 'dataset'
                   ORDER BY seq DESC LIMIT 1";
        let row = sqlx::query(sql).bind(id.to_string()).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(JobEvent::read).transpose()?.and_then(|event| match event.event {
            Event::Dataset { summary } => Some(*summary),
            _ => None,
        }))
    }

    /// What an import noticed on the way, in the last of its attempts that noticed anything.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn remarks(&self, id: JobId) -> Result<Vec<String>, JobsError> {
        let sql = "SELECT * FROM events WHERE job_id = $1 AND json_extract(data, '$.type') = 'note' AND attempt = (
                       SELECT MAX(attempt) FROM events WHERE job_id = $1 AND json_extract(data, '$.type') = 'note')
                   ORDER BY seq";
        let rows = sqlx::query(sql).bind(id.to_string()).fetch_all(&self.pool).await?;
        let events = rows.iter().map(JobEvent::read).collect::<Result<Vec<_>, _>>()?;
        let remark = |event: JobEvent| if let Event::Note { message } = event.event { Some(message) } else { None };
        Ok(events.into_iter().filter_map(remark).collect())
    }

    /// The folders of imports that are not over.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn import_folders(&self) -> Result<Vec<String>, JobsError> {
        let sql = concat!(
            "SELECT json_extract(spec, '$.folder') AS folder FROM jobs WHERE state IN ('queued', 'running', 'paused') AND ",
            is_import!()
        );
        let rows = sqlx::query(sql).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(|row| row.try_get("folder")).collect::<Result<_, _>>()?)
    }

    /// A job that is not over and uses this stored data set, if there is one.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn using(&self, dataset: &DatasetName) -> Result<Option<JobId>, JobsError> {
        let sql = "SELECT * FROM jobs WHERE state IN ('queued', 'running', 'paused')
                   AND json_extract(spec, '$.dataset.kind') = 'stored' AND json_extract(spec, '$.dataset.name') = $1
                   ORDER BY id LIMIT 1";
        let row = sqlx::query(sql).bind(dataset.as_str()).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(JobRecord::read).transpose()?.map(|job| job.id))
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

async fn find(connection: &mut SqliteConnection, spec: &JobSpec, key: &str) -> Result<Option<JobRecord>, JobsError> {
    let query = sqlx::query("SELECT * FROM jobs WHERE idempotency_key = $1").bind(key);
    let Some(row) = query.fetch_optional(connection).await? else { return Ok(None) };
    let job = JobRecord::read(&row)?;
    if job.spec.answers(spec) { Ok(Some(job)) } else { Err(JobsError::KeyReused(job.id)) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::record::JobState;
    use super::*;
    use trainer::data::{DatasetSource, Layout};

    use crate::evaluate::EvaluateSpec;
    use crate::finetune::FinetuneSpec;

    pub(in crate::jobs) fn spec(name: &str) -> JobSpec {
        JobSpec::Finetune(FinetuneSpec {
            base_model: "squeezenet".parse().unwrap(),
            dataset: DatasetSource::new(Layout::Folder, "flowers").into(),
            name: name.parse().unwrap(),
            options: trainer::finetune::FinetuneOptions::default(),
            deploy: crate::finetune::DeployOptions::default(),
            webhook: None,
        })
    }

    pub(in crate::jobs) async fn jobs() -> (tempfile::TempDir, Jobs) {
        let folder = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(&folder.path().join("new").join("jobs.sqlite"), JobOptions::default()).await.unwrap();
        (folder, jobs)
    }

    pub(in crate::jobs) async fn create(jobs: &Jobs, name: &str) -> JobRecord {
        match jobs.create(&request(&spec(name))).await.unwrap() {
            Submission::New(job) => job,
            Submission::Existing(job) => panic!("{job:?}"),
        }
    }

    pub(in crate::jobs) fn evaluation(model: &str) -> JobSpec {
        JobSpec::Evaluate(EvaluateSpec {
            model: model.parse().unwrap(),
            version: Some(2),
            dataset: DatasetSource::new(Layout::Folder, "flowers").into(),
            options: trainer::evaluate::EvaluateOptions::default(),
        })
    }

    pub(in crate::jobs) fn request(spec: &JobSpec) -> JobRequest<'_> {
        JobRequest { spec, idempotency_key: None, owner: None }
    }

    #[tokio::test]
    async fn jobs_survive_the_process() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        assert_eq!((job.state, job.attempt, &job.spec), (JobState::Queued, 0, &spec("flowers")));
        jobs.pool.close().await;
        let again = Jobs::open(&folder.path().join("new").join("jobs.sqlite"), JobOptions::default()).await.unwrap();
        assert_eq!(again.get(job.id).await.unwrap(), job);
        assert_eq!(again.queued().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_key_makes_one_job_of_two_requests() {
        let (_folder, jobs) = jobs().await;
        let (a, b) = (spec("a"), spec("b"));
        let keyed = |spec| JobRequest { idempotency_key: Some("key"), ..request(spec) };
        let Submission::New(first) = jobs.create(&keyed(&a)).await.unwrap() else { panic!() };
        assert_eq!(jobs.create(&keyed(&a)).await.unwrap(), Submission::Existing(first.clone()));
        let error = jobs.create(&keyed(&b)).await.unwrap_err();
        assert!(matches!(error, JobsError::KeyReused(id) if id == first.id));
        assert_eq!(jobs.list(JobKind::Finetune, None, 10).await.unwrap().data.len(), 1);
    }

    #[tokio::test]
    async fn lists_are_of_one_kind_newest_first_and_in_pages() {
        let (_folder, jobs) = jobs().await;
        for name in ["a", "b", "c"] {
            create(&jobs, name).await;
        }
        let Submission::New(_) = jobs.create(&request(&evaluation("d"))).await.unwrap() else { panic!() };
        let name = |job: &JobRecord| match &job.spec {
            JobSpec::Finetune(spec) => spec.name.to_string(),
            JobSpec::Evaluate(spec) => spec.model.to_string(),
            JobSpec::Quantize(spec) => spec.model.to_string(),
            JobSpec::Import(spec) => spec.name.to_string(),
        };
        let names = |page: &Page<JobRecord>| page.data.iter().map(name).collect::<Vec<_>>();
        let fine_tunes = async |after| jobs.list(JobKind::Finetune, after, 2).await.unwrap();
        let page = fine_tunes(None).await;
        assert_eq!((names(&page), page.has_more), (vec!["c".to_owned(), "b".to_owned()], true));
        let page = fine_tunes(Some(page.data[1].id)).await;
        assert_eq!((names(&page), page.has_more), (vec!["a".to_owned()], false));
        let page = jobs.list(JobKind::Evaluate, None, 2).await.unwrap();
        assert_eq!((names(&page), page.has_more), (vec!["d".to_owned()], false));
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

    #[tokio::test]
    async fn as_many_jobs_wait_as_may_in_all_and_of_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let options = JobOptions { queued: 3, queued_per_key: 2, ..JobOptions::default() };
        let jobs = Jobs::open(&folder.path().join("jobs.sqlite"), options).await.unwrap();
        let spec = spec("a");
        let create = async |owner| jobs.create(&JobRequest { owner, ..request(&spec) }).await;
        for _ in 0..2 {
            create(Some("alice")).await.unwrap();
        }
        let refused = create(Some("alice")).await.unwrap_err().to_string();
        assert_eq!(refused, "2 jobs wait already, as many as --max-queued-jobs-per-key allows; send it again later");
        create(Some("bob")).await.unwrap();
        for owner in [Some("bob"), None] {
            let refused = create(owner).await.unwrap_err().to_string();
            assert_eq!(refused, "3 jobs wait already, as many as --max-queued-jobs allows; send it again later");
        }
        let import = JobSpec::Import(crate::imports::tests::import("d", "upload-a"));
        jobs.create(&request(&import)).await.expect("imports wait elsewhere");
        let running = jobs.claim("worker", JobQueue::Images).await.unwrap().unwrap();
        create(None).await.unwrap();
        assert_eq!(jobs.get(running.job.id).await.unwrap().state, JobState::Running);
    }

    /// A database that has no room for another page, as on a full disk.
    async fn full(folder: &tempfile::TempDir, jobs: Jobs) -> Jobs {
        let path = folder.path().join("new").join("jobs.sqlite");
        let row = sqlx::query("PRAGMA page_count").fetch_one(&jobs.pool).await.unwrap();
        let pages: i64 = row.try_get(0).unwrap();
        jobs.pool.close().await;
        let connection = database::connection(&path, BUSY_TIMEOUT).pragma("max_page_count", pages.to_string());
        Jobs::connect(connection, JobOptions::default()).await.unwrap()
    }

    #[tokio::test]
    async fn a_job_is_accepted_only_when_it_is_on_the_disk() {
        let (folder, jobs) = jobs().await;
        let jobs = full(&folder, jobs).await;
        let mut accepted = Vec::new();
        let refusal = loop {
            match jobs.create(&request(&spec("a"))).await {
                Ok(Submission::New(job)) => accepted.push(job.id),
                Ok(Submission::Existing(job)) => panic!("{job:?}"),
                Err(error) => break error,
            }
        };
        assert!(refusal.is_full(), "{refusal:?}");
        assert!(jobs.create(&request(&spec("a"))).await.unwrap_err().is_full(), "and again");
        jobs.pool.close().await;
        let again = Jobs::open(&folder.path().join("new").join("jobs.sqlite"), JobOptions::default()).await.unwrap();
        let mut ids: Vec<_> =
            again.list(JobKind::Finetune, None, 1000).await.unwrap().data.iter().map(|job| job.id).collect();
        ids.reverse();
        assert_eq!(ids, accepted, "exactly those that were accepted");
    }
}
