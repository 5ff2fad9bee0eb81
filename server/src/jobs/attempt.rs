//! One execution of a job: a process, followed to its end.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::process::ExitStatus;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior, interval, sleep_until, timeout};
use trainer::estimate::RunProgress;
use trainer::events::Event;

use super::error::JobsError;
use super::lease::{Claim, ClientOrder, Heartbeat};
use super::process::{ChildCommand, Process, describe};
use super::protocol::{ChildMessage, ControlMessage};
use super::record::{JobError, JobResult};
use super::store::Jobs;
use crate::failure::chain;

/// How long a process may take to stop before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long it may take to reach its next checkpoint when it is paused. Without that its work since the last one is lost.
const PAUSE_GRACE: Duration = Duration::from_secs(60);
/// How long it may take to exit after its last word.
const EXIT_GRACE: Duration = Duration::from_secs(1);

/// An attempt that is about to run.
pub(super) struct Attempt<'a> {
    pub(super) jobs: &'a Jobs,
    pub(super) claim: &'a Claim,
    pub(super) command: &'a ChildCommand,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum AttemptOutcome {
    Finished(JobResult),
    Failed(JobError),
    /// The process died through no fault of the request; another attempt may succeed.
    Crashed(JobError),
    Cancelled,
    Paused,
    /// The server stops.
    Released,
    /// The job is not ours any more.
    Lost,
}

/// Why a process was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopReason {
    Cancel,
    Pause,
    Release,
    /// The job has run for as long as a job may.
    TimeUp(Duration),
}

/// A process that is followed.
struct Supervision<'a> {
    attempt: &'a Attempt<'a>,
    process: &'a mut Process,
    recorder: Recorder<'a>,
    /// In milliseconds since 1970.
    lease_until: i64,
    /// Set once, when the process is told to stop.
    stop_reason: Option<StopReason>,
    /// When it must stop, or, if it has been told to, when it is killed.
    deadline: time::Instant,
}

/// Whether a process is followed further; its last word, if it said one.
type Step = ControlFlow<Option<AttemptOutcome>>;

impl Attempt<'_> {
    /// Starts the process and follows it to its end.
    ///
    /// # Errors
    /// [`JobsError`] when a message to the process cannot be written.
    pub(super) async fn run(&self, stop: &mut watch::Receiver<bool>) -> Result<AttemptOutcome, JobsError> {
        let mut process = match Process::spawn(self.command) {
            Ok(process) => process,
            Err(error) => return Ok(AttemptOutcome::Crashed(not_started(&error))),
        };
        let job = &self.claim.job;
        let start = ControlMessage::Start {
            spec: Box::new(job.spec.clone()),
            job: job.id.to_string(),
            attempt: job.attempt,
            lease_until: self.claim.lease_until,
        };
        process.send(&start).await?;
        let mut supervision = Supervision {
            attempt: self,
            process: &mut process,
            recorder: Recorder { attempt: self, failing: false },
            lease_until: self.claim.lease_until,
            stop_reason: None,
            deadline: time::Instant::now() + self.jobs.options.timeout.saturating_sub(self.claim.spent),
        };
        let outcome = supervision.follow(stop).await?;
        let stop_reason = supervision.stop_reason;
        // A process that was told to stop has had its time; one that has said its last word needs none.
        let grace = if matches!(outcome, Some(AttemptOutcome::Lost)) { Duration::ZERO } else { EXIT_GRACE };
        let status = process.end(grace).await;
        Ok(match (outcome, stop_reason) {
            (Some(outcome), _) => outcome,
            (None, Some(stop_reason)) => stop_reason.outcome(),
            (None, None) => died(status, stop).await,
        })
    }
}

