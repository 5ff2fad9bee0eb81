//! The process of a job.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;
use trainer::estimate::Estimator;
use trainer::evaluate::EvaluateError;
use trainer::events::{Event, Observer};
use trainer::finetune::FinetuneError;
use trainer::quantize::QuantizationError;

use super::protocol::{ChildMessage, ControlMessage};
use super::record::{JobError, JobResult};
use super::spec::JobSpec;
use super::thinning::{Thinning, Worth};
use crate::evaluate::{self, EvaluateFailure, EvaluateSpec, EvaluatedVersion};
use crate::failure::chain;
use crate::finetune::{self, CheckSpec, FinetuneFailure, FinetuneSpec, PublishedModel};
use crate::imports::{ImportFailure, ImportSummary, RunImport};
use crate::quantize::{self, QuantizeFailure, QuantizeSpec, QuantizedModel};
use crate::run_context::RunContext;
use crate::runtime::Backends;
use crate::store::JobOrigin;

/// A lower priority than the server's, so that training yields to requests.
const NICENESS: i32 = 10;
/// From -1000, never, to 1000, first (`proc_pid_oom_score_adj(5)`).
#[cfg(target_os = "linux")]
const OUT_OF_MEMORY_SCORE: &str = "500";

/// The process was not started by a server, or the server has gone.
#[derive(Debug, Error)]
pub enum ChildError {
    /// The first line of the input is not a job.
    #[error("this command is started by the server and reads its job from standard input")]
    NoJob,
    /// The server does not read the reports any more.
    #[error("the server has gone")]
    Reports(#[source] io::Error),
}

/// Runs the one job that the standard input names and reports on the standard output.
///
/// # Errors
/// [`ChildError`] when it was not started by a server, or the server has gone.
pub fn main(context: &RunContext, backends: &Backends, import: RunImport<'_>) -> Result<ExitCode, ChildError> {
    let control = Arc::new(Control::default());
    let order = listen(control.clone()).recv().map_err(|_| ChildError::NoJob)?;
    // Set before any thread of the training is started, because each inherits it. Without it training is only ruder.
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "the process of a job keeps its priority");
    }
    set_oom_score();
    let started = Instant::now();
    let (thinning, estimator) = (Thinning::new(started), Estimator::default());
    let mut reporter = Reporter { control, metrics: Value::Null, started, thinning, estimator };
    let message = match order {
        Order::Job { spec, origin } => {
            let context = RunContext { origin: Some(origin.clone()), ..context.clone() };
            match &*spec {
                JobSpec::Finetune(spec) => finetune(&context, spec, backends, &mut reporter),
                JobSpec::Evaluate(spec) => evaluate(&context, spec, backends, &mut reporter),
                JobSpec::Quantize(spec) => quantize(&context, spec, backends, &mut reporter),
                JobSpec::Import(spec) => imported(import(spec, origin, &mut reporter)),
            }
        }
        Order::Plan(spec) => plan(context, &spec, backends, &mut reporter),
        Order::Check(spec) => check(context, &spec, backends, &mut reporter),
    };
    write(&message).map_err(ChildError::Reports)?;
    Ok(if matches!(message, ChildMessage::Failed { .. }) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn finetune(context: &RunContext, spec: &FinetuneSpec, backends: &Backends, reporter: &mut Reporter) -> ChildMessage {
    match finetune::run(context, spec, backends, reporter) {
        Ok(PublishedModel { name, version, report }) => {
            let (metrics, deployment) = (reporter.metrics.take(), report.deployment);
            let result = JobResult { metrics, deployment, ..JobResult::new(name.as_str(), version) };
            ChildMessage::Finished { result }
        }
        Err(FinetuneFailure::Finetune(FinetuneError::Stopped)) => ChildMessage::Stopped,
        Err(failure) => failed(failure.code(), &failure),
    }
}

fn plan(context: &RunContext, spec: &FinetuneSpec, backends: &Backends, reporter: &mut Reporter) -> ChildMessage {
    match finetune::plan(context, spec, backends, reporter) {
        Ok(plan) => ChildMessage::Planned { plan: Box::new(plan) },
        Err(failure) => failed(failure.code(), &failure),
    }
}

/// Where memory runs out, the system ends this process, which is tried again, and not the server, which answers.
fn set_oom_score() {
    #[cfg(target_os = "linux")]
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE) {
        tracing::warn!(%error, "the server may be ended in the place of a job when memory runs out");
    }
}

fn check(context: &RunContext, spec: &CheckSpec, backends: &Backends, reporter: &mut Reporter) -> ChildMessage {
    match finetune::check_dataset(context, spec, backends, reporter) {
        Ok(check) => ChildMessage::Checked { check: Box::new(check) },
        Err(failure) => failed(failure.code(), &failure),
    }
}

