//! The writes of a server to the job that it works on. Every statement names the attempt, so a server whose lease has run
//! out changes nothing.

use std::time::Duration;

use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use trainer::events::Event;

use super::error::JobsError;
use super::record::{JobError, JobId, JobProgress, JobRecord, JobResult};
use super::schema::claimable;
use super::store::Jobs;
use crate::database::now;

/// A job that this server owns for the time of a lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The job as it was when it was claimed.
    pub job: JobRecord,
    /// Whether another server had the job and its lease ran out.
    pub reclaimed: bool,
    /// The end of the lease, in milliseconds since 1970.
    pub lease_until: i64,
    /// Which attempt it is of those that count, from 1.
    pub counted_attempt: u32,
    /// How long earlier attempts ran.
    pub spent: Duration,
}

/// The result of renewing a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeat {
    /// This server still owns the job.
    Ours {
        /// The new end of the lease, in milliseconds since 1970.
        lease_until: i64,
        /// Whether a client cancelled the job.
        cancel_requested: bool,
    },
    /// Another server owns the job, or it has ended.
    Lost,
}

impl Jobs {
    /// Claims the oldest job that waits or whose lease has run out. Jobs without attempts left are claimed too, because their
    /// model may be published.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn claim(&self, worker: &str) -> Result<Option<Claim>, JobsError> {
        if !self.any_claimable().await? {
            return Ok(None);
        }
        let mut transaction = self.begin().await?;
        let sql = concat!(
            "UPDATE jobs SET spent_ms = spent_ms + CASE state WHEN 'running' THEN MAX(lease_until - started_at, 0) ELSE 0
                END, reclaimed = (state = 'running'), state = 'running', worker = $1, attempt = attempt + 1,
                progress = NULL, not_before = NULL, started_at = ",
            now!(),
            ", lease_until = ",
            now!(),
            " + $2 WHERE id = (SELECT id FROM jobs WHERE ",
            claimable!(),
            " ORDER BY id LIMIT 1) RETURNING *"
        );
        let query = sqlx::query(sql).bind(worker).bind(millis(self.options.lease));
        let row = query.fetch_optional(&mut *transaction).await?;
        let claim = row.as_ref().map(Claim::read).transpose()?;
        transaction.commit().await?;
        Ok(claim)
    }

    /// Whether there is a job to claim or to end. A server without work only reads.
    async fn any_claimable(&self) -> Result<bool, JobsError> {
        let sql = concat!("SELECT EXISTS (SELECT 1 FROM jobs WHERE ", claimable!(), ") AS claimable");
        Ok(sqlx::query(sql).fetch_one(&self.pool).await?.try_get("claimable")?)
    }

    /// Renews the lease.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn heartbeat(&self, claim: &Claim) -> Result<Heartbeat, JobsError> {
        let sql = concat!(
            "UPDATE jobs SET lease_until = ",
            now!(),
            " + $3 WHERE id = $1 AND attempt = $2 AND state = 'running' RETURNING lease_until, cancel_requested"
        );
        let mut transaction = self.begin().await?;
        let query = sqlx::query(sql).bind(claim.job.id.to_string()).bind(claim.job.attempt);
        let beat = match query.bind(millis(self.options.lease)).fetch_optional(&mut *transaction).await? {
            None => Heartbeat::Lost,
            Some(row) => Heartbeat::Ours {
                lease_until: row.try_get("lease_until")?,
                cancel_requested: row.try_get("cancel_requested")?,
            },
        };
        transaction.commit().await?;
        Ok(beat)
    }

    /// Stores the progress of the job. `false`: this server does not own the job any more.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn progress(&self, claim: &Claim, progress: &JobProgress) -> Result<bool, JobsError> {
        let sql = "UPDATE jobs SET progress = $3 WHERE id = $1 AND attempt = $2 AND state = 'running'";
        self.write(claim, sql, Some(progress)).await
    }

    /// Stores an event. Above the limit of events it stores only phases, the data set and results, and one warning that says so.
    /// `false`: this server does not own the job any more.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn record(&self, claim: &Claim, event: &Event) -> Result<bool, JobsError> {
        let mut transaction = self.begin().await?;
        let progress = match event {
            Event::Phase { phase } => Some(JobProgress { phase: *phase, done: 0, total: 0 }),
            Event::Progress { phase, done, total } => Some(JobProgress { phase: *phase, done: *done, total: *total }),
            _ => None,
        };
        let progress = progress.map(|progress| serde_json::to_string(&progress)).transpose()?;
        let sql = "UPDATE jobs SET events = events + 1, progress = COALESCE($3, progress)
                   WHERE id = $1 AND attempt = $2 AND state = 'running' RETURNING events";
        let query = sqlx::query(sql).bind(claim.job.id.to_string()).bind(claim.job.attempt).bind(progress);
        let Some(row) = query.fetch_optional(&mut *transaction).await? else { return Ok(false) };
        let (count, limit): (i64, i64) = (row.try_get("events")?, self.options.events.into());
        let essential = matches!(event, Event::Phase { .. } | Event::Dataset { .. } | Event::Metrics { .. });
        let event = if count <= limit || essential {
            Some(bounded(event))
        } else if count == limit + 1 {
            Some(Event::Warning { message: format!("this job has had {limit} events; the others are not stored") })
        } else {
            None
        };
        if let Some(event) = event {
            let sql = concat!("INSERT INTO events (job_id, attempt, at, data) VALUES ($1, $2, ", now!(), ", $3)");
            let query = sqlx::query(sql).bind(claim.job.id.to_string()).bind(claim.job.attempt);
            query.bind(serde_json::to_string(&event)?).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Stores what came of the work before the server does anything else with it. `false`: this server does not own the job any more.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn note_result(&self, claim: &Claim, result: &JobResult) -> Result<bool, JobsError> {
        let sql = "UPDATE jobs SET result = $3 WHERE id = $1 AND attempt = $2 AND state = 'running'";
        self.write(claim, sql, Some(result)).await
    }

    /// Ends the job as succeeded. Its result is stored already.
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

    /// Ends the job as failed.
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

    /// Ends the job as cancelled.
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

    /// Returns the job to the queue, because this server stops. The attempt does not count.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn release(&self, claim: &Claim) -> Result<bool, JobsError> {
        let sql = concat!(
            "UPDATE jobs SET state = 'queued', worker = NULL, lease_until = NULL, forgiven = forgiven + 1,
                spent_ms = spent_ms + MAX(",
            now!(),
            " - started_at, 0) WHERE id = $1 AND attempt = $2 AND state = 'running'"
        );
        self.write(claim, sql, None::<&()>).await
    }

    /// Returns the job to the queue for another attempt after `delay`, because this one failed through no fault of the request.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn retry(&self, claim: &Claim, delay: Duration) -> Result<bool, JobsError> {
        let sql = concat!(
            "UPDATE jobs SET state = 'queued', worker = NULL, lease_until = NULL, spent_ms = spent_ms + MAX(",
            now!(),
            " - started_at, 0), not_before = ",
            now!(),
            " + $3 WHERE id = $1 AND attempt = $2 AND state = 'running'"
        );
        self.write(claim, sql, Some(&millis(delay))).await
    }

    /// Executes a statement on the job `$1` in attempt `$2`, with `$3` as JSON.
    async fn write(&self, claim: &Claim, sql: &'static str, value: Option<&impl Serialize>) -> Result<bool, JobsError> {
        let id: JobId = claim.job.id;
        let mut query = sqlx::query(sql).bind(id.to_string()).bind(claim.job.attempt);
        if let Some(value) = value {
            query = query.bind(serde_json::to_string(value)?);
        }
        let mut transaction = self.begin().await?;
        let written = query.execute(&mut *transaction).await?.rows_affected() == 1;
        transaction.commit().await?;
        Ok(written)
    }
}