impl Supervision<'_> {
    /// Until the process has said its last word, has ended without one, or has been told to stop for too long.
    async fn follow(&mut self, stop: &mut watch::Receiver<bool>) -> Result<Option<AttemptOutcome>, JobsError> {
        let jobs = self.attempt.jobs;
        // What was ordered before is heard with the first beat, which is at once.
        let mut changed = jobs.changed.subscribe();
        let mut beat = interval(jobs.options.lease / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                report = self.process.report() => self.hear(report).await,
                () = async { tokio::select! { _ = beat.tick() => {}, _ = changed.changed() => {} } } => {
                    self.renew().await?
                }
                _ = stop.changed(), if self.stop_reason.is_none() => self.release(),
                () = sleep_until(self.deadline) => self.run_out().await?,
            };
            if let ControlFlow::Break(outcome) = step {
                return Ok(outcome);
            }
        }
    }

    /// Takes what the process has said; `None` or an error when it has ended.
    async fn hear(&mut self, report: io::Result<Option<ChildMessage>>) -> Step {
        let outcome = match report {
            Ok(Some(ChildMessage::Event { event, progress })) => match self.recorder.record(&event, progress).await {
                true => return Step::Continue(()),
                false => AttemptOutcome::Lost,
            },
            Ok(Some(ChildMessage::Progress { progress })) => match self.recorder.progress(&progress).await {
                true => return Step::Continue(()),
                false => AttemptOutcome::Lost,
            },
            Ok(Some(ChildMessage::Finished { result })) => AttemptOutcome::Finished(result),
            Ok(Some(ChildMessage::Failed { error })) if self.tries_again(&error) => AttemptOutcome::Crashed(error),
            Ok(Some(ChildMessage::Failed { error })) => AttemptOutcome::Failed(error),
            // Without being told to, it stops only when it has not heard from us for the time of the lease.
            Ok(Some(ChildMessage::Stopped)) => self.stop_reason.map_or(AttemptOutcome::Lost, StopReason::outcome),
            // Nobody has asked this process for a plan or a check.
            Ok(Some(ChildMessage::Planned { .. } | ChildMessage::Checked { .. })) => return Step::Continue(()),
            Ok(None) | Err(_) => return Step::Break(None),
        };
        Step::Break(Some(outcome))
    }

    fn tries_again(&self, error: &JobError) -> bool {
        self.attempt.claim.job.spec.kind().tries_again(&error.code)
    }

    /// Renews the lease, and passes on a request to cancel.
    async fn renew(&mut self) -> Result<Step, JobsError> {
        let Attempt { jobs, claim, .. } = *self.attempt;
        match jobs.heartbeat(claim).await {
            Ok(Heartbeat::Ours { lease_until: until, order }) => {
                self.lease_until = until;
                self.process.send(&ControlMessage::Lease { until }).await?;
                match (order, self.stop_reason) {
                    (ClientOrder::Cancel, None | Some(StopReason::Pause)) => {
                        self.stop_by_message(StopReason::Cancel).await?
                    }
                    (ClientOrder::Pause, None) => self.stop_by_message(StopReason::Pause).await?,
                    _ => {}
                }
            }
            // The database may answer again while the lease lasts.
            Err(error) if Timestamp::now().as_millisecond() < self.lease_until => {
                tracing::warn!(cause = chain(&error), "a lease cannot be renewed");
            }
            Ok(Heartbeat::Lost) | Err(_) => return Ok(Step::Break(Some(AttemptOutcome::Lost))),
        }
        Ok(Step::Continue(()))
    }

    /// The server stops: so does the process, which sees the end of its input.
    fn release(&mut self) -> Step {
        self.give_grace(StopReason::Release);
        self.process.close_input();
        Step::Continue(())
    }

    /// The deadline has passed.
    async fn run_out(&mut self) -> Result<Step, JobsError> {
        if self.stop_reason.is_some() {
            return Ok(Step::Break(None));
        }
        self.stop_by_message(StopReason::TimeUp(self.attempt.jobs.options.timeout)).await?;
        Ok(Step::Continue(()))
    }

    async fn stop_by_message(&mut self, reason: StopReason) -> Result<(), JobsError> {
        self.give_grace(reason);
        Ok(self.process.send(&ControlMessage::Stop).await?)
    }

    fn give_grace(&mut self, reason: StopReason) {
        let grace = if reason == StopReason::Pause { PAUSE_GRACE } else { STOP_GRACE };
        (self.stop_reason, self.deadline) = (Some(reason), time::Instant::now() + grace);
    }
}

/// Stores the events of an attempt. One that cannot be stored is lost, and costs nothing but itself.
struct Recorder<'a> {
    attempt: &'a Attempt<'a>,
    failing: bool,
}

impl Recorder<'_> {
    /// `false`: the job is not ours any more.
    async fn record(&mut self, event: &Event, progress: Option<RunProgress>) -> bool {
        let Attempt { jobs, claim, .. } = *self.attempt;
        self.note(jobs.record_with(claim, event, progress).await)
    }

    /// `false`: the job is not ours any more.
    async fn progress(&mut self, progress: &RunProgress) -> bool {
        let Attempt { jobs, claim, .. } = *self.attempt;
        self.note(jobs.progress(claim, progress).await)
    }

    fn note(&mut self, ours: Result<bool, JobsError>) -> bool {
        if let Err(error) = &ours
            && !self.failing
        {
            tracing::warn!(cause = chain(error), "events of a job cannot be stored");
        }
        self.failing = ours.is_err();
        ours.unwrap_or(true)
    }
}

impl StopReason {
    fn outcome(self) -> AttemptOutcome {
        match self {
            StopReason::Cancel => AttemptOutcome::Cancelled,
            StopReason::Pause => AttemptOutcome::Paused,
            StopReason::Release => AttemptOutcome::Released,
            StopReason::TimeUp(limit) => {
                let message = format!(
                    "the job ran for {} s, as long as --job-timeout allows; ask for fewer epochs or images, or raise it",
                    limit.as_secs()
                );
                AttemptOutcome::Failed(JobError { code: "timed_out".to_owned(), message })
            }
        }
    }
}

impl fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttemptOutcome::Finished(JobResult { model, version, .. }) => {
                write!(f, "finished with {model} version {version}")
            }
            AttemptOutcome::Failed(JobError { message, .. }) => write!(f, "failed: {message}"),
            AttemptOutcome::Crashed(JobError { message, .. }) => write!(f, "crashed: {message}"),
            AttemptOutcome::Cancelled => f.write_str("cancelled"),
            AttemptOutcome::Paused => f.write_str("paused"),
            AttemptOutcome::Released => f.write_str("put back, because the server stops"),
            AttemptOutcome::Lost => f.write_str("lost to another server, or its lease ran out"),
        }
    }
}

/// The end of a process that nobody told to stop and that did not say why.
async fn died(status: io::Result<ExitStatus>, stop: &mut watch::Receiver<bool>) -> AttemptOutcome {
    // Service managers end every process of a service at once; then the news of our own end is on its way.
    if *stop.borrow() || timeout(Duration::from_secs(1), stop.changed()).await.is_ok() {
        return AttemptOutcome::Released;
    }
    let message = match status {
        Ok(status) => describe(status),
        Err(error) => format!("the process of the job was lost: {error}"),
    };
    AttemptOutcome::Crashed(JobError { code: "process_died".to_owned(), message })
}

pub(super) fn not_started(error: &io::Error) -> JobError {
    let message = format!("the process of the job cannot be started: {error}");
    JobError { code: "process_not_started".to_owned(), message }
}
