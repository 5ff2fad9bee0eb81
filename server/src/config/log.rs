//! The log.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

/// What is logged, and how.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// What to log: `error`, `warn`, `info`, `debug`, or directives such as `server=debug`
    #[arg(long, env = "GRAFT_LOG", global = true, default_value = "info", value_name = "FILTER")]
    pub log: String,

    /// How to write log lines
    #[arg(long, env = "GRAFT_LOG_FORMAT", global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

impl LogArgs {
    /// The same options as arguments of another graft process.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        let format = match self.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        ["--log", &self.log, "--log-format", format].map(OsString::from).to_vec()
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
