//! Trial runs that end.

use std::fmt::Arguments;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a run that takes long is said to go on.
const PROGRESS: Duration = Duration::from_secs(10);

/// Runs this in a thread of its own, and says every ten seconds that it goes on. An engine cannot be interrupted, so one that
/// is given up computes on until the program ends.
///
/// # Errors
/// When the time is over, with what to do.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    what: &str,
    say: impl Fn(Arguments<'_>) -> Result<()>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let (done, result) = channel();
    thread::Builder::new().name("trial".to_owned()).spawn(move || {
        // Nobody waits any more for a run that was given up.
        let _late = done.send(work());
    })?;
    let started = Instant::now();
    loop {
        let left = limit.saturating_sub(started.elapsed());
        match result.recv_timeout(left.min(PROGRESS)) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => bail!("{what} panicked"),
            Err(RecvTimeoutError::Timeout) if started.elapsed() >= limit => {
                bail!("{what} has not ended after {} s; allow it more with --trial-seconds", limit.as_secs())
            }
            Err(RecvTimeoutError::Timeout) => {
                say(format_args!("{what} goes on, {} s so far", started.elapsed().as_secs()))?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_in_time_is_answered_and_what_does_not_is_given_up() {
        assert_eq!(within(Duration::from_secs(60), "the trial", |_| Ok(()), || 7).unwrap(), 7);
        let (hold, held) = channel::<()>();
        let error = within(Duration::ZERO, "the trial", |_| Ok(()), move || held.recv()).unwrap_err().to_string();
        assert_eq!(error, "the trial has not ended after 0 s; allow it more with --trial-seconds");
        drop(hold);
    }

    #[test]
    fn a_panic_ends_the_wait() {
        let error = within(Duration::from_secs(60), "the trial", |_| Ok(()), || panic!("for the test")).unwrap_err();
        assert_eq!(error.to_string(), "the trial panicked");
    }
}
