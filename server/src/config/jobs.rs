//! Jobs.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::{Args, value_parser};
use jiff::SignedDuration;

use crate::jobs::JobOptions;

/// How much jobs may take.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Jobs")]
pub struct JobArgs {
    /// The most jobs that wait, fine-tunes, evaluations and quantizations; more are answered 429
    #[arg(long, env = "GRAFT_MAX_QUEUED_JOBS", default_value_t = JobOptions::default().queued, value_name = "N")]
    max_queued_jobs: u32,

    /// The most jobs that wait of one API key
    #[arg(long, env = "GRAFT_MAX_QUEUED_JOBS_PER_KEY", default_value_t = JobOptions::default().queued_per_key, value_name = "N")]
    max_queued_jobs_per_key: u32,

    /// How often a job is begun when its process or its server dies
    #[arg(long, env = "GRAFT_JOB_ATTEMPTS", default_value_t = JobOptions::default().attempts, value_name = "N", value_parser = value_parser!(u32).range(1..=100))]
    job_attempts: u32,

    /// How long a job may run, all attempts together: `90s`, `30m`, `24h`, `3d`
    #[arg(long, env = "GRAFT_JOB_TIMEOUT", default_value = "24h", value_name = "TIME", value_parser = duration)]
    job_timeout: Duration,

    /// The events that are stored of a job; of long runs they are thinned out in any case
    #[arg(long, env = "GRAFT_MAX_JOB_EVENTS", default_value_t = JobOptions::default().events, value_name = "N", value_parser = value_parser!(u32).range(10..=1_000_000))]
    max_job_events: u32,

    /// How long a job stays claimed without a sign of life from its server, in seconds
    #[arg(long, env = "GRAFT_JOB_LEASE_SECONDS", default_value_t = 15, value_name = "S", value_parser = value_parser!(u64).range(3..=86_400))]
    job_lease_seconds: u64,

    /// The versions that are kept of each model, older ones being removed when a fine-tune publishes [default: all]
    #[arg(long, env = "GRAFT_KEEP_VERSIONS", value_name = "N")]
    keep_versions: Option<NonZeroU32>,
}

impl JobArgs {
    /// The limits as plain values.
    #[must_use]
    pub fn options(&self) -> JobOptions {
        JobOptions {
            queued: self.max_queued_jobs,
            queued_per_key: self.max_queued_jobs_per_key,
            attempts: self.job_attempts,
            timeout: self.job_timeout,
            events: self.max_job_events,
            lease: Duration::from_secs(self.job_lease_seconds),
            ..JobOptions::default()
        }
    }

    /// How many versions are kept of each model; `None` for all.
    #[must_use]
    pub fn retention(&self) -> Option<NonZeroU32> {
        self.keep_versions
    }
}

/// The longest time that can be set.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Reads `90s`, `30m`, `24h`, `3d` and combinations; at least a second, a year at most.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let advice = || "use a time such as `90s`, `30m`, `24h` or `3d`, from a second to a year".to_owned();
    // jiff's durations have no days, because some days have 23 hours; these have 24.
    let time = match text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()) {
        Some(days) => days.checked_mul(24).filter(|hours| *hours <= LONGEST.as_hours()).map(SignedDuration::from_hours),
        None => text.parse::<SignedDuration>().ok(),
    };
    let time = time.filter(|time| (SignedDuration::from_secs(1)..=LONGEST).contains(time));
    time.and_then(|time| Duration::try_from(time).ok()).ok_or_else(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("24h", 86_400), ("1h 30m", 5400), ("3d", 259_200)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "h", "0s", "-5s", "10ms", "367d", "9999999999999999d", "1e308h"] {
            assert!(duration(text).is_err_and(|error| error.contains("`24h`")), "{text}");
        }
    }
}