fn evaluate(context: &RunContext, spec: &EvaluateSpec, backends: &Backends, reporter: &mut Reporter) -> ChildMessage {
    match evaluate::run(context, spec, backends, reporter) {
        Ok(EvaluatedVersion { version, report }) => {
            let (metrics, result) = (reporter.metrics.take(), JobResult::new(&report.model, version));
            let result = JobResult { metrics, evaluation: Some(Box::new(report)), ..result };
            ChildMessage::Finished { result }
        }
        Err(EvaluateFailure::Evaluate(EvaluateError::Stopped)) => ChildMessage::Stopped,
        Err(failure) => failed(failure.code(), &failure),
    }
}

fn quantize(context: &RunContext, spec: &QuantizeSpec, backends: &Backends, reporter: &mut Reporter) -> ChildMessage {
    match quantize::run(context, spec, backends, reporter) {
        Ok(QuantizedModel { name, version, quantized, .. }) => {
            let (metrics, quantization) = (reporter.metrics.take(), Some(Box::new(quantized.report)));
            ChildMessage::Finished {
                result: JobResult { metrics, quantization, ..JobResult::new(name.as_str(), version) },
            }
        }
        Err(QuantizeFailure::Quantization(QuantizationError::Stopped)) => ChildMessage::Stopped,
        Err(failure) => failed(failure.code(), &failure),
    }
}

fn imported(result: Result<ImportSummary, ImportFailure>) -> ChildMessage {
    match result {
        Ok(ImportSummary { name, version }) => {
            ChildMessage::Finished { result: JobResult::new(name.as_str(), version) }
        }
        Err(ImportFailure::Stopped) => ChildMessage::Stopped,
        Err(failure) => failed(failure.code(), &failure),
    }
}

fn failed(code: &str, failure: &(dyn std::error::Error + 'static)) -> ChildMessage {
    ChildMessage::Failed { error: JobError { code: code.to_owned(), message: chain(failure) } }
}

/// The server's latest commands.
#[derive(Debug, Default)]
struct Control {
    stop: AtomicBool,
    /// In milliseconds since 1970.
    lease_until: AtomicI64,
}

impl Control {
    /// Whether to stop. A run also stops when the lease has run out: a server that was paused for so long does not own the job
    /// any more, and must not publish.
    fn stopped(&self) -> bool {
        let until = self.lease_until.load(Ordering::Acquire);
        self.stop.load(Ordering::Acquire) || Timestamp::now().as_millisecond() > until
    }
}

/// What this process is to do.
enum Order {
    Job { spec: Box<JobSpec>, origin: JobOrigin },
    Plan(Box<FinetuneSpec>),
    Check(Box<CheckSpec>),
}

/// Reads commands on a thread of its own. The first is answered through the channel.
fn listen(control: Arc<Control>) -> Receiver<Order> {
    let (start, started) = channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(ControlMessage::Start { spec, job: id, attempt, lease_until }) => {
                    control.lease_until.store(lease_until, Ordering::Release);
                    drop(start.send(Order::Job { spec, origin: JobOrigin { id, attempt } }));
                }
                Ok(ControlMessage::Plan { spec }) => {
                    // Nobody else may do it, so that there is no lease: it ends with its input.
                    control.lease_until.store(i64::MAX, Ordering::Release);
                    drop(start.send(Order::Plan(spec)));
                }
                Ok(ControlMessage::Check { spec }) => {
                    control.lease_until.store(i64::MAX, Ordering::Release);
                    drop(start.send(Order::Check(spec)));
                }
                Ok(ControlMessage::Lease { until }) => control.lease_until.store(until, Ordering::Release),
                Ok(ControlMessage::Stop) => control.stop.store(true, Ordering::Release),
                Err(error) => {
                    tracing::error!(%error, "the server sends what is no command");
                    break;
                }
            }
        }
        control.stop.store(true, Ordering::Release);
    });
    started
}

/// Passes events on to the server.
struct Reporter {
    control: Arc<Control>,
    metrics: Value,
    started: Instant,
    thinning: Thinning,
    estimator: Estimator,
}

impl Observer for Reporter {
    fn event(&mut self, event: Event) {
        if let Event::Metrics { metrics } = &event {
            self.metrics = metrics.clone();
        }
        let now = Instant::now();
        let progress = self.estimator.update(&event, now.saturating_duration_since(self.started));
        let message = match (self.thinning.judge(&event, now), progress) {
            (Worth::Stored, progress) => ChildMessage::Event { event, progress },
            (Worth::Shown, Some(progress)) => ChildMessage::Progress { progress },
            _ => return,
        };
        if write(&message).is_err() {
            self.control.stop.store(true, Ordering::Release);
        }
    }

    fn stopped(&self) -> bool {
        self.control.stopped()
    }
}

fn write(report: &ChildMessage) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_stops_when_told_or_when_its_lease_has_run_out() {
        let now = Timestamp::now().as_millisecond();
        let control = |stop, lease_until: i64| Control { stop: AtomicBool::new(stop), lease_until: lease_until.into() };
        assert!(!control(false, now + 60_000).stopped());
        assert!(control(true, now + 60_000).stopped());
        assert!(control(false, now - 1).stopped());
    }
}
