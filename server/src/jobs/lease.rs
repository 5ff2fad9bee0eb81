//! What a server writes about a job that it works on. Every statement names the attempt, so that a server whose lease
//! has run out changes nothing.

use std::time::Duration;

use serde::Serialize;
use sqlx::Row;
use trainer::events::Event;

use super::record::{JobError, JobId, JobProgress, JobRecord, JobResult};
use super::schema::now;
use super::store::{Jobs, JobsError};

/// How often a job is begun before it has failed, attempts that ended with the server being told to stop left out.
const MAX_ATTEMPTS: u32 = 3;

/// A job that is ours for the time of a lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The job as it was when it was claimed.
    pub job: JobRecord,
    /// Whether it was taken from a server that had gone.
    pub reclaimed: bool,
    /// The end of the lease, in milliseconds since 1970.
    pub lease_until: i64,
}

/// What a sign of life brought to light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    /// The job is still ours.
    Ours {
        /// The new end of the lease, in milliseconds since 1970.
        lease_until: i64,
        /// Whether somebody asked for the job's end.
        cancel_requested: bool,
    },
    /// It is not: another server has it, or it is over.
    Lost,
}

impl Jobs {
    /// Takes the oldest job that waits, or whose server has gone. Jobs that have been begun too often fail here.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn claim(&self, worker: &str, lease: Duration) -> Result<Option<Claim>, JobsError> {
        self.reap().await?;
        let sql = concat!(
            "UPDATE jobs SET reclaimed = (state = 'running'), state = 'running', worker = $1, attempt = attempt + 1,
                progress = NULL, started_at = ",
            now!(),
            ", lease_until = ",
            now!(),
            " + $2 WHERE id = (
                SELECT id FROM jobs WHERE state = 'queued' OR (state = 'running' AND lease_until < ",
            now!(),
            ") ORDER BY id LIMIT 1) RETURNING *"
        );
        let row = sqlx::query(sql).bind(worker).bind(millis(lease)).fetch_optional(&self.pool).await?;
        let claim = row.map(|row| {
            let (reclaimed, lease_until) = (row.try_get("reclaimed")?, row.try_get("lease_until")?);
            Ok::<_, sqlx::Error>(Claim { job: JobRecord::read(&row)?, reclaimed, lease_until })
        });
        Ok(claim.transpose()?)
    }

