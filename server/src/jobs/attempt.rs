//! One execution of a job: a training process, followed to its end.

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior, interval, sleep_until, timeout};
use trainer::events::Event;

use super::error::JobsError;
use super::lease::{Claim, Heartbeat};
use super::process::{ChildCommand, Process, describe};
use super::protocol::{ChildMessage, ControlMessage};
use super::record::{JobError, JobProgress, JobResult};
use super::store::Jobs;
use crate::failure::chain;
use crate::finetune::is_transient;

/// How long a training process may take to stop before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(5);
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
    Published(JobResult),
    Failed(JobError),
    /// The process died through no fault of the request; another attempt may succeed.
    Crashed(JobError),
    Cancelled,
    /// The server stops.
    Released,
    /// The job is not ours any more.
    Lost,
}

/// Why a training process was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopReason {
    Cancel,
    Release,
    /// The job has run for as long as a job may.
    TimeUp(Duration),
}

/// What happened while a process was followed.
struct Followed {
    /// Its last word, if it said one.
    outcome: Option<AttemptOutcome>,
    stop_reason: Option<StopReason>,
}

impl Attempt<'_> {
    /// Starts the training process and follows it to its end.
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
        let Followed { outcome, stop_reason } = self.follow(&mut process, stop).await?;
        // A process that was told to stop has had its time; one that has said its last word needs none.
        let grace = if matches!(outcome, Some(AttemptOutcome::Lost)) { Duration::ZERO } else { EXIT_GRACE };
        let status = process.end(grace).await;
        Ok(match (outcome, stop_reason) {
            (Some(outcome), _) => outcome,
            (None, Some(stop_reason)) => stop_reason.outcome(),
            (None, None) => died(status, stop).await,
        })
    }

    /// Until the process has said its last word, has ended without one, or has been told to stop for too long.
    async fn follow(&self, process: &mut Process, stop: &mut watch::Receiver<bool>) -> Result<Followed, JobsError> {
        let options = self.jobs.options;
        let mut beat = interval(options.lease / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lease_until = self.claim.lease_until;
        let mut recorder = Recorder { attempt: self, failing: false };
        let mut stop_reason = None;
        let mut deadline = time::Instant::now() + options.timeout.saturating_sub(self.claim.spent);
        loop {
            tokio::select! {
                report = process.report() => {
                    let outcome = match report {
                        Ok(Some(ChildMessage::Event { event })) => match recorder.record(&event).await {
                            true => continue,
                            false => Some(AttemptOutcome::Lost),
                        },
                        Ok(Some(ChildMessage::Progress { progress })) => match recorder.progress(&progress).await {
                            true => continue,
                            false => Some(AttemptOutcome::Lost),
                        },
                        Ok(Some(ChildMessage::Published { result })) => Some(AttemptOutcome::Published(result)),
                        Ok(Some(ChildMessage::Failed { error })) if is_transient(&error.code) => {
                            Some(AttemptOutcome::Crashed(error))
                        }
                        Ok(Some(ChildMessage::Failed { error })) => Some(AttemptOutcome::Failed(error)),
                        // Without being told to, it stops only when it has not heard from us for the time of the lease.
                        Ok(Some(ChildMessage::Stopped)) => {
                            Some(stop_reason.map_or(AttemptOutcome::Lost, StopReason::outcome))
                        }
                        Ok(None) | Err(_) => None,
                    };
                    return Ok(Followed { outcome, stop_reason });
                }
                () = async { tokio::select! { _ = beat.tick() => {}, () = self.jobs.changed.notified() => {} } } => {
                    let cancel_requested = match self.jobs.heartbeat(self.claim).await {
                        Ok(Heartbeat::Ours { lease_until: until, cancel_requested }) => {
                            lease_until = until;
                            process.send(&ControlMessage::Lease { until }).await?;
                            cancel_requested
                        }
                        // The database may answer again while the lease lasts.
                        Err(error) if Timestamp::now().as_millisecond() < lease_until => {
                            tracing::warn!(cause = chain(&error), "a lease cannot be renewed");
                            false
                        }
                        Ok(Heartbeat::Lost) | Err(_) => {
                            return Ok(Followed { outcome: Some(AttemptOutcome::Lost), stop_reason });
                        }
                    };
                    if cancel_requested && stop_reason.is_none() {
                        (stop_reason, deadline) = (Some(StopReason::Cancel), time::Instant::now() + STOP_GRACE);
                        process.send(&ControlMessage::Cancel).await?;
                    }
                }
                _ = stop.changed(), if stop_reason.is_none() => {
                    (stop_reason, deadline) = (Some(StopReason::Release), time::Instant::now() + STOP_GRACE);
                    process.close_input();
                }
                () = sleep_until(deadline) => {
                    if stop_reason.is_some() {
                        return Ok(Followed { outcome: None, stop_reason });
                    }
                    let reason = StopReason::TimeUp(options.timeout);
                    (stop_reason, deadline) = (Some(reason), time::Instant::now() + STOP_GRACE);
                    process.send(&ControlMessage::Cancel).await?;
                }
            }
        }
    }
}

/// Stores the events of an attempt. One that cannot be stored is lost, and costs nothing but itself.
struct Recorder<'a> {
    attempt: &'a Attempt<'a>,
    failing: bool,
}

impl Recorder<'_> {
    /// `false`: the job is not ours any more.
    async fn record(&mut self, event: &Event) -> bool {
        let Attempt { jobs, claim, .. } = *self.attempt;
        self.note(jobs.record(claim, event).await)
    }

    /// `false`: the job is not ours any more.
    async fn progress(&mut self, progress: &JobProgress) -> bool {
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
            AttemptOutcome::Published(JobResult { model, version, .. }) => {
                write!(f, "published {model} version {version}")
            }
            AttemptOutcome::Failed(JobError { message, .. }) => write!(f, "failed: {message}"),
            AttemptOutcome::Crashed(JobError { message, .. }) => write!(f, "crashed: {message}"),
            AttemptOutcome::Cancelled => f.write_str("cancelled"),
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
        Err(error) => format!("the training process was lost: {error}"),
    };
    AttemptOutcome::Crashed(JobError { code: "process_died".to_owned(), message })
}

fn not_started(error: &io::Error) -> JobError {
    let message = format!("the training process cannot be started: {error}");
    JobError { code: "process_not_started".to_owned(), message }
}
