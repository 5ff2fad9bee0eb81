//! The part of a server that works on jobs, one at a time.

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
use super::spec::{JobKind, JobSpec};
use super::store::Jobs;
use crate::failure::chain;
use crate::finetune::deployment_event;
use crate::inference::Registry;
use crate::store::{ModelName, StoreError};

/// How soon a job that another process has queued is found.
const POLL: Duration = Duration::from_secs(2);
/// How soon a write that failed is tried again.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// Claims jobs and finishes them.
pub struct Runner {
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
        Self { jobs, registry, command, retention, worker: Uuid::now_v7().to_string() }
    }

    /// Works until `stop` becomes true. A job that runs then goes back to the queue.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        let mut last_error = None;
        while !*stop.borrow_and_update() {
            let claim = self.jobs.claim(&self.worker).await;
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
                () = self.jobs.changed.notified() => {}
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
            JobKind::Finetune | JobKind::Quantize => self.publish(claim, result).await,
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
mod tests {
    use std::sync::Arc;

    use super::super::options::JobOptions;
    use super::super::record::{JobRecord, JobState};
    use super::super::store::tests::{create, jobs};
    use super::*;
    use crate::inference::testing::{colors, options, publish};
    use crate::store::{Artifacts, JobOrigin, ModelContent, ModelStore, Publication};

    /// Waits for the word to stop, in either form, and obeys.
    const PATIENT: &str = r#"while read -r line; do case "$line" in *stop*) break;; esac; done
        echo '{"report": "stopped"}'"#;
    const PUBLISHES: &str = r#"read -r line
        echo 'not a report'
        echo '{"report": "event", "event": {"type": "phase", "phase": "training"}}'
        echo '{"report": "finished", "result": {"model": "flowers", "version": 4, "metrics": {"test_top1": 0.9}}}'"#;

    /// Runs a shell script in the place of the training process.
    fn runner(jobs: &Jobs, folder: &tempfile::TempDir, script: &str) -> Arc<Runner> {
        let store = ModelStore::open(&folder.path().join("models")).unwrap();
        let open = Arc::new(|_: &[u8]| Err(onnx::EngineError::NotLoaded));
        let registry = Registry::with_opener(store, open, options(1, 1));
        let command = ChildCommand { program: "sh".into(), arguments: vec!["-c".into(), script.into()] };
        let lease = Duration::from_millis(900);
        let options = JobOptions { lease, retry_delay: Duration::from_millis(10), ..jobs.options };
        Arc::new(Runner::new(Jobs { options, ..jobs.clone() }, registry, command, None))
    }

    /// Lets the runner work until the job is as it should be.
    async fn until(
        jobs: &Jobs,
        runner: &Arc<Runner>,
        job: &JobRecord,
        right: impl Fn(&JobRecord) -> bool,
    ) -> (JobRecord, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
        let (stop, stopped) = watch::channel(false);
        let runner = runner.clone();
        let task = tokio::spawn(async move { runner.run(stopped).await });
        for _ in 0..500 {
            let now = jobs.get(job.id).await.unwrap();
            if right(&now) {
                return (now, stop, task);
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?}", jobs.get(job.id).await);
    }

    fn over(job: &JobRecord) -> bool {
        job.state.is_over()
    }

    async fn messages(jobs: &Jobs, job: &JobRecord) -> Vec<String> {
        let events = jobs.events(job.id, 0, 100).await.unwrap().data;
        let messages = events.into_iter().filter_map(|event| match event.event {
            Event::Warning { message } => Some(message),
            _ => None,
        });
        messages.collect()
    }

    #[tokio::test]
    async fn what_the_process_reports_becomes_the_jobs() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, PUBLISHES), &job, over).await;
        let result = job.result.clone().unwrap();
        assert_eq!((job.state, result.version, &result.metrics["test_top1"]), (JobState::Succeeded, 4, &0.9.into()));
        assert_eq!(jobs.events(job.id, 0, 10).await.unwrap().data.len(), 1);
    }

    #[tokio::test]
    async fn a_process_that_dies_is_begun_again_until_the_job_has_failed_with_its_signal() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, "kill -9 $$"), &job, over).await;
        let error = job.error.clone().unwrap();
        assert_eq!((job.state, error.code.as_str(), job.attempt), (JobState::Failed, "process_died", 3));
        let said = [error.message.contains("signal 9 (SIGKILL"), error.message.ends_with("(attempt 3 of 3)")];
        assert_eq!(said, [true, true], "{}", error.message);
        let messages = messages(&jobs, &job).await;
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(messages[0].starts_with("attempt 1 of 3: the training process was ended by signal 9"), "{messages:?}");
    }

    #[tokio::test]
    async fn a_process_that_finds_no_room_on_the_disk_is_begun_again() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        let full = r#"echo '{"report": "failed", "error": {"code": "storage_full", "message": "no room"}}'"#;
        let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, full), &job, over).await;
        let error = job.error.clone().unwrap();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("storage_full", "no room (attempt 3 of 3)"));
    }

    #[tokio::test]
    async fn a_process_that_cannot_be_started_fails_the_job() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        let mut runner = Arc::into_inner(runner(&jobs, &folder, "")).unwrap();
        runner.command.program = "/nowhere/graft".into();
        let (job, _stop, _task) = until(&jobs, &Arc::new(runner), &job, over).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "process_not_started"));
    }

    #[tokio::test]
    async fn a_running_job_is_called_off() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        let runner = runner(&jobs, &folder, PATIENT);
        let (job, _stop, _task) = until(&jobs, &runner, &job, |job| job.state == JobState::Running).await;
        assert_eq!(jobs.cancel(job.id).await.unwrap().state, JobState::Running);
        let (job, _stop, _task) = until(&jobs, &runner, &job, over).await;
        assert_eq!(job.state, JobState::Cancelled);
    }

    #[tokio::test]
    async fn a_paused_job_frees_its_server_for_the_next() {
        let (folder, jobs) = jobs().await;
        let (first, next) = (create(&jobs, "flowers").await, create(&jobs, "birds").await);
        let runner = runner(&jobs, &folder, PATIENT);
        let (first, _stop, _task) = until(&jobs, &runner, &first, |job| job.state == JobState::Running).await;
        jobs.pause(first.id).await.unwrap();
        let begun = async {
            while jobs.get(next.id).await.unwrap().state != JobState::Running {
                sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), begun).await.unwrap();
        assert_eq!(jobs.get(first.id).await.unwrap().state, JobState::Paused);
    }

    #[tokio::test]
    async fn a_server_that_stops_puts_the_job_back() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        let runner = runner(&jobs, &folder, PATIENT);
        let (job, stop, task) = until(&jobs, &runner, &job, |job| job.state == JobState::Running).await;
        stop.send_replace(true);
        task.await.unwrap();
        let job = jobs.get(job.id).await.unwrap();
        assert_eq!(job.state, JobState::Queued);
        assert_eq!(messages(&jobs, &job).await, ["the server stops; the job goes on when it starts again"]);
        let (job, ..) = until(&jobs, &runner, &job, |job| job.state == JobState::Running).await;
        assert_eq!(job.attempt, 2);
    }

    #[tokio::test]
    async fn a_server_that_was_killed_is_mentioned() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        dies(&jobs).await;
        let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, PUBLISHES), &job, over).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 2));
        assert_eq!(messages(&jobs, &job).await, ["attempt 2: the server that ran attempt 1 went away"]);
    }

    /// A server that claims a job and is not heard of again.
    async fn dies(jobs: &Jobs) {
        let options = JobOptions { lease: Duration::ZERO, ..jobs.options };
        Jobs { options, ..jobs.clone() }.claim("dead").await.unwrap().unwrap();
        // A lease lasts to the end of its millisecond.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }

    #[tokio::test]
    async fn servers_that_go_away_too_often_fail_the_job() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        for _ in 0..3 {
            dies(&jobs).await;
        }
        let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, PUBLISHES), &job, over).await;
        assert_eq!((job.state, job.error.unwrap().code.as_str()), (JobState::Failed, "server_lost"));
    }

    #[tokio::test]
    async fn a_job_that_was_called_off_while_its_server_was_dead_is_not_begun_again() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        dies(&jobs).await;
        jobs.cancel(job.id).await.unwrap();
        let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, PUBLISHES), &job, over).await;
        assert_eq!((job.state, job.result), (JobState::Cancelled, None));
    }

    #[tokio::test]
    async fn a_job_whose_servers_died_behind_publishing_succeeds_with_that_one_version() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        let runner = runner(&jobs, &folder, "exit 1");
        let store = ModelStore::open(&folder.path().join("models")).unwrap();
        let name: ModelName = "flowers".parse().unwrap();
        publish(&store, "flowers", &colors(), &[]);
        for attempt in 1..=3 {
            dies(&jobs).await;
            let origin = JobOrigin { id: job.id.to_string(), attempt };
            let content = ModelContent::Native(Box::new(colors()));
            let artifacts = Artifacts { content: &content, golden: &[], report: None, pictures: &[], quantized: None };
            let publication = Publication { origin, permitted: &|| true };
            assert_eq!(store.publish_once(&name, &artifacts, &publication).unwrap(), 2, "attempt {attempt}");
        }
        let (job, _stop, _task) = until(&jobs, &runner, &job, over).await;
        assert_eq!((job.state, job.result.unwrap().version), (JobState::Succeeded, 2));
        assert_eq!(store.latest(&name).unwrap(), Some(2));
    }

    #[tokio::test]
    async fn a_process_that_is_killed_behind_publishing_has_published() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        let store = ModelStore::open(&folder.path().join("models")).unwrap();
        publish(&store, "flowers", &colors(), &[]);
        // What a process leaves that is killed between its rename and its last word.
        let manifest = json!({"published_at": "2026-11-29T12:00:00Z", "job": {"id": job.id.to_string(), "attempt": 1}});
        let version = folder.path().join("models/flowers/1");
        std::fs::write(version.join("manifest.json"), manifest.to_string()).unwrap();
        let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, "kill -9 $$"), &job, over).await;
        assert_eq!((job.state, job.attempt, job.result.unwrap().version), (JobState::Succeeded, 1, 1));
    }

    #[tokio::test]
    async fn a_job_that_runs_for_too_long_fails_and_is_not_begun_again() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        let mut runner = Arc::into_inner(runner(&jobs, &folder, PATIENT)).unwrap();
        runner.jobs.options.timeout = Duration::from_millis(100);
        let (job, _stop, _task) = until(&jobs, &Arc::new(runner), &job, over).await;
        let error = job.error.unwrap();
        assert_eq!((job.state, error.code.as_str(), job.attempt), (JobState::Failed, "timed_out", 1));
        assert!(error.message.contains("--job-timeout"), "{}", error.message);
    }
}
