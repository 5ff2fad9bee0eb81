//! The log.
//!
//! Lines go to standard error by a thread of their own. A reader that has gone, a disk that is full or a terminal that is
//! stopped costs lines, which are counted, and never a request or a job.

use std::backtrace::Backtrace;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use thiserror::Error;
use tokio::time::sleep;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogArgs, LogFormat};
use crate::failure::panic_message;

/// The lines that wait to be written; more are dropped.
const BUFFERED_LINES: usize = 10_000;
/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_millis(1500);
/// How often the log tells of lines that it lost.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// Lines that standard error did not take.
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);
static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    /// Lines for which there was no room.
    dropped: ErrorCounter,
    set_filter: Box<dyn Fn(EnvFilter) -> bool + Send + Sync>,
}

/// The log cannot be set up.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter makes no sense.
    #[error("`{filter}` is not a log filter ({reason}); use `info`, `debug` or directives such as `server=debug`")]
    Filter {
        /// The filter given.
        filter: String,
        /// What is wrong with it.
        reason: ParseError,
    },
    /// There is a log already.
    #[error("the log is set up already")]
    Twice,
    /// There is no log whose filter could change.
    #[error("the log is not set up")]
    Missing,
}

/// Writes the last lines when it is dropped.
#[derive(Debug)]
#[must_use = "the last lines are written when it is dropped"]
pub struct LogGuard(Option<WorkerGuard>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        let (done, waiting) = channel();
        let guard = self.0.take();
        // The guard waits for the thread that writes, and prints when that is stuck; a process that ends waits for neither.
        std::thread::spawn(move || {
            drop(guard);
            // Nobody waits any more if it took too long.
            let _ = done.send(());
        });
        let _ = waiting.recv_timeout(LAST_LINES);
    }
}

/// Sends the log to standard error, so that standard output is for results alone.
///
/// # Errors
/// [`TelemetryError`] for a filter that makes no sense, or when called twice.
pub fn init(args: &LogArgs) -> Result<LogGuard, TelemetryError> {
    let filter = filter(&args.log)?;
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(BUFFERED_LINES).finish(StandardError);
    let dropped = writer.error_counter();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colored());
    // Its own errors would go to standard error with a macro that panics when that is closed.
    let log = log.log_internal_errors(false);
    let (set_filter, started): (Box<dyn Fn(EnvFilter) -> bool + Send + Sync>, _) = match args.log_format {
        LogFormat::Text => {
            let log = log.with_target(false).with_filter_reloading();
            let handle = log.reload_handle();
            (Box::new(move |filter| handle.reload(filter).is_ok()), log.finish().try_init())
        }
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_filter_reloading();
            let handle = log.reload_handle();
            (Box::new(move |filter| handle.reload(filter).is_ok()), log.finish().try_init())
        }
    };
    started.map_err(|_| TelemetryError::Twice)?;
    LOG.set(Log { dropped, set_filter }).map_err(|_| TelemetryError::Twice)?;
    Ok(LogGuard(Some(guard)))
}

/// Changes what is logged from now on.
///
/// # Errors
/// [`TelemetryError`] for a filter that makes no sense; the log goes on as before.
pub fn set_filter(directives: &str) -> Result<(), TelemetryError> {
    let filter = filter(directives)?;
    let changed = LOG.get().is_some_and(|log| (log.set_filter)(filter));
    if changed { Ok(()) } else { Err(TelemetryError::Missing) }
}

/// How many lines were lost since the start of the process.
#[must_use]
pub fn lost_lines() -> u64 {
    let dropped = LOG.get().map_or(0, |log| log.dropped.dropped_lines());
    dropped as u64 + UNWRITTEN.load(Ordering::Relaxed)
}

/// Tells the log each minute how many lines it lost, until the future is dropped.
pub async fn report_losses() {
    let mut reported = 0;
    loop {
        sleep(REPORT_EVERY).await;
        let lost = lost_lines();
        if lost > reported {
            tracing::warn!(lost = lost - reported, "lines of the log were lost: standard error takes too few");
        }
        reported = lost;
    }
}

/// Sends panics of this process to the log: the standard library writes them to standard error, and waits for it.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let backtrace = Backtrace::capture();
        let (name, message) = (thread.name().unwrap_or("?"), panic_message(panic.payload()));
        tracing::error!(thread = name, place, message, %backtrace, "a thread panicked");
    }));
}

fn filter(directives: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(directives).map_err(|reason| TelemetryError::Filter { filter: directives.to_owned(), reason })
}

/// Colors are for terminals, unless their user wants none (no-color.org).
fn colored() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a setting of all programs, not of graft")]
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !unwanted
}

/// Standard error, whose refusals are counted.
struct StandardError;

impl Write for StandardError {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if io::stderr().write_all(line).is_err() {
            UNWRITTEN.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
