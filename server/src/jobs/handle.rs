//! The jobs of a server that can do without.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use thiserror::Error;
use tokio::time::sleep;

use super::error::JobsError;
use super::options::JobOptions;
use super::store::Jobs;
use crate::failure::chain;

/// How soon a database that could not be opened is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// The jobs, once their database is open; cheap to clone. A server without it classifies all the same.
#[derive(Debug, Clone)]
pub struct JobsHandle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    options: JobOptions,
    jobs: RwLock<Option<Jobs>>,
}

/// The database of jobs is not open.
#[derive(Debug, Error)]
#[error(
    "the job database {file} cannot be opened, so that there are no jobs; models are served. Look into the server's log, \
     repair the file or move it away; the server tries again by itself"
)]
pub struct JobsUnavailable {
    file: String,
}

impl JobsHandle {
    /// Opens the database, made if it is not there. If it cannot be opened, the log says why.
    pub async fn open(path: &Path, options: JobOptions) -> Self {
        let handle = Self(Arc::new(Inner { path: path.to_owned(), options, jobs: RwLock::default() }));
        if let Err(error) = handle.try_open().await {
            let path = path.display();
            tracing::error!(%path, cause = chain(&error), "the job database cannot be opened; serving without jobs");
        }
        handle
    }

    /// The jobs.
    ///
    /// # Errors
    /// [`JobsUnavailable`] while their database is not open.
    pub fn ready(&self) -> Result<Jobs, JobsUnavailable> {
        let jobs = self.0.jobs.read().unwrap_or_else(PoisonError::into_inner).clone();
        jobs.ok_or_else(|| JobsUnavailable {
            file: self.0.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        })
    }

    /// Waits for the jobs, and tries to open their database again and again.
    pub async fn wait(&self) -> Jobs {
        loop {
            if let Ok(jobs) = self.ready() {
                return jobs;
            }
            sleep(TRY_AGAIN).await;
            if self.try_open().await.is_ok() {
                tracing::info!(path = %self.0.path.display(), "the job database is open; there are jobs again");
            }
        }
    }

    async fn try_open(&self) -> Result<(), JobsError> {
        let jobs = Jobs::open(&self.0.path, self.0.options).await?;
        *self.0.jobs.write().unwrap_or_else(PoisonError::into_inner) = Some(jobs);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::JobKind;
    use super::*;

    #[tokio::test]
    async fn a_database_that_is_none_costs_the_jobs_and_comes_back_when_it_is_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graft.sqlite");
        std::fs::write(&path, "this is no database, whatever its name says".repeat(50)).unwrap();
        let handle = JobsHandle::open(&path, JobOptions::default()).await;
        let error = handle.ready().unwrap_err().to_string();
        assert!(error.starts_with("the job database graft.sqlite cannot be opened"), "{error}");
        std::fs::remove_file(&path).unwrap();
        handle.try_open().await.unwrap();
        assert!(handle.ready().unwrap().list(JobKind::Finetune, None, 1).await.unwrap().data.is_empty());
    }
}