impl Claim {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let job = JobRecord::read(row)?;
        let (forgiven, spent): (u32, i64) = (row.try_get("forgiven")?, row.try_get("spent_ms")?);
        Ok(Self {
            reclaimed: row.try_get("reclaimed")?,
            lease_until: row.try_get("lease_until")?,
            counted_attempt: job.attempt.saturating_sub(forgiven),
            spent: Duration::from_millis(spent.unsigned_abs()),
            job,
        })
    }
}

/// The longest message of an event, in bytes.
const LONGEST_MESSAGE: usize = 4096;

/// The event with a message of bounded length.
fn bounded(event: &Event) -> Event {
    let mut event = event.clone();
    if let Event::Note { message } | Event::Warning { message } = &mut event
        && message.len() > LONGEST_MESSAGE
    {
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        message.push('…');
    }
    event
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;
    use trainer::events::Phase;

    use super::super::options::JobOptions;
    use super::super::record::JobState;
    use super::super::store::tests::{create, jobs};
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    /// The same database, for a server whose claims last so long.
    fn leasing(jobs: &Jobs, lease: Duration) -> Jobs {
        Jobs { options: JobOptions { lease, ..jobs.options }, ..jobs.clone() }
    }

    async fn claim(jobs: &Jobs, lease: Duration) -> Claim {
        leasing(jobs, lease).claim("worker").await.unwrap().unwrap()
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
                while let Some(claim) = jobs.claim(&format!("worker{worker}")).await.unwrap() {
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

        assert_eq!(jobs.heartbeat(&first).await.unwrap(), Heartbeat::Lost);
        assert!(!jobs.record(&first, &warning("late")).await.unwrap());
        let result = JobResult { model: "a".to_owned(), version: 1, metrics: json!({}), evaluation: None };
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
        let beat = leasing(&jobs, LONG).heartbeat(&mine).await.unwrap();
        let Heartbeat::Ours { lease_until, cancel_requested: false } = beat else { panic!("{beat:?}") };
        assert!(lease_until > mine.lease_until + 50_000);
        run_out().await;
        assert_eq!(jobs.claim("other").await.unwrap(), None);
        jobs.cancel(mine.job.id).await.unwrap();
        assert!(matches!(
            leasing(&jobs, LONG).heartbeat(&mine).await.unwrap(),
            Heartbeat::Ours { cancel_requested: true, .. }
        ));
    }

    #[tokio::test]
    async fn attempts_count_unless_the_server_was_told_to_stop() {
        let (_folder, jobs) = jobs().await;
        let id = create(&jobs, "a").await.id;
        for attempt in 1..=3 {
            let mine = claim(&jobs, LONG).await;
            assert_eq!((mine.job.attempt, mine.counted_attempt, mine.reclaimed), (attempt, 1, false));
            assert!(jobs.release(&mine).await.unwrap());
            assert_eq!(jobs.get(id).await.unwrap().state, JobState::Queued);
        }
        for counted in 1..=3 {
            let mine = claim(&jobs, SHORT).await;
            assert_eq!((mine.counted_attempt, mine.reclaimed), (counted, counted > 1));
            run_out().await;
        }
    }

    #[tokio::test]
    async fn a_failed_attempt_is_repeated_after_its_delay_and_other_jobs_go_first() {
        let (_folder, jobs) = jobs().await;
        let (first, second) = (create(&jobs, "a").await.id, create(&jobs, "b").await.id);
        let mine = claim(&jobs, LONG).await;
        assert!(jobs.retry(&mine, LONG).await.unwrap());
        let other = claim(&jobs, LONG).await;
        assert_eq!((mine.job.id, other.job.id), (first, second));
        assert_eq!(jobs.claim("worker").await.unwrap(), None);
        let job = jobs.get(first).await.unwrap();
        assert_eq!((job.state, job.attempt), (JobState::Queued, 1));

        assert!(jobs.retry(&other, Duration::ZERO).await.unwrap());
        assert_eq!(claim(&jobs, LONG).await.counted_attempt, 2);
    }

    #[tokio::test]
    async fn the_time_of_all_attempts_is_added_up() {
        let (_folder, jobs) = jobs().await;
        create(&jobs, "a").await;
        let first = claim(&jobs, SHORT).await;
        assert_eq!(first.spent, Duration::ZERO);
        run_out().await;
        let second = claim(&jobs, LONG).await;
        assert_eq!(second.spent, SHORT, "a server that has gone is taken to have worked to the end of its lease");
        run_out().await;
        assert!(jobs.release(&second).await.unwrap());
        assert!(claim(&jobs, LONG).await.spent >= 3 * SHORT);
    }

    #[tokio::test]
    async fn a_published_result_is_not_lost_with_its_server() {
        let (_folder, jobs) = jobs().await;
        let id = create(&jobs, "a").await.id;
        let result =
            JobResult { model: "a".to_owned(), version: 7, metrics: json!({"test_top1": 0.5}), evaluation: None };
        assert!(jobs.note_result(&claim(&jobs, SHORT).await, &result).await.unwrap());
        run_out().await;
        let mine = claim(&jobs, LONG).await;
        assert_eq!(mine.job.result.as_ref(), Some(&result));
        assert!(jobs.succeed(&mine).await.unwrap());
        assert_eq!(jobs.get(id).await.unwrap().state, JobState::Succeeded);
    }

    #[tokio::test]
    async fn a_job_has_a_bounded_number_of_events_of_bounded_length() {
        let (_folder, jobs) = jobs().await;
        let id = create(&jobs, "a").await.id;
        let jobs = Jobs { options: JobOptions { events: 3, ..jobs.options }, ..jobs };
        let mine = jobs.claim("worker").await.unwrap().unwrap();
        assert!(jobs.record(&mine, &warning(&"ä".repeat(9000))).await.unwrap());
        for number in 0..10 {
            assert!(jobs.record(&mine, &warning(&number.to_string())).await.unwrap());
        }
        let metrics = Event::Metrics { metrics: json!({"test_top1": 0.5}) };
        assert!(jobs.record(&mine, &metrics).await.unwrap());
        let events: Vec<Event> =
            jobs.events(id, 0, 100).await.unwrap().data.into_iter().map(|event| event.event).collect();
        let long = warning(&format!("{}…", "ä".repeat(2048)));
        let note = warning("this job has had 3 events; the others are not stored");
        assert_eq!(events, [long, warning("0"), warning("1"), note, metrics]);
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
        let progress = |done| JobProgress { phase, done, total: 9 };
        assert_eq!(jobs.get(id).await.unwrap().progress, Some(progress(3)));
        assert!(jobs.progress(&mine, &progress(4)).await.unwrap());
        assert_eq!(jobs.get(id).await.unwrap().progress, Some(progress(4)));
        let page = jobs.events(id, 0, 2).await.unwrap();
        assert!(page.has_more && page.data[0].seq < page.data[1].seq);
        let rest = jobs.events(id, page.data[1].seq, 2).await.unwrap();
        assert_eq!((rest.has_more, &rest.data[0].event), (false, &warning("three")));
    }
}
