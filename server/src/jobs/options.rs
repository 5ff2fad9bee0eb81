//! How much jobs may take.

use std::time::Duration;

/// The limits of jobs, and how a server holds on to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobOptions {
    /// The jobs that may wait.
    pub queued: u32,
    /// The jobs that may wait of one API key.
    pub queued_per_key: u32,
    /// How often a job is begun before it has failed. Attempts that ended because the server was told to stop do not
    /// count.
    pub attempts: u32,
    /// How long a job may run, all attempts together.
    pub timeout: Duration,
    /// The events that are stored of a job.
    pub events: u32,
    /// How long a job stays claimed without a sign of life from its server.
    pub lease: Duration,
    /// How long a job waits after its first failed attempt; after each further one, four times as long.
    pub retry_delay: Duration,
}

/// The longest wait between two attempts.
const LONGEST_DELAY: Duration = Duration::from_secs(300);

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            queued: 100,
            queued_per_key: 20,
            attempts: 3,
            timeout: Duration::from_secs(24 * 60 * 60),
            events: 10_000,
            lease: Duration::from_secs(15),
            retry_delay: Duration::from_secs(5),
        }
    }
}

impl JobOptions {
    /// How long a job waits after so many failed attempts.
    pub(super) fn delay(&self, failed: u32) -> Duration {
        let factor = 4_u32.saturating_pow(failed.saturating_sub(1));
        self.retry_delay.saturating_mul(factor).min(LONGEST_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_four_times_the_one_before_up_to_five_minutes() {
        let seconds = |failed| JobOptions::default().delay(failed).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 100].map(seconds), [5, 20, 80, 300, 300, 300]);
    }
}
