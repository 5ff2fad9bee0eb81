//! The protocol of a server and the process of a job: one JSON object a line, commands on the process's standard input,
//! reports on its standard output.

use serde::{Deserialize, Serialize};
use trainer::estimate::RunProgress;
use trainer::events::Event;

use super::record::{JobError, JobResult};
use super::spec::JobSpec;
use crate::finetune::{CheckSpec, DatasetCheck, FinetunePlan, FinetuneSpec};

/// From the server. The end of the input means: the server has ended or is ending, stop.
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
        /// The end of the server's lease, in milliseconds since 1970.
        lease_until: i64,
    },
    /// The first line, in the place of `Start`: make a plan and end.
    Plan {
        /// What would be done.
        spec: Box<FinetuneSpec>,
    },
    /// The first line, in the place of `Start`: check a data set and end.
    Check {
        /// The data set.
        spec: Box<CheckSpec>,
    },
    /// The lease was renewed.
    Lease {
        /// Its new end, in milliseconds since 1970.
        until: i64,
    },
    /// A client cancelled or paused the job, or its time is up. The process writes a checkpoint, where it has one to write.
    Stop,
}

/// To the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub(super) enum ChildMessage {
    /// An event to store.
    Event {
        /// What happened.
        event: Event,
        /// How far the run is, if the event says something about it.
        progress: Option<RunProgress>,
    },
    /// Progress to show and not to store as an event.
    Progress {
        /// How far the run is.
        progress: RunProgress,
    },
    /// The plan that was asked for; the last line.
    Planned {
        /// What the fine-tune would do.
        plan: Box<FinetunePlan>,
    },
    /// What was found in the data set that was to be checked; the last line.
    Checked {
        /// What was found.
        check: Box<DatasetCheck>,
    },
    /// The work is done; the last line.
    Finished {
        /// The published version, or what was measured.
        result: JobResult,
    },
    /// There will be no result; the last line.
    Failed {
        /// Why, with a code for programs.
        error: JobError,
    },
    /// The process stops on command; the last line.
    Stopped,
}
