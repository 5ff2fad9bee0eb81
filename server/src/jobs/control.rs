//! What clients may do to a job: cancel, pause, resume and retry it.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::error::JobsError;
use super::outbox;
use super::record::{JobId, JobRecord, JobState};
use super::store::Jobs;
use crate::database::now;

impl Jobs {
    /// Cancels a job. One that waits or is paused ends at once, a running one at the next heartbeat of its server.
    ///
    /// # Errors
    /// [`JobsError::Unknown`], [`JobsError::Finished`].
    pub async fn cancel(&self, id: JobId) -> Result<JobRecord, JobsError> {
        let sql = concat!(
            "UPDATE jobs SET cancel_requested = 1, finished_at = CASE state WHEN 'running' THEN NULL ELSE ",
            now!(),
            " END, state = CASE state WHEN 'running' THEN state ELSE 'cancelled' END
             WHERE id = $1 AND state IN ('queued', 'running', 'paused') RETURNING *"
        );
        self.change(id, sql, |job| JobsError::Finished { id, state: job.state }).await
    }

    /// Pauses a job. One that waits is set aside at once, a running one when it has reached its next checkpoint.
    ///
    /// # Errors
    /// [`JobsError::Unknown`], [`JobsError::Finished`]; [`JobsError::State`] for one that is paused or about to be.
    pub async fn pause(&self, id: JobId) -> Result<JobRecord, JobsError> {
        let sql = "UPDATE jobs SET pause_requested = (state = 'running'),
                state = CASE state WHEN 'queued' THEN 'paused' ELSE state END
             WHERE id = $1 AND (state = 'queued' OR (state = 'running' AND NOT pause_requested AND NOT cancel_requested))
             RETURNING *";
        let refuse = |job: JobRecord| match job.state {
            state if state.is_over() => JobsError::Finished { id, state },
            state @ JobState::Running => {
                JobsError::State { id, state, wanted: "it stops already, because it was paused or cancelled" }
            }
            state => JobsError::State { id, state, wanted: "only a job that waits or runs can be paused" },
        };
        self.change(id, sql, refuse).await
    }

    /// Puts a paused job back into the queue. It goes on from its last checkpoint.
    ///
    /// # Errors
    /// [`JobsError::Unknown`]; [`JobsError::State`] for a job that is not paused, [`JobsError::QueueFull`].
    pub async fn resume(&self, id: JobId) -> Result<JobRecord, JobsError> {
        let sql = "UPDATE jobs SET state = 'queued', not_before = NULL WHERE id = $1 AND state = 'paused' RETURNING *";
        let wanted = "only a job that is paused can be resumed";
        self.requeue(id, sql, |job| JobsError::State { id, state: job.state, wanted }).await
    }

    /// Puts a job that failed or was cancelled back into the queue, with all its attempts and all its time.
    ///
    /// # Errors
    /// [`JobsError::Unknown`]; [`JobsError::State`] for a job that has not failed and was not cancelled,
    /// [`JobsError::QueueFull`].
    pub async fn run_again(&self, id: JobId) -> Result<JobRecord, JobsError> {
        let sql = "UPDATE jobs SET state = 'queued', cancel_requested = 0, pause_requested = 0, error = NULL,
                progress = NULL, finished_at = NULL, not_before = NULL, worker = NULL, lease_until = NULL,
                forgiven = attempt, spent_ms = 0
             WHERE id = $1 AND state IN ('failed', 'cancelled') RETURNING *";
        let wanted = "only a job that failed or was cancelled can be retried";
        self.requeue(id, sql, |job| JobsError::State { id, state: job.state, wanted }).await
    }

    /// Executes a statement that puts the job into the queue, if there is room.
    async fn requeue(
        &self,
        id: JobId,
        sql: &'static str,
        refuse: impl FnOnce(JobRecord) -> JobsError,
    ) -> Result<JobRecord, JobsError> {
        let mut transaction = self.begin().await?;
        let owner = sqlx::query("SELECT owner FROM jobs WHERE id = $1").bind(id.to_string());
        let owner: Option<String> = match owner.fetch_optional(&mut *transaction).await? {
            Some(row) => row.try_get("owner")?,
            None => return Err(JobsError::Unknown(id)),
        };
        let Some(row) = execute(&mut transaction, id, sql).await? else {
            drop(transaction);
            return Err(refuse(self.get(id).await?));
        };
        // A record that is complete is that of the time before.
        execute(&mut transaction, id, "DELETE FROM tracking WHERE job_id = $1 AND ended").await?;
        let job = JobRecord::read(&row)?;
        // The job itself is counted already.
        self.check_room(&mut transaction, owner.as_deref(), job.spec.kind().queue()).await?;
        self.commit(transaction).await?;
        self.changed.send_replace(());
        Ok(job)
    }

    /// Executes a statement on the job `$1`. Where it changes none, the job says why.
    async fn change(
        &self,
        id: JobId,
        sql: &'static str,
        refuse: impl FnOnce(JobRecord) -> JobsError,
    ) -> Result<JobRecord, JobsError> {
        let mut transaction = self.begin().await?;
        let Some(row) = execute(&mut transaction, id, sql).await? else {
            drop(transaction);
            return Err(refuse(self.get(id).await?));
        };
        let job = JobRecord::read(&row)?;
        if job.state.is_over() {
            outbox::enqueue(&mut transaction, &job).await?;
        }
        self.commit(transaction).await?;
        self.changed.send_replace(());
        Ok(job)
    }
}

