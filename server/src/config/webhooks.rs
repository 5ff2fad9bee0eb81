//! Whom the server tells when a job has ended.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use thiserror::Error;

use crate::outbound::{AllowedHost, HostList};
use crate::webhooks::{SecretError, WebhookOptions, WebhookSecret};

/// Whom the server tells when a job has ended.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Webhooks")]
pub struct WebhookArgs {
    /// A host that the field `webhook` of a request may name, `HOST` or `HOST:PORT`; may be given more than once. A private
    /// address is reached only if the address itself is listed [default: none, so that there are no webhooks]
    #[arg(long = "webhook-host", env = "GRAFT_WEBHOOK_HOSTS", value_name = "HOST", value_delimiter = ',')]
    hosts: Vec<AllowedHost>,

    /// What messages to webhooks are signed with: `whsec_` and base64. A file keeps it out of the list of processes
    #[arg(
        long,
        env = "GRAFT_WEBHOOK_SECRET",
        value_name = "SECRET",
        hide_env_values = true,
        conflicts_with = "webhook_secret_file"
    )]
    webhook_secret: Option<WebhookSecret>,

    /// A file with that secret
    #[arg(long, env = "GRAFT_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    webhook_secret_file: Option<PathBuf>,

    /// How long a message waits that was not taken, in seconds; after each further try four times as long, up to an hour
    #[arg(long, env = "GRAFT_WEBHOOK_RETRY_SECONDS", value_name = "S", default_value_t = 5, value_parser = value_parser!(u64).range(1..=3600))]
    webhook_retry_seconds: u64,
}

/// Webhooks cannot be sent as the settings say.
#[derive(Debug, Error)]
pub enum WebhookConfigError {
    /// Messages would not be signed.
    #[error("--webhook-host needs --webhook-secret-file or --webhook-secret, with which receivers check messages")]
    NoSecret,
    /// The file cannot be read.
    #[error("the file of the webhook secret {}", .path.display())]
    File {
        /// The file that was named.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file holds no secret.
    #[error("the file of the webhook secret {}", .path.display())]
    Secret {
        /// The file that was named.
        path: PathBuf,
        /// What is wrong with the secret.
        source: SecretError,
    },
}

impl WebhookArgs {
    /// To whom messages are sent, and how; `None` where no host is listed.
    ///
    /// # Errors
    /// [`WebhookConfigError`].
    pub fn resolve(&self) -> Result<Option<WebhookOptions>, WebhookConfigError> {
        if self.hosts.is_empty() {
            return Ok(None);
        }
        let secret = match (&self.webhook_secret, &self.webhook_secret_file) {
            (Some(secret), _) => secret.clone(),
            (None, Some(path)) => {
                let path = path.clone();
                match std::fs::read_to_string(&path) {
                    Ok(text) => text.parse().map_err(|source| WebhookConfigError::Secret { path, source })?,
                    Err(source) => return Err(WebhookConfigError::File { path, source }),
                }
            }
            (None, None) => return Err(WebhookConfigError::NoSecret),
        };
        let retry_delay = Duration::from_secs(self.webhook_retry_seconds);
        Ok(Some(WebhookOptions { hosts: HostList::new(self.hosts.clone()), secret, retry_delay }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        webhooks: WebhookArgs,
    }

    fn resolve(flags: &[&str]) -> Result<Option<WebhookOptions>, WebhookConfigError> {
        Flags::parse_from([&["graft"], flags].concat()).webhooks.resolve()
    }

    #[test]
    fn there_are_no_webhooks_without_a_host_and_none_without_a_signature() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let file = file.to_str().unwrap();
        assert!(resolve(&[]).unwrap().is_none());
        assert!(matches!(resolve(&["--webhook-host", "example.org"]), Err(WebhookConfigError::NoSecret)));
        assert!(resolve(&["--webhook-host", "example.org", "--webhook-secret-file", file]).unwrap().is_some());
        let missing = resolve(&["--webhook-host", "example.org", "--webhook-secret-file", "/nowhere/secret"]);
        assert!(matches!(missing, Err(WebhookConfigError::File { .. })));
    }
}