    /// Renews the lease.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn heartbeat(&self, claim: &Claim, lease: Duration) -> Result<Heartbeat, JobsError> {
        let sql = concat!(
            "UPDATE jobs SET lease_until = ",
            now!(),
            " + $3 WHERE id = $1 AND attempt = $2 AND state = 'running' RETURNING lease_until, cancel_requested"
        );
        let query = sqlx::query(sql).bind(claim.job.id.to_string()).bind(claim.job.attempt).bind(millis(lease));
        Ok(match query.fetch_optional(&self.pool).await? {
            None => Heartbeat::Lost,
            Some(row) => Heartbeat::Ours {
                lease_until: row.try_get("lease_until")?,
                cancel_requested: row.try_get("cancel_requested")?,
            },
        })
    }

    /// Writes an event down. `false`: the job is not ours any more.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn record(&self, claim: &Claim, event: &Event) -> Result<bool, JobsError> {
        let sql = concat!(
            "INSERT INTO events (job_id, attempt, at, data) SELECT id, attempt, ",
            now!(),
            ", $3 FROM jobs WHERE id = $1 AND attempt = $2 AND state = 'running'"
        );
        let written = self.write(claim, sql, Some(event)).await?;
        let progress = match event {
            Event::Phase { phase } => Some(JobProgress { phase: *phase, done: 0, total: 0 }),
            Event::Progress { phase, done, total } => Some(JobProgress { phase: *phase, done: *done, total: *total }),
            _ => None,
        };
        if let Some(progress) = progress {
            let sql = "UPDATE jobs SET progress = $3 WHERE id = $1 AND attempt = $2 AND state = 'running'";
            self.write(claim, sql, Some(&progress)).await?;
        }
        Ok(written)
    }

    /// Notes what was published, before anything else is done about it: a server that is killed now does not publish
    /// twice. `false`: the job is not ours any more.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn note_result(&self, claim: &Claim, result: &JobResult) -> Result<bool, JobsError> {
        let sql = "UPDATE jobs SET result = $3 WHERE id = $1 AND attempt = $2 AND state = 'running'";
        self.write(claim, sql, Some(result)).await
    }

    /// The job has succeeded; its result has been noted.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn succeed(&self, claim: &Claim) -> Result<bool, JobsError> {
        let sql = concat!(
            "UPDATE jobs SET state = 'succeeded', progress = NULL, finished_at = ",
            now!(),
            " WHERE id = $1 AND attempt = $2 AND state = 'running'"
        );
        self.write(claim, sql, None::<&()>).await
    }

    /// The job has failed.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn fail(&self, claim: &Claim, error: &JobError) -> Result<bool, JobsError> {
        let sql = concat!(
            "UPDATE jobs SET state = 'failed', error = $3, finished_at = ",
            now!(),
            " WHERE id = $1 AND attempt = $2 AND state = 'running'"
        );
        self.write(claim, sql, Some(error)).await
    }

    /// The job was called off.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn cancelled(&self, claim: &Claim) -> Result<bool, JobsError> {
        let sql = concat!(
            "UPDATE jobs SET state = 'cancelled', finished_at = ",
            now!(),
            " WHERE id = $1 AND attempt = $2 AND state = 'running'"
        );
        self.write(claim, sql, None::<&()>).await
    }

    /// Puts the job back, because this server stops. The attempt does not count.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn release(&self, claim: &Claim) -> Result<bool, JobsError> {
        let sql = "UPDATE jobs SET state = 'queued', worker = NULL, lease_until = NULL, forgiven = forgiven + 1
                   WHERE id = $1 AND attempt = $2 AND state = 'running'";
        self.write(claim, sql, None::<&()>).await
    }

    /// Ends jobs whose servers went away too often, and those that were called off when their server went.
    async fn reap(&self) -> Result<(), JobsError> {
        let gone = concat!(" WHERE state = 'running' AND result IS NULL AND lease_until < ", now!());
        let cancelled = concat!("UPDATE jobs SET state = 'cancelled', finished_at = ", now!());
        let sql = sqlx::AssertSqlSafe(format!("{cancelled}{gone} AND cancel_requested = 1"));
        sqlx::query(sql).execute(&self.pool).await?;
        let error = JobError {
            code: "server_lost".to_owned(),
            message: format!("the server went away during each of {MAX_ATTEMPTS} attempts; its log may say why"),
        };
        let failed = concat!("UPDATE jobs SET state = 'failed', error = $1, finished_at = ", now!());
        let sql = sqlx::AssertSqlSafe(format!("{failed}{gone} AND attempt - forgiven >= $2"));
        let query = sqlx::query(sql).bind(serde_json::to_string(&error)?).bind(MAX_ATTEMPTS);
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// A statement on the job `$1` in attempt `$2`, with `$3` as JSON.
    async fn write(&self, claim: &Claim, sql: &'static str, value: Option<&impl Serialize>) -> Result<bool, JobsError> {
        let id: JobId = claim.job.id;
        let mut query = sqlx::query(sql).bind(id.to_string()).bind(claim.job.attempt);
        if let Some(value) = value {
            query = query.bind(serde_json::to_string(value)?);
        }
        Ok(query.execute(&self.pool).await?.rows_affected() == 1)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;
    use trainer::events::Phase;

    use super::super::record::JobState;
    use super::super::store::tests::{create, jobs};
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    async fn claim(jobs: &Jobs, lease: Duration) -> Claim {
        jobs.claim("worker", lease).await.unwrap().unwrap()
    }

    async fn run_out() {
        tokio::time::sleep(3 * SHORT).await;
    }

    fn warning(text: &str) -> Event {
        Event::Warning { message: text.to_owned() }
    }

    #[tokio::test]
    async fn each_job_is_claimed_once() {
        let (_folder, jobs) = jobs().await;
        for number in 0..12 {
            create(&jobs, &format!("job{number}")).await;
        }
        let mut workers = tokio::task::JoinSet::new();
        for worker in 0..4 {
            let jobs = jobs.clone();
            workers.spawn(async move {
                let mut claimed = Vec::new();
                while let Some(claim) = jobs.claim(&format!("worker{worker}"), LONG).await.unwrap() {
                    claimed.push(claim.job.id);
                }
                claimed
            });
        }
        let claimed: Vec<JobId> = workers.join_all().await.concat();
        assert_eq!(claimed.len(), 12);
        assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 12);
    }

    #[tokio::test]
    async fn a_server_that_comes_back_too_late_changes_nothing() {
        let (_folder, jobs) = jobs().await;
        let id = create(&jobs, "a").await.id;
        let first = claim(&jobs, SHORT).await;
        assert!(!first.reclaimed && jobs.record(&first, &warning("one")).await.unwrap());
        run_out().await;
        let second = claim(&jobs, LONG).await;
        assert_eq!((second.job.id, second.job.attempt, second.reclaimed), (id, 2, true));

        assert_eq!(jobs.heartbeat(&first, LONG).await.unwrap(), Heartbeat::Lost);
        assert!(!jobs.record(&first, &warning("late")).await.unwrap());
        let result = JobResult { model: "a".to_owned(), version: 1, metrics: json!({}) };
        assert!(!jobs.note_result(&first, &result).await.unwrap());
        let error = JobError { code: "x".to_owned(), message: "y".to_owned() };
        assert!(!jobs.fail(&first, &error).await.unwrap());
        assert!(!jobs.succeed(&first).await.unwrap());
        assert!(!jobs.cancelled(&first).await.unwrap());
        assert!(!jobs.release(&first).await.unwrap());
        let job = jobs.get(id).await.unwrap();
        assert_eq!((job.state, job.attempt, job.result, job.error), (JobState::Running, 2, None, None));
        let events = jobs.events(id, 0, 10).await.unwrap().data;
        assert_eq!(
            events.iter().map(|event| (event.attempt, &event.event)).collect::<Vec<_>>(),
            [(1, &warning("one"))]
        );
    }

    #[tokio::test]
    async fn a_heartbeat_keeps_the_job() {
        let (_folder, jobs) = jobs().await;
        create(&jobs, "a").await;
        let mine = claim(&jobs, SHORT).await;
        let beat = jobs.heartbeat(&mine, LONG).await.unwrap();
        let Heartbeat::Ours { lease_until, cancel_requested: false } = beat else { panic!("{beat:?}") };
        assert!(lease_until > mine.lease_until + 50_000);
        run_out().await;
        assert_eq!(jobs.claim("other", LONG).await.unwrap(), None);
        jobs.cancel(mine.job.id).await.unwrap();
        assert!(matches!(jobs.heartbeat(&mine, LONG).await.unwrap(), Heartbeat::Ours { cancel_requested: true, .. }));
    }

    #[tokio::test]
    async fn servers_that_go_away_too_often_fail_the_job() {
        let (_folder, jobs) = jobs().await;
        let id = create(&jobs, "a").await.id;
        for attempt in 1..=MAX_ATTEMPTS {
            assert_eq!(claim(&jobs, SHORT).await.job.attempt, attempt);
            run_out().await;
        }
        assert_eq!(jobs.claim("worker", LONG).await.unwrap(), None);
        let job = jobs.get(id).await.unwrap();
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "server_lost"));
        assert!(job.finished_at.is_some());
    }

    #[tokio::test]
    async fn a_server_that_is_told_to_stop_costs_no_attempt() {
        let (_folder, jobs) = jobs().await;
        let id = create(&jobs, "a").await.id;
        for attempt in 1..=MAX_ATTEMPTS + 1 {
            let mine = claim(&jobs, LONG).await;
            assert_eq!((mine.job.attempt, mine.reclaimed), (attempt, false));
            assert!(jobs.release(&mine).await.unwrap());
            assert_eq!(jobs.get(id).await.unwrap().state, JobState::Queued);
        }
        assert!(claim(&jobs, LONG).await.job.attempt > MAX_ATTEMPTS);
    }

    #[tokio::test]
    async fn a_job_that_was_called_off_is_not_begun_again() {
        let (_folder, jobs) = jobs().await;
        let id = create(&jobs, "a").await.id;
        claim(&jobs, SHORT).await;
        assert_eq!(jobs.cancel(id).await.unwrap().state, JobState::Running);
        run_out().await;
        assert_eq!(jobs.claim("worker", LONG).await.unwrap(), None);
        assert_eq!(jobs.get(id).await.unwrap().state, JobState::Cancelled);
    }

    #[tokio::test]
    async fn a_published_result_is_not_lost_with_its_server() {
        let (_folder, jobs) = jobs().await;
        let id = create(&jobs, "a").await.id;
        let result = JobResult { model: "a".to_owned(), version: 7, metrics: json!({"test_top1": 0.5}) };
        for _ in 0..MAX_ATTEMPTS {
            assert!(jobs.note_result(&claim(&jobs, SHORT).await, &result).await.unwrap());
            run_out().await;
        }
        let mine = claim(&jobs, LONG).await;
        assert_eq!(mine.job.result.as_ref(), Some(&result));
        assert!(jobs.succeed(&mine).await.unwrap());
        assert_eq!(jobs.get(id).await.unwrap().state, JobState::Succeeded);
    }

    #[tokio::test]
    async fn progress_is_part_of_the_job_and_events_come_in_pages() {
        let (_folder, jobs) = jobs().await;
        let id = create(&jobs, "a").await.id;
        let mine = claim(&jobs, LONG).await;
        let phase = Phase::Features;
        for event in [Event::Phase { phase }, Event::Progress { phase, done: 3, total: 9 }, warning("three")] {
            assert!(jobs.record(&mine, &event).await.unwrap());
        }
        let progress = jobs.get(id).await.unwrap().progress;
        assert_eq!(progress, Some(JobProgress { phase, done: 3, total: 9 }));
        let page = jobs.events(id, 0, 2).await.unwrap();
        assert!(page.has_more && page.data[0].seq < page.data[1].seq);
        let rest = jobs.events(id, page.data[1].seq, 2).await.unwrap();
        assert_eq!((rest.has_more, &rest.data[0].event), (false, &warning("three")));
    }
}
