//! Fine-tuning as jobs.
//!
//! A job is a row with a state, an attempt number and a lease. A server claims it, says every few seconds that it is
//! alive, and names its attempt in everything it writes; a server that was paused and comes back after its lease ran out
//! writes nothing. The training runs in a process of its own, so that a crash or the kernel's memory killer does not
//! touch serving.
//!
//! What happens when …
//!
//! - the server is killed: the training process sees its input end and stops without publishing. When the lease has run
//!   out, the job is claimed again and the attempt number rises; features that were computed are on the disk. After three
//!   such attempts the job has failed.
//! - the server is told to stop: the training process is stopped, the job goes back to the queue, and the attempt does
//!   not count.
//! - the training process dies: the job has failed, with the signal in its reason. It is not tried again, because what
//!   killed it, most likely a lack of memory, would again.
//! - the server is killed in the moment between publishing and noting it: the job runs again and publishes another
//!   version. At least once, never half.

pub mod child;
mod lease;
mod process;
mod protocol;
mod record;
mod runner;
mod schema;
mod spec;
mod store;

pub use lease::{Claim, Heartbeat};
pub use process::ChildCommand;
pub use record::{JobError, JobEvent, JobId, JobProgress, JobRecord, JobResult, JobState, Page};
pub use runner::Runner;
pub use spec::JobSpec;
pub use store::{Jobs, JobsError, Submission};
