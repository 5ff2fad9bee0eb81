//! The part of a server that works on jobs, one at a time.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};
use trainer::events::Event;
use uuid::Uuid;

use super::lease::{Claim, Heartbeat};
use super::process::{ChildCommand, Process, describe};
use super::protocol::{ChildMessage, ControlMessage};
use super::record::{JobError, JobResult};
use super::store::{Jobs, JobsError};
use crate::failure::chain;
use crate::inference::Registry;

/// How soon a job that another process has queued is found.
const POLL: Duration = Duration::from_secs(2);
/// How long a training process may take to stop before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long it may take to exit after its last word.
const EXIT_GRACE: Duration = Duration::from_secs(1);
/// Progress is written down this often; a bar does not move faster.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Claims jobs and follows their training processes.
pub struct Runner {
    jobs: Jobs,
    registry: Registry,
    command: ChildCommand,
    lease: Duration,
    worker: String,
}

/// How an attempt ended.
#[derive(Debug)]
enum AttemptOutcome {
    Published(JobResult),
    Failed(JobError),
    Cancelled,
    /// The server stops.
    Released,
    /// The job is not ours any more.
    Lost,
}

impl fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttemptOutcome::Published(JobResult { model, version, .. }) => {
                write!(f, "published {model} version {version}")
            }
            AttemptOutcome::Failed(JobError { message, .. }) => write!(f, "failed: {message}"),
            AttemptOutcome::Cancelled => f.write_str("cancelled"),
            AttemptOutcome::Released => f.write_str("put back, because the server stops"),
            AttemptOutcome::Lost => f.write_str("lost to another server, or its lease ran out"),
        }
    }
}

/// Why a training process was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopReason {
    Cancel,
    Release,
}

impl StopReason {
    fn end(self) -> AttemptOutcome {
        match self {
            StopReason::Cancel => AttemptOutcome::Cancelled,
            StopReason::Release => AttemptOutcome::Released,
        }
    }
}

impl Runner {
    /// A runner that starts `command` for each job. A job is claimed for `lease` at a time.
    #[must_use]
    pub fn new(jobs: Jobs, registry: Registry, command: ChildCommand, lease: Duration) -> Self {
        Self { jobs, registry, command, lease, worker: Uuid::now_v7().to_string() }
    }

