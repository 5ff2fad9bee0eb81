//! What a server and its training process say to each other: one JSON object a line, commands on the process's standard
//! input, reports on its standard output.

use serde::{Deserialize, Serialize};
use trainer::events::Event;

use super::record::{JobError, JobProgress, JobResult};
use super::spec::JobSpec;

/// From the server. The end of the input is a command too: the server has gone or is going, stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(super) enum ControlMessage {
    /// The first line.
    Start {
        /// What is to be done.
        spec: Box<JobSpec>,
        /// The job's id.
        job: String,
        /// The attempt that this is, from 1.
        attempt: u32,
        /// Until when the job is the server's, in milliseconds since 1970.
        lease_until: i64,
    },
    /// The lease was renewed.
    Lease {
        /// Until when, in milliseconds since 1970.
        until: i64,
    },
    /// The job was called off.
    Cancel,
}

/// To the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub(super) enum ChildMessage {
    /// Something happened that is to be stored.
    Event {
        /// What.
        event: Event,
    },
    /// The bar moves.
    Progress {
        /// To where.
        progress: JobProgress,
    },
    /// The model is published; the last line.
    Published {
        /// Which.
        result: JobResult,
    },
    /// There will be no model; the last line.
    Failed {
        /// Why.
        error: JobError,
    },
    /// The process stops as it was told to; the last line.
    Stopped,
}
