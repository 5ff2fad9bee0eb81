//! Sends the messages that are due.

use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::sleep;
use ureq::Agent;

use super::WebhookOptions;
use crate::failure::chain;
use crate::jobs::{Jobs, JobsError, JobsHandle, Message};
use crate::outbound;

/// How soon a message is found that another process has written, or whose time has come.
const POLL: Duration = Duration::from_millis(500);
/// How long a message is held by its sender, longer than a try may take.
const HOLD: Duration = Duration::from_secs(60);
/// Messages on their way at a time: a receiver that is slow does not hold up the others.
const AT_A_TIME: usize = 4;
/// The receiver wants no more messages, by the specification.
const GONE: u16 = 410;

/// Sends the messages of one server.
pub struct WebhookSender {
    jobs: JobsHandle,
    options: WebhookOptions,
    agent: Agent,
}

/// A message was not taken.
#[derive(Debug, Error)]
enum SendError {
    #[error("the receiver cannot be reached")]
    Network(#[from] ureq::Error),
    #[error("the receiver answers with status {0}")]
    Status(u16),
    #[error("the try was interrupted")]
    Interrupted(#[from] JoinError),
}

impl WebhookSender {
    /// A sender of these jobs' messages.
    #[must_use]
    pub fn new(jobs: JobsHandle, options: WebhookOptions) -> Self {
        let agent = outbound::client(&options.hosts);
        Self { jobs, options, agent }
    }

    /// Sends until `stopped` becomes true. What is on its way then is sent again when the server starts.
    pub async fn run(self, mut stopped: watch::Receiver<bool>) {
        let work = async {
            let jobs = self.jobs.wait().await;
            let (mut news, mut sending) = (jobs.news(), JoinSet::new());
            loop {
                while sending.len() < AT_A_TIME {
                    match jobs.take_message(HOLD).await {
                        Ok(Some(message)) => {
                            sending.spawn(deliver(self.agent.clone(), self.options.clone(), jobs.clone(), message));
                        }
                        Ok(None) => break,
                        Err(error) => {
                            tracing::warn!(cause = chain(&error), "messages to webhooks cannot be read");
                            break;
                        }
                    }
                }
                tokio::select! {
                    Some(_sent) = sending.join_next() => {}
                    _ = news.changed() => {}
                    () = sleep(POLL) => {}
                }
            }
        };
        tokio::select! {
            () = work => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }
}

/// Tries a message once, and settles what becomes of it.
async fn deliver(agent: Agent, options: WebhookOptions, jobs: Jobs, message: Message) {
    let (id, url, attempt) = (&message.id, &message.url, message.attempt);
    let sent = post(agent, &options, &message).await;
    let settled = match sent {
        Ok(()) => {
            tracing::info!(id, %url, attempt, "a webhook has its message");
            jobs.drop_message(&message).await
        }
        Err(error) => {
            let delay = options.delay(attempt).filter(|_| !matches!(error, SendError::Status(GONE)));
            settle(&jobs, &message, &error, delay).await
        }
    };
    if let Err(error) = settled {
        tracing::warn!(
            cause = chain(&error),
            "a message to a webhook is sent once more, because its end cannot be written"
        );
    }
}

async fn settle(jobs: &Jobs, message: &Message, error: &SendError, delay: Option<Duration>) -> Result<(), JobsError> {
    let (id, url, attempt, cause) = (&message.id, &message.url, message.attempt, chain(error));
    match delay {
        Some(delay) => {
            tracing::warn!(id, %url, attempt, cause, again_in_seconds = delay.as_secs(), "a webhook has not taken its message");
            jobs.delay_message(message, delay).await
        }
        None => {
            tracing::error!(id, %url, attempt, cause, "a message to a webhook is given up");
            jobs.drop_message(message).await
        }
    }
}

async fn post(agent: Agent, options: &WebhookOptions, message: &Message) -> Result<(), SendError> {
    let timestamp = Timestamp::now().as_second();
    let Message { id, url, body, .. } = message.clone();
    let signature = options.secret.sign(&id, timestamp, &body);
    let status = spawn_blocking(move || {
        let request = agent.post(url.as_str()).header("content-type", "application/json");
        let request = request.header("webhook-id", id).header("webhook-timestamp", timestamp.to_string());
        Ok::<_, ureq::Error>(request.header("webhook-signature", signature).send(body)?.status().as_u16())
    });
    match status.await?? {
        200..=299 => Ok(()),
        status => Err(SendError::Status(status)),
    }
}
