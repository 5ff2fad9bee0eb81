//! Messages to other servers when a job has ended, signed as Standard Webhooks (<https://www.standardwebhooks.com>) has it.
//!
//! A message is written into the job database together with the end of its job, and sent by a task of its own: it survives the
//! server, and delays no job.

mod sender;
mod signature;

use std::time::Duration;

pub use sender::WebhookSender;
pub use signature::{SecretError, WebhookSecret};

use crate::outbound::HostList;

/// To whom messages are sent, and how.
#[derive(Debug, Clone)]
pub struct WebhookOptions {
    /// The hosts that requests may name.
    pub hosts: HostList,
    /// What messages are signed with.
    pub secret: WebhookSecret,
    /// How long the second try waits; each further one waits four times as long, up to an hour.
    pub retry_delay: Duration,
}

/// How often a message is tried.
const ATTEMPTS: u32 = 10;
/// The longest wait between two tries.
const LONGEST_DELAY: Duration = Duration::from_secs(60 * 60);

impl WebhookOptions {
    /// How long a message waits after so many failed tries; `None` when it is given up.
    fn delay(&self, failed: u32) -> Option<Duration> {
        let factor = 4_u32.saturating_pow(failed.saturating_sub(1));
        (failed < ATTEMPTS).then(|| self.retry_delay.saturating_mul(factor).min(LONGEST_DELAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_four_times_the_one_before_up_to_an_hour_and_the_tenth_try_is_the_last() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let options = WebhookOptions { hosts: HostList::default(), secret, retry_delay: Duration::from_secs(5) };
        let seconds = [1, 2, 3, 4, 5, 6, 9, 10].map(|failed| options.delay(failed).map(|delay| delay.as_secs()));
        assert_eq!(seconds, [Some(5), Some(20), Some(80), Some(320), Some(1280), Some(3600), Some(3600), None]);
    }
}