async fn execute(
    connection: &mut SqliteConnection,
    id: JobId,
    sql: &'static str,
) -> Result<Option<SqliteRow>, sqlx::Error> {
    sqlx::query(sql).bind(id.to_string()).fetch_optional(connection).await
}

#[cfg(test)]
mod tests {
    use super::super::lease::{Claim, ClientOrder, Heartbeat};
    use super::super::options::JobOptions;
    use super::super::record::JobError;
    use super::super::spec::JobQueue;
    use super::super::store::tests::{create, jobs, request, spec};
    use super::*;

    async fn claim(jobs: &Jobs) -> Claim {
        jobs.claim("worker", JobQueue::Images).await.unwrap().unwrap()
    }

    async fn order(jobs: &Jobs, claim: &Claim) -> ClientOrder {
        match jobs.heartbeat(claim).await.unwrap() {
            Heartbeat::Ours { order, .. } => order,
            Heartbeat::Lost => panic!("lost"),
        }
    }

    fn is_state(error: &JobsError, expected: JobState) -> bool {
        matches!(error, JobsError::State { state, .. } if *state == expected)
    }

    #[tokio::test]
    async fn a_job_that_waits_is_set_aside_at_once_and_waits_again_when_it_is_resumed() {
        let (_folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        assert_eq!(jobs.pause(job.id).await.unwrap().state, JobState::Paused);
        assert_eq!(
            jobs.claim("worker", JobQueue::Images).await.unwrap(),
            None,
            "a paused job frees its server for others"
        );
        assert!(is_state(&jobs.pause(job.id).await.unwrap_err(), JobState::Paused), "paused twice");
        assert_eq!(jobs.resume(job.id).await.unwrap().state, JobState::Queued);
        assert_eq!(claim(&jobs).await.job.id, job.id);
    }

    #[tokio::test]
    async fn a_running_job_hears_of_the_pause_and_the_attempt_does_not_count() {
        let (_folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        let first = claim(&jobs).await;
        assert_eq!(order(&jobs, &first).await, ClientOrder::Run);
        assert_eq!(jobs.pause(job.id).await.unwrap().state, JobState::Running, "until its checkpoint is written");
        assert!(is_state(&jobs.pause(job.id).await.unwrap_err(), JobState::Running), "paused twice");
        assert!(is_state(&jobs.resume(job.id).await.unwrap_err(), JobState::Running), "a running one is not resumed");
        assert_eq!(order(&jobs, &first).await, ClientOrder::Pause);
        assert!(jobs.paused(&first).await.unwrap());
        let paused = jobs.get(job.id).await.unwrap();
        assert_eq!((paused.state, paused.pause_requested), (JobState::Paused, false));
        jobs.resume(job.id).await.unwrap();
        let second = claim(&jobs).await;
        assert_eq!((second.job.attempt, second.counted_attempt), (2, 1));
        assert_eq!(order(&jobs, &second).await, ClientOrder::Run, "the pause is over");
    }

    #[tokio::test]
    async fn a_job_that_is_paused_and_cancelled_is_cancelled() {
        let (_folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        let running = claim(&jobs).await;
        jobs.pause(job.id).await.unwrap();
        jobs.cancel(job.id).await.unwrap();
        assert_eq!(order(&jobs, &running).await, ClientOrder::Cancel);

        let other = create(&jobs, "others").await;
        jobs.pause(other.id).await.unwrap();
        let other = jobs.cancel(other.id).await.unwrap();
        assert_eq!((other.state, other.finished_at.is_some()), (JobState::Cancelled, true));
    }

    #[tokio::test]
    async fn a_job_that_failed_or_was_cancelled_runs_again_with_all_its_attempts() {
        let (_folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        let failing = claim(&jobs).await;
        assert!(is_state(&jobs.run_again(job.id).await.unwrap_err(), JobState::Running));
        let error = JobError { code: "invalid_dataset".to_owned(), message: "no images".to_owned() };
        jobs.fail(&failing, &error).await.unwrap();
        let again = jobs.run_again(job.id).await.unwrap();
        assert_eq!((again.state, again.error, again.finished_at), (JobState::Queued, None, None));
        let second = claim(&jobs).await;
        assert_eq!((second.job.attempt, second.counted_attempt), (2, 1), "attempts fence writes and go on counting");
        jobs.cancel(job.id).await.unwrap();
        jobs.cancelled(&second).await.unwrap();
        assert!(!jobs.run_again(job.id).await.unwrap().cancel_requested);
        let third = claim(&jobs).await;
        jobs.succeed(&third).await.unwrap();
        assert!(is_state(&jobs.run_again(job.id).await.unwrap_err(), JobState::Succeeded));
        assert!(matches!(jobs.pause(job.id).await, Err(JobsError::Finished { .. })));
        assert!(is_state(&jobs.resume(job.id).await.unwrap_err(), JobState::Succeeded));
    }

    #[tokio::test]
    async fn a_job_comes_back_only_when_there_is_room_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let options = JobOptions { queued: 1, ..JobOptions::default() };
        let jobs = Jobs::open(&folder.path().join("jobs.sqlite"), options).await.unwrap();
        let job = create(&jobs, "a").await;
        jobs.pause(job.id).await.unwrap();
        let other = spec("b");
        jobs.create(&request(&other)).await.unwrap();
        assert!(matches!(jobs.resume(job.id).await, Err(JobsError::QueueFull { .. })));
        assert_eq!(jobs.get(job.id).await.unwrap().state, JobState::Paused, "and stays as it was");
    }
}
