//! The part of a server that works on jobs, one of a queue at a time.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep};
use trainer::events::Event;
use uuid::Uuid;

use super::attempt::{Attempt, AttemptOutcome};
use super::error::JobsError;
use super::lease::{Claim, Heartbeat};
use super::process::ChildCommand;
use super::record::{JobError, JobResult};
use super::spec::{JobKind, JobQueue, JobSpec};
use super::store::Jobs;
use crate::failure::chain;
use crate::finetune::deployment_event;
use crate::inference::Registry;
use crate::store::{ModelName, StoreError};

/// How soon a job that another process has queued is found.
const POLL: Duration = Duration::from_secs(2);
/// How soon a write that failed is tried again.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// Claims jobs of a queue and finishes them.
pub struct Runner {
    queue: JobQueue,
    jobs: Jobs,
    pub(super) registry: Registry,
    command: ChildCommand,
    retention: Option<NonZeroU32>,
    worker: String,
}

impl Runner {
    /// A runner that starts `command` for each job, and keeps so many versions of each model, or all.
    #[must_use]
    pub fn new(jobs: Jobs, registry: Registry, command: ChildCommand, retention: Option<NonZeroU32>) -> Self {
        Self { queue: JobQueue::Images, jobs, registry, command, retention, worker: Uuid::now_v7().to_string() }
    }

    /// The same for another queue, to work beside this one.
    #[must_use]
    pub fn for_queue(&self, queue: JobQueue) -> Self {
        let (jobs, registry, command) = (self.jobs.clone(), self.registry.clone(), self.command.clone());
        Self { queue, ..Self::new(jobs, registry, command, self.retention) }
    }