    /// Works until `stop` becomes true. A job that runs then goes back to the queue.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow_and_update() {
            match self.jobs.claim(&self.worker, self.lease).await {
                Ok(Some(claim)) => {
                    if let Err(error) = self.work(&claim, &mut stop).await {
                        log(&error, "a job is left to its lease");
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => log(&error, "no job can be claimed"),
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
        if claim.reclaimed {
            let message = format!("attempt {attempt}: the server that ran attempt {} went away", attempt - 1);
            self.jobs.record(claim, &Event::Warning { message }).await?;
        }
        let end = match &claim.job.result {
            // It was published before its server went.
            Some(result) => AttemptOutcome::Published(result.clone()),
            None => self.attempt(claim, stop).await?,
        };
        tracing::info!(job = %id, attempt, %end, "a job ends");
        match end {
            AttemptOutcome::Published(result) => self.publish(claim, &result).await,
            AttemptOutcome::Failed(error) => self.jobs.fail(claim, &error).await.map(drop),
            AttemptOutcome::Cancelled => self.jobs.cancelled(claim).await.map(drop),
            AttemptOutcome::Released => {
                let message = "the server stops; the job goes on when it starts again".to_owned();
                self.jobs.record(claim, &Event::Warning { message }).await?;
                self.jobs.release(claim).await.map(drop)
            }
            AttemptOutcome::Lost => Ok(()),
        }
    }

    /// Starts the training process and follows it to its end.
    async fn attempt(&self, claim: &Claim, stop: &mut watch::Receiver<bool>) -> Result<AttemptOutcome, JobsError> {
        let mut process = match Process::spawn(&self.command) {
            Ok(process) => process,
            Err(error) => return Ok(AttemptOutcome::Failed(not_started(&error))),
        };
        let start = ControlMessage::Start { spec: Box::new(claim.job.spec.clone()), lease_until: claim.lease_until };
        process.send(&start).await?;
        let (end, stop_reason) = self.follow(claim, &mut process, stop).await?;
        // A process that was told to stop has had its time; one that has said its last word needs none.
        let grace = if matches!(end, Some(AttemptOutcome::Lost)) { Duration::ZERO } else { EXIT_GRACE };
        let status = process.end(grace).await;
        Ok(match (end, stop_reason) {
            (Some(end), _) => end,
            (None, Some(stop_reason)) => stop_reason.end(),
            (None, None) => self.died(status, stop).await,
        })
    }

    /// Until the process has said its last word, has ended without one, or has been told to stop for too long. `None` is
    /// an end without a word.
    async fn follow(
        &self,
        claim: &Claim,
        process: &mut Process,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(Option<AttemptOutcome>, Option<StopReason>), JobsError> {
        let mut beat = interval(self.lease / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop_reason = None;
        let mut deadline = tokio::time::Instant::now();
        let mut last_progress = None;
        loop {
            tokio::select! {
                report = process.report() => match report {
                    Ok(Some(ChildMessage::Event { event })) => {
                        if worth_writing(&event, &mut last_progress) && !self.jobs.record(claim, &event).await? {
                            return Ok((Some(AttemptOutcome::Lost), stop_reason));
                        }
                    }
                    Ok(Some(ChildMessage::Published { result })) => return Ok((Some(AttemptOutcome::Published(result)), stop_reason)),
                    Ok(Some(ChildMessage::Failed { error })) => return Ok((Some(AttemptOutcome::Failed(error)), stop_reason)),
                    // Without being told to, it stops only when it has not heard from us for the time of the lease.
                    Ok(Some(ChildMessage::Stopped)) => return Ok((Some(stop_reason.map_or(AttemptOutcome::Lost, StopReason::end)), stop_reason)),
                    Ok(None) | Err(_) => return Ok((None, stop_reason)),
                },
                () = async { tokio::select! { _ = beat.tick() => {}, () = self.jobs.changed.notified() => {} } } => {
                    match self.jobs.heartbeat(claim, self.lease).await? {
                        Heartbeat::Lost => return Ok((Some(AttemptOutcome::Lost), stop_reason)),
                        Heartbeat::Ours { lease_until, cancel_requested } => {
                            process.send(&ControlMessage::Lease { until: lease_until }).await?;
                            if cancel_requested && stop_reason.is_none() {
                                (stop_reason, deadline) = (Some(StopReason::Cancel), tokio::time::Instant::now() + STOP_GRACE);
                                process.send(&ControlMessage::Cancel).await?;
                            }
                        }
                    }
                }
                _ = stop.changed(), if stop_reason.is_none() => {
                    (stop_reason, deadline) = (Some(StopReason::Release), tokio::time::Instant::now() + STOP_GRACE);
                    process.close_input();
                }
                () = sleep_until(deadline), if stop_reason.is_some() => return Ok((None, stop_reason)),
            }
        }
    }

    /// The end of a process that nobody told to stop and that did not say why.
    async fn died(
        &self,
        status: io::Result<std::process::ExitStatus>,
        stop: &mut watch::Receiver<bool>,
    ) -> AttemptOutcome {
        // Service managers end every process of a service at once; then the news of our own end is on its way.
        if *stop.borrow() || timeout(Duration::from_secs(1), stop.changed()).await.is_ok() {
            return AttemptOutcome::Released;
        }
        let message = match status {
            Ok(status) => describe(status),
            Err(error) => format!("the training process was lost: {error}"),
        };
        AttemptOutcome::Failed(JobError { code: "process_died".to_owned(), message })
    }

    /// Lets the new version answer before the job is over, so that who waits for the job can use its model at once.
    async fn publish(&self, claim: &Claim, result: &JobResult) -> Result<(), JobsError> {
        if !self.jobs.note_result(claim, result).await? {
            return Ok(());
        }
        let scan = self.registry.scan();
        tokio::pin!(scan);
        let mut beat = interval(self.lease / 3);
        loop {
            tokio::select! {
                scanned = &mut scan => {
                    if let Err(error) = scanned {
                        log(&error, "the model store cannot be read");
                    }
                    break;
                }
                _ = beat.tick() => if self.jobs.heartbeat(claim, self.lease).await? == Heartbeat::Lost {
                    return Ok(());
                },
            }
        }
        let status = self.registry.get(&result.model);
        if let Some(reason) = status.and_then(|status| status.reason) {
            let message = format!("the model is published but does not answer: {reason}");
            self.jobs.record(claim, &Event::Warning { message }).await?;
        }
        self.jobs.succeed(claim).await.map(drop)
    }
}

/// Everything but progress that follows too soon on the last.
fn worth_writing(event: &Event, last: &mut Option<Instant>) -> bool {
    let last_of_all = match event {
        Event::Progress { done, total, .. } => done == total,
        Event::Step { .. } => false,
        _ => return true,
    };
    let due = last_of_all || last.is_none_or(|last| last.elapsed() >= PROGRESS_EVERY);
    if due {
        *last = Some(Instant::now());
    }
    due
}

fn not_started(error: &io::Error) -> JobError {
    let message = format!("the training process cannot be started: {error}");
    JobError { code: "process_not_started".to_owned(), message }
}

fn log(error: &(dyn std::error::Error + 'static), what: &str) {
    tracing::error!(cause = chain(error), "{what}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::record::{JobRecord, JobState};
    use super::super::store::tests::{create, jobs};
    use super::*;
    use crate::inference::InferenceOptions;
    use crate::store::ModelStore;

    /// Waits for the word to stop, in either form, and obeys.
    const PATIENT: &str = r#"while read -r line; do case "$line" in *cancel*) break;; esac; done
        echo '{"report": "stopped"}'"#;
    const PUBLISHES: &str = r#"read -r line
        echo 'not a report'
        echo '{"report": "event", "event": {"type": "phase", "phase": "training"}}'
        echo '{"report": "published", "result": {"model": "flowers", "version": 4, "metrics": {"test_top1": 0.9}}}'"#;

    /// Runs a shell script in the place of the training process.
    fn runner(jobs: &Jobs, folder: &tempfile::TempDir, script: &str) -> Arc<Runner> {
        let store = ModelStore::open(&folder.path().join("models")).unwrap();
        let open = Arc::new(|_: &[u8]| Err(onnx::EngineError::NotLoaded));
        let registry = Registry::with_opener(store, open, InferenceOptions { max_batch: 1, queue: 1 });
        let command = ChildCommand { program: "sh".into(), arguments: vec!["-c".into(), script.into()] };
        Arc::new(Runner::new(jobs.clone(), registry, command, Duration::from_millis(900)))
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
        !matches!(job.state, JobState::Queued | JobState::Running)
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
    async fn a_process_that_dies_fails_the_job_with_the_signal() {
        let (folder, jobs) = jobs().await;
        let job = create(&jobs, "flowers").await;
        let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, "kill -9 $$"), &job, over).await;
        let error = job.error.unwrap();
        assert_eq!((job.state, error.code.as_str()), (JobState::Failed, "process_died"));
        assert!(error.message.contains("signal 9 (SIGKILL"), "{}", error.message);
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
        jobs.claim("dead", Duration::from_millis(10)).await.unwrap().unwrap();
        let (job, _stop, _task) = until(&jobs, &runner(&jobs, &folder, PUBLISHES), &job, over).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 2));
        assert_eq!(messages(&jobs, &job).await, ["attempt 2: the server that ran attempt 1 went away"]);
    }

    #[test]
    fn progress_is_thinned_out_but_its_end_is_not() {
        let progress = |done| Event::Progress { phase: trainer::events::Phase::Features, done, total: 3 };
        let mut last = None;
        let written: Vec<bool> = (1..=3).map(|done| worth_writing(&progress(done), &mut last)).collect();
        assert_eq!(written, [true, false, true]);
    }
}
