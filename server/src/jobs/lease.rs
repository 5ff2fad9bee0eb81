//! The writes of a server to the job that it works on. Every statement names the attempt, so a server whose lease has run
//! out changes nothing.

use std::time::Duration;

use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use trainer::estimate::RunProgress;
use trainer::events::Event;

use super::error::JobsError;
use super::outbox;
use super::record::{JobError, JobId, JobRecord, JobResult};
use super::schema::{claimable, is_import};
use super::spec::JobQueue;
use super::store::Jobs;
use crate::database::{millis, now};

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
        /// What a client wishes of the job.
        order: ClientOrder,
    },
    /// Another server owns the job, or it has ended.
    Lost,
}

/// What a client wishes of a running job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientOrder {
    /// Nothing but its result.
    Run,
    /// That it stops at its next checkpoint.
    Pause,
    /// That it ends.
    Cancel,
}

impl ClientOrder {
    /// The order of these two columns. A job that is both paused and cancelled is cancelled.
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(match (row.try_get("cancel_requested")?, row.try_get("pause_requested")?) {
            (true, _) => Self::Cancel,
            (false, true) => Self::Pause,
            (false, false) => Self::Run,
        })
    }
}

impl Jobs {
    /// Claims the oldest job of a queue that waits or whose lease has run out. Jobs without attempts left are claimed too, because their
    /// model may be published.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn claim(&self, worker: &str, queue: JobQueue) -> Result<Option<Claim>, JobsError> {
        if !self.any_claimable(queue).await? {
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
            " + $2 WHERE id = (SELECT id FROM jobs WHERE (",
            claimable!(),
            ") AND ",
            is_import!(),
            " = $3 ORDER BY id LIMIT 1) RETURNING *"
        );
        let query = sqlx::query(sql).bind(worker).bind(millis(self.options.lease)).bind(queue == JobQueue::Imports);
        let row = query.fetch_optional(&mut *transaction).await?;
        let claim = row.as_ref().map(Claim::read).transpose()?;
        self.commit(transaction).await?;
        Ok(claim)
    }

    /// Whether there is a job to claim or to end. A server without work only reads.
    async fn any_claimable(&self, queue: JobQueue) -> Result<bool, JobsError> {
        let sql = concat!(
            "SELECT EXISTS (SELECT 1 FROM jobs WHERE (",
            claimable!(),
            ") AND ",
            is_import!(),
            " = $1) AS claimable"
        );
        let row = sqlx::query(sql).bind(queue == JobQueue::Imports).fetch_one(&self.pool).await?;
        Ok(row.try_get("claimable")?)
    }

    /// Renews the lease.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn heartbeat(&self, claim: &Claim) -> Result<Heartbeat, JobsError> {
        let sql = concat!(
            "UPDATE jobs SET lease_until = ",
            now!(),
            " + $3 WHERE id = $1 AND attempt = $2 AND state = 'running' RETURNING lease_until, cancel_requested, pause_requested"
        );
        let mut transaction = self.begin().await?;
        let query = sqlx::query(sql).bind(claim.job.id.to_string()).bind(claim.job.attempt);
        let beat = match query.bind(millis(self.options.lease)).fetch_optional(&mut *transaction).await? {
            None => Heartbeat::Lost,
            Some(row) => Heartbeat::Ours { lease_until: row.try_get("lease_until")?, order: ClientOrder::read(&row)? },
        };
        transaction.commit().await?;
        Ok(beat)
    }

    /// Stores the progress of the job. `false`: this server does not own the job any more.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn progress(&self, claim: &Claim, progress: &RunProgress) -> Result<bool, JobsError> {
        let sql = "UPDATE jobs SET progress = $3 WHERE id = $1 AND attempt = $2 AND state = 'running'";
        self.write(claim, sql, Some(progress)).await
    }

    /// Stores an event. Above the limit of events it stores only phases, the data set and results, and one warning that says so.
    /// `false`: this server does not own the job any more.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn record(&self, claim: &Claim, event: &Event) -> Result<bool, JobsError> {
        self.record_with(claim, event, None).await
    }

    /// Stores an event as [`record`](Self::record) does, and how far the run is.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn record_with(
        &self,
        claim: &Claim,
        event: &Event,
        progress: Option<RunProgress>,
    ) -> Result<bool, JobsError> {
        let mut transaction = self.begin().await?;
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
        self.commit(transaction).await?;
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
            " WHERE id = $1 AND attempt = $2 AND state = 'running' RETURNING *"
        );
        self.end(claim, sql, None).await
    }

    /// Ends the job as failed.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn fail(&self, claim: &Claim, error: &JobError) -> Result<bool, JobsError> {
        let sql = concat!(
            "UPDATE jobs SET state = 'failed', error = $3, finished_at = ",
            now!(),
            " WHERE id = $1 AND attempt = $2 AND state = 'running' RETURNING *"
        );
        self.end(claim, sql, Some(error)).await
    }

    /// Ends the job as cancelled.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn cancelled(&self, claim: &Claim) -> Result<bool, JobsError> {
        let sql = concat!(
            "UPDATE jobs SET state = 'cancelled', finished_at = ",
            now!(),
            " WHERE id = $1 AND attempt = $2 AND state = 'running' RETURNING *"
        );
        self.end(claim, sql, None).await
    }

    /// Sets the job aside until a client resumes it. The attempt does not count.
    ///
    /// # Errors
    /// [`JobsError`] when the database fails.
    pub async fn paused(&self, claim: &Claim) -> Result<bool, JobsError> {
        let sql = concat!(
            "UPDATE jobs SET state = 'paused', pause_requested = 0, worker = NULL, lease_until = NULL,
                forgiven = forgiven + 1, spent_ms = spent_ms + MAX(",
            now!(),
            " - started_at, 0) WHERE id = $1 AND attempt = $2 AND state = 'running'"
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

    /// Executes a statement that ends the job `$1` in attempt `$2`, maybe with its error as `$3`, and writes the message to its
    /// webhook with it.
    async fn end(&self, claim: &Claim, sql: &'static str, error: Option<&JobError>) -> Result<bool, JobsError> {
        let mut query = sqlx::query(sql).bind(claim.job.id.to_string()).bind(claim.job.attempt);
        if let Some(error) = error {
            query = query.bind(serde_json::to_string(error)?);
        }
        let mut transaction = self.begin().await?;
        let Some(row) = query.fetch_optional(&mut *transaction).await? else { return Ok(false) };
        outbox::enqueue(&mut transaction, &JobRecord::read(&row)?).await?;
        self.commit(transaction).await?;
        Ok(true)
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
        self.commit(transaction).await?;
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

#[cfg(test)]
mod tests;
