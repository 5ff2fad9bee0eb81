//! Why jobs cannot be stored or read.

use thiserror::Error;

use super::record::{JobId, JobState};
use crate::database;

/// Why a job cannot be stored or read.
#[derive(Debug, Error)]
pub enum JobsError {
    /// The folder of the database cannot be made.
    #[error("cannot make the folder of the job database")]
    Folder(#[source] std::io::Error),
    /// The folder of uploads cannot be read, or what is left of one cannot be removed.
    #[error("cannot tidy up the folder of uploads")]
    Uploads(#[source] std::io::Error),
    /// The database refused.
    #[error("the job database failed")]
    Database(#[from] sqlx::Error),
    /// A job cannot be written down.
    #[error("the job cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The key was used for another request.
    #[error("the idempotency key was used for another request, job {0}")]
    KeyReused(JobId),
    /// No such job.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// As many jobs wait as may.
    #[error("{limit} jobs wait already, as many as {flag} allows; send it again later")]
    QueueFull {
        /// How many may wait.
        limit: u32,
        /// The flag that says so.
        flag: &'static str,
    },
    /// It has ended.
    #[error("job {id} is over; its state is `{}`", .state.as_str())]
    Finished {
        /// The job.
        id: JobId,
        /// How it ended.
        state: JobState,
    },
    /// Its state does not allow what was asked for.
    #[error("job {id} is `{}`; {wanted}", .state.as_str())]
    State {
        /// The job.
        id: JobId,
        /// What it is at now.
        state: JobState,
        /// Which states allow it, as the end of a sentence.
        wanted: &'static str,
    },
}

impl JobsError {
    /// Whether the database itself fails: its file is damaged, missing or locked, or may not be written.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        matches!(self, JobsError::Database(error) if database::is_failing(error))
    }

    /// Whether the disk of the database has no room, so that nothing was written.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, JobsError::Database(error) if database::is_full(error))
    }
}
