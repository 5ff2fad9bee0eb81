//! The log.

use std::io::{self, IsTerminal};

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{LogArgs, LogFormat};

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
}

/// Sends the log to standard error, so that standard output is for results alone.
///
/// # Errors
/// [`TelemetryError`] for a filter that makes no sense, or when called twice.
pub fn init(args: &LogArgs) -> Result<(), TelemetryError> {
    let filter =
        EnvFilter::try_new(&args.log).map_err(|reason| TelemetryError::Filter { filter: args.log.clone(), reason })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let log = log.with_ansi(io::stderr().is_terminal());
    let started = match args.log_format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| TelemetryError::Twice)
}
