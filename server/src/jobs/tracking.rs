//! Which jobs are recorded elsewhere as experiments, and how far.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::error::JobsError;
use super::record::{JobId, JobRecord};
use super::store::Jobs;
use crate::database::{millis, now};

/// A job whose record is not complete.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackedJob {
    /// The job as it is now.
    pub job: JobRecord,
    /// The record, as the tracking server names it; nothing before the first of it is sent.
    pub run: Option<String>,
    /// The `seq` of the last event that is in the record.
    pub seq: i64,
}

/// Who records jobs, and which.
#[derive(Debug, Clone)]
pub struct Recorder<'a> {
    /// The server that does it. Others leave its jobs alone for a while.
    pub name: &'a str,
    /// Jobs that ended before are not begun to be recorded.
    pub since: Timestamp,
    /// How long a job is its own.
    pub hold: Duration,
}

impl Jobs {
    /// Fine-tunes that are to be recorded, or recorded further. They are this recorder's for a while.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn tracked(&self, recorder: &Recorder<'_>) -> Result<Vec<TrackedJob>, JobsError> {
        let wanted = "SELECT jobs.*, tracking.run, COALESCE(tracking.seq, 0) AS seq
             FROM jobs LEFT JOIN tracking ON tracking.job_id = jobs.id
             WHERE COALESCE(json_extract(jobs.spec, '$.job'), 'finetune') = 'finetune' AND jobs.attempt > 0
               AND COALESCE(tracking.ended, 0) = 0
               AND (tracking.job_id IS NOT NULL OR jobs.state = 'running' OR jobs.finished_at >= $1)
             ORDER BY jobs.id LIMIT 100";
        let since = recorder.since.as_millisecond();
        let rows = sqlx::query(wanted).bind(since).fetch_all(&self.pool).await?;
        let mut tracked = Vec::new();
        for row in &rows {
            let job = TrackedJob::read(row)?;
            if self.hold(job.job.id, recorder).await? {
                tracked.push(job);
            }
        }
        Ok(tracked)
    }

    /// Whether the record of a job is this recorder's.
    async fn hold(&self, id: JobId, recorder: &Recorder<'_>) -> Result<bool, JobsError> {
        let sql = concat!(
            "INSERT INTO tracking (job_id, holder, held_until) VALUES ($1, $2, ",
            now!(),
            " + $3) ON CONFLICT (job_id) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
             WHERE tracking.holder = excluded.holder OR tracking.held_until < ",
            now!()
        );
        let mut transaction = self.begin().await?;
        let query = sqlx::query(sql).bind(id.to_string()).bind(recorder.name).bind(millis(recorder.hold));
        let held = query.execute(&mut *transaction).await?.rows_affected() == 1;
        transaction.commit().await?;
        Ok(held)
    }

    /// Notes how far the record of a job is.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn note_tracking(&self, id: JobId, run: &str, seq: i64) -> Result<(), JobsError> {
        let sql = "UPDATE tracking SET run = $2, seq = $3 WHERE job_id = $1";
        let mut transaction = self.begin().await?;
        sqlx::query(sql).bind(id.to_string()).bind(run).bind(seq).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Notes that the record of a job is complete.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn end_tracking(&self, id: JobId) -> Result<(), JobsError> {
        let mut transaction = self.begin().await?;
        let sql = "UPDATE tracking SET ended = 1 WHERE job_id = $1";
        sqlx::query(sql).bind(id.to_string()).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }
}

impl TrackedJob {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self { job: JobRecord::read(row)?, run: row.try_get("run")?, seq: row.try_get("seq")? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::JobQueue;
    use super::super::store::tests::{create, jobs};
    use super::*;

    fn recorder(name: &str, since: Timestamp) -> Recorder<'_> {
        Recorder { name, since, hold: Duration::from_secs(60) }
    }

    async fn ids(jobs: &Jobs, recorder: &Recorder<'_>) -> Vec<JobId> {
        jobs.tracked(recorder).await.unwrap().into_iter().map(|tracked| tracked.job.id).collect()
    }

    #[tokio::test]
    async fn a_job_is_recorded_from_its_start_to_its_end_by_one_server() {
        let (_folder, jobs) = jobs().await;
        let (one, other) = (recorder("one", Timestamp::now()), recorder("other", Timestamp::now()));
        let job = create(&jobs, "a").await;
        assert_eq!(ids(&jobs, &one).await, [], "it has not begun");
        let claim = jobs.claim("worker", JobQueue::Images).await.unwrap().unwrap();
        assert_eq!(ids(&jobs, &one).await, [job.id]);
        assert_eq!(ids(&jobs, &other).await, [], "the other server leaves it alone");
        jobs.note_tracking(job.id, "run", 7).await.unwrap();
        jobs.succeed(&claim).await.unwrap();
        let tracked = jobs.tracked(&one).await.unwrap();
        assert_eq!((tracked[0].run.as_deref(), tracked[0].seq), (Some("run"), 7), "its end is to be recorded");
        jobs.end_tracking(job.id).await.unwrap();
        assert_eq!(ids(&jobs, &one).await, []);
    }

    #[tokio::test]
    async fn jobs_that_ended_before_are_left_alone_and_retried_ones_get_a_new_record() {
        let (_folder, jobs) = jobs().await;
        let job = create(&jobs, "a").await;
        let claim = jobs.claim("worker", JobQueue::Images).await.unwrap().unwrap();
        jobs.cancelled(&claim).await.unwrap();
        let later = Timestamp::now().checked_add(jiff::SignedDuration::from_secs(5)).unwrap();
        assert_eq!(ids(&jobs, &recorder("one", later)).await, []);
        let one = recorder("one", Timestamp::UNIX_EPOCH);
        assert_eq!(ids(&jobs, &one).await, [job.id]);
        jobs.note_tracking(job.id, "first", 7).await.unwrap();
        jobs.end_tracking(job.id).await.unwrap();
        jobs.run_again(job.id).await.unwrap();
        jobs.claim("worker", JobQueue::Images).await.unwrap().unwrap();
        assert_eq!(jobs.tracked(&one).await.unwrap()[0].run, None);
    }
}