    /// Works until `stop` becomes true. A job that runs then goes back to the queue.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let (mut changed, mut last_error) = (self.jobs.changed.subscribe(), None);
        while !*stop.borrow_and_update() {
            changed.mark_unchanged();
            let claim = self.jobs.claim(&self.worker, self.queue).await;
            let error = claim.as_ref().err().map(|error| chain(error));
            if let Some(cause) = error.as_ref().filter(|_| error != last_error) {
                tracing::error!(cause, "no job can be claimed");
            }
            last_error = error;
            if let Ok(Some(claim)) = claim {
                if let Err(error) = self.work(&claim, &mut stop).await {
                    log(&error, "a job is left to its lease");
                }
                continue;
            }
            tokio::select! {
                _ = stop.changed() => {}
                _ = changed.changed() => {}
                () = sleep(POLL) => {}
            }
        }
    }

    async fn work(&self, claim: &Claim, stop: &mut watch::Receiver<bool>) -> Result<(), JobsError> {
        let (id, attempt) = (claim.job.id, claim.job.attempt);
        tracing::info!(job = %id, attempt, "a job begins");
        let outcome = match self.published(claim).await {
            Some(result) => AttemptOutcome::Finished(result),
            None => self.attempt(claim, stop).await?,
        };
        tracing::info!(job = %id, attempt, %outcome, "a job ends");
        match outcome {
            AttemptOutcome::Finished(result) => self.finish(claim, &result).await,
            AttemptOutcome::Failed(error) => self.insist(claim, || self.jobs.fail(claim, &error)).await,
            AttemptOutcome::Crashed(error) => self.retry(claim, error).await,
            AttemptOutcome::Cancelled => self.insist(claim, || self.jobs.cancelled(claim)).await,
            AttemptOutcome::Paused => self.insist(claim, || self.jobs.paused(claim)).await,
            AttemptOutcome::Released => {
                let message = "the server stops; the job goes on when it starts again".to_owned();
                self.jobs.record(claim, &Event::Warning { message }).await?;
                self.jobs.release(claim).await.map(drop)
            }
            AttemptOutcome::Lost => Ok(()),
        }
    }

    /// The version that an earlier attempt has published, noted or not: its server or its process was killed behind it.
    async fn published(&self, claim: &Claim) -> Option<JobResult> {
        if claim.job.result.is_some() {
            return claim.job.result.clone();
        }
        if claim.job.attempt == 1 {
            return None;
        }
        self.version_in_store(claim).await
    }

    async fn version_in_store(&self, claim: &Claim) -> Option<JobResult> {
        let (store, id, kind) = (self.registry.store().clone(), claim.job.id.to_string(), claim.job.spec.kind());
        let name = match claim.job.spec.clone() {
            JobSpec::Finetune(spec) => spec.name,
            JobSpec::Quantize(spec) => spec.model,
            JobSpec::Import(spec) => spec.name,
            JobSpec::Evaluate(_) => return None,
        };
        let find = move || {
            let Some(version) = store.published_by(&name, &id)? else { return Ok(None) };
            let record = store.spec(&name, version)?.training;
            let metrics = record.map_or_else(|| json!({}), |record| json!(record.metrics));
            let result = JobResult { metrics, ..JobResult::new(name.as_str(), version) };
            Ok(Some(match kind {
                JobKind::Quantize => {
                    let manifest = store.manifest(&name, version);
                    JobResult {
                        quantization: manifest.and_then(|manifest| manifest.quantization).map(Box::new),
                        ..result
                    }
                }
                JobKind::Import => result,
                JobKind::Finetune | JobKind::Evaluate => {
                    let report = store.report(&name, version)?;
                    JobResult { deployment: report.and_then(|report| report.deployment), ..result }
                }
            }))
        };
        match spawn_blocking(find).await {
            Ok(Ok(result)) => result,
            Ok(Err::<_, StoreError>(error)) => {
                log(&error, "it cannot be told whether a job has published its model");
                None
            }
            Err(error) => {
                log(&error, "it cannot be told whether a job has published its model");
                None
            }
        }
    }

    /// Runs the training, unless nobody wants it any more or it has been begun too often.
    async fn attempt(&self, claim: &Claim, stop: &mut watch::Receiver<bool>) -> Result<AttemptOutcome, JobsError> {
        let (attempt, most) = (claim.job.attempt, self.jobs.options.attempts);
        if claim.job.cancel_requested {
            return Ok(AttemptOutcome::Cancelled);
        }
        if claim.job.pause_requested {
            return Ok(AttemptOutcome::Paused);
        }
        if claim.counted_attempt > most {
            let message = format!("the server went away during the last of {most} attempts; its log may say why");
            return Ok(AttemptOutcome::Failed(JobError { code: "server_lost".to_owned(), message }));
        }
        if claim.reclaimed {
            let message = format!("attempt {attempt}: the server that ran attempt {} went away", attempt - 1);
            self.jobs.record(claim, &Event::Warning { message }).await?;
        }
        let outcome = Attempt { jobs: &self.jobs, claim, command: &self.command }.run(stop).await?;
        // A process that was killed may have published before.
        match outcome {
            AttemptOutcome::Finished(_) | AttemptOutcome::Lost => Ok(outcome),
            _ => Ok(self.version_in_store(claim).await.map_or(outcome, AttemptOutcome::Finished)),
        }
    }

    /// Lets the job wait for its next attempt; after the last one it has failed.
    async fn retry(&self, claim: &Claim, error: JobError) -> Result<(), JobsError> {
        let (counted, most) = (claim.counted_attempt, self.jobs.options.attempts);
        if counted >= most {
            let message = format!("{} (attempt {counted} of {most})", error.message);
            let error = JobError { message, ..error };
            return self.insist(claim, || self.jobs.fail(claim, &error)).await;
        }
        let delay = self.jobs.options.delay(counted);
        let seconds = delay.as_secs();
        let message = format!("attempt {counted} of {most}: {}; the next begins in {seconds} s", error.message);
        self.jobs.record(claim, &Event::Warning { message }).await?;
        self.insist(claim, || self.jobs.retry(claim, delay)).await
    }

    /// Writes the end of an attempt, again and again while the lease lasts: a full disk may have room in a moment, and
    /// without the word the whole attempt would be repeated.
    async fn insist<F: Future<Output = Result<bool, JobsError>>>(
        &self,
        claim: &Claim,
        write: impl Fn() -> F,
    ) -> Result<(), JobsError> {
        loop {
            match write().await {
                Ok(_) => return Ok(()),
                Err(error) if Timestamp::now().as_millisecond() > claim.lease_until => return Err(error),
                Err(error) => log(&error, "the end of a job cannot be written yet"),
            }
            sleep(WRITE_AGAIN).await;
        }
    }

    /// Ends the job as succeeded; one that publishes a version, when that answers.
    async fn finish(&self, claim: &Claim, result: &JobResult) -> Result<(), JobsError> {
        if !self.jobs.note_result(claim, result).await? {
            return Ok(());
        }
        match claim.job.spec.kind() {
            JobKind::Finetune | JobKind::Quantize | JobKind::Import => self.publish(claim, result).await,
            JobKind::Evaluate => self.insist(claim, || self.jobs.succeed(claim)).await,
        }
    }

    /// Lets the new version answer before the job is over, so that who waits for the job can use its model at once.
    async fn publish(&self, claim: &Claim, result: &JobResult) -> Result<(), JobsError> {
        let deploy = self.deploy(&claim.job.spec, result);
        tokio::pin!(deploy);
        let mut beat = interval(self.jobs.options.lease / 3);
        let deployed = loop {
            tokio::select! {
                deployed = &mut deploy => break deployed,
                _ = beat.tick() => match self.jobs.heartbeat(claim).await {
                    Ok(Heartbeat::Lost) => return Ok(()),
                    Ok(Heartbeat::Ours { .. }) => {}
                    Err(error) => log(&error, "a lease cannot be renewed"),
                },
            }
        };
        if let Some(deployment) = deployed.as_ref().and_then(|result| result.deployment.as_ref()) {
            self.jobs.record(claim, &deployment_event(deployment)).await?;
        }
        if let Some(deployed) = &deployed {
            self.insist(claim, || self.jobs.note_result(claim, deployed)).await?;
        }
        let status = self.registry.get(&result.model).filter(|status| status.live == Some(result.version));
        if let Some(reason) = status.and_then(|status| status.reason) {
            let message = format!("the model is published but does not answer: {reason}");
            self.jobs.record(claim, &Event::Warning { message }).await?;
        }
        self.insist(claim, || self.jobs.succeed(claim)).await?;
        self.prune(result).await;
        Ok(())
    }

    /// Removes the model's old versions, if only some are to be kept.
    async fn prune(&self, result: &JobResult) {
        let (Some(keep), Ok(name)) = (self.retention, result.model.parse::<ModelName>()) else { return };
        let serving = self.registry.get(&result.model).and_then(|status| status.serving);
        let store = self.registry.store().clone();
        let pruned = spawn_blocking(move || store.prune(&name, keep, serving.as_slice())).await;
        match pruned {
            Ok(Ok(versions)) if versions.is_empty() => {}
            Ok(Ok(versions)) => tracing::info!(model = result.model, ?versions, "old versions are removed"),
            Ok(Err(error)) => log(&error, "old versions cannot be removed"),
            Err(error) => log(&error, "old versions cannot be removed"),
        }
    }
}

pub(super) fn log(error: &(dyn std::error::Error + 'static), what: &str) {
    tracing::error!(cause = chain(error), "{what}");
}

#[cfg(test)]
mod tests;
