//! Fine-tunes, evaluations, quantizations and imports as jobs.
//!
//! A job is a row with a state, an attempt number and a lease. A server claims it, says every few seconds that it is
//! alive, and names its attempt in everything it writes; a server that was paused and comes back after its lease ran out
//! writes nothing. The work runs in a process of its own, so that a crash or the kernel's memory killer does not touch
//! serving. Imports have a queue of their own: their clients may wait for them, and a training takes hours.
//!
//! What happens when …
//!
//! - the server is killed: the training process sees its input end and stops without publishing. When the lease has run
//!   out, the job is claimed again and the attempt number rises; features that were computed are on the disk.
//! - the training process dies: the job is begun again after a wait that grows. After `--job-attempts` such attempts, or
//!   as many dead servers, the job has failed, with the signal in its reason.
//! - the server is told to stop: the training process is stopped, the job goes back to the queue, and the attempt does
//!   not count.
//! - somebody is killed around publishing: the version's manifest names the job. The next attempt finds the version and
//!   finishes the job. A job publishes once, even if two servers believe that it is theirs.
//! - a client pauses the job: the training process stops at its next checkpoint, and the server takes the next job. A resumed
//!   job goes back to the queue and on from the checkpoint.
//! - the disk is full: no job is accepted, a running one keeps its lease while it lasts, and events are lost before jobs.

mod attempt;
pub mod child;
mod control;
mod deployment;
mod error;
mod handle;
mod lease;
mod options;
mod outbox;
mod planner;
mod process;
mod protocol;
mod record;
mod runner;
mod schema;
mod spec;
mod store;
mod thinning;
mod tracking;

pub use error::JobsError;
pub use handle::{JobsHandle, JobsUnavailable};
pub use lease::{Claim, ClientOrder, Heartbeat};
pub use options::JobOptions;
pub use outbox::Message;
pub use planner::{PlanError, Planner};
pub use process::ChildCommand;
pub use record::{JobError, JobEvent, JobId, JobRecord, JobResult, JobState, Page};
pub use runner::Runner;
pub use spec::{JobKind, JobQueue, JobSpec};
pub use store::{JobRequest, Jobs, Submission};
pub use tracking::{Recorder, TrackedJob};
