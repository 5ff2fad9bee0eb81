//! Why jobs cannot be stored or read.

use thiserror::Error;

use super::record::{JobId, JobState};

/// Why a job cannot be stored or read.
#[derive(Debug, Error)]
pub enum JobsError {
    /// The folder of the database cannot be made.
    #[error("cannot make the folder of the job database")]
    Folder(#[source] std::io::Error),
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
}

/// `SQLite`'s codes for a disk that takes no more: full, and failures to write, sync, truncate or map a file.
const NO_SPACE: [&str; 6] = ["13", "778", "1034", "1546", "4874", "5386"];

impl JobsError {
    /// Whether the database itself fails: its file is damaged, missing or locked, or may not be written.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        matches!(self, JobsError::Database(sqlx::Error::Database(_) | sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut))
    }

    /// Whether the disk of the database has no room, so that nothing was written.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let JobsError::Database(sqlx::Error::Database(error)) = self else { return false };
        error.code().is_some_and(|code| NO_SPACE.contains(&&*code))
    }
}
