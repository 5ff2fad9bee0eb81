//! Uploads that nobody owns any more.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::folder::{ImportFolders, PREFIX, lock};
use crate::failure::chain;
use crate::jobs::{Jobs, JobsError};

/// How soon the folder of a job is removed that another process has ended.
const POLL: Duration = Duration::from_secs(2);
/// The shortest time between two looks.
const PAUSE: Duration = Duration::from_millis(200);

impl ImportFolders {
    /// Removes folders that nobody owns, again and again, until `stop` becomes true.
    pub async fn keep_clean(self, jobs: Jobs, mut stop: watch::Receiver<bool>) {
        let (mut news, mut last_error) = (jobs.news(), None);
        while !*stop.borrow_and_update() {
            news.mark_unchanged();
            let error = self.clean(&jobs).await.err().map(|error| chain(&error));
            if let Some(cause) = error.as_ref().filter(|_| error != last_error) {
                tracing::warn!(cause, "what is left of uploads cannot be removed");
            }
            last_error = error;
            let waiting = async {
                sleep(PAUSE).await;
                let _news_or_poll = timeout(POLL, news.changed()).await;
            };
            tokio::select! { () = waiting => {}, _ = stop.changed() => {} }
        }
    }

    /// Removes each folder that belongs to no request and to no job that is still to be done.
    ///
    /// # Errors
    /// [`JobsError`] when the jobs, or the folder of all of them, cannot be read; nothing is removed then.
    pub async fn clean(&self, jobs: &Jobs) -> Result<(), JobsError> {
        let root = self.0.clone();
        let free = blocking(move || unlocked(&root)).await?;
        if free.is_empty() {
            return Ok(());
        }
        // A request holds the lock until its job is written down: what is not among the jobs now belongs to nobody.
        let owned: HashSet<String> = jobs.import_folders().await?.into_iter().collect();
        let remove = move || {
            let is_owned =
                |path: &Path| path.file_name().and_then(|name| name.to_str()).is_none_or(|name| owned.contains(name));
            free.into_iter().filter(|(path, _)| !is_owned(path)).try_for_each(|(path, _lock)| fs::remove_dir_all(path))
        };
        blocking(remove).await
    }
}

/// The folders of which nobody has the lock, with their locks.
fn unlocked(root: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error),
    };
    let folders =
        entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)));
    // One that goes meanwhile is nobody's.
    Ok(folders.filter_map(|entry| Some((entry.path(), lock(&entry.path()).ok()??))).collect())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, JobsError> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(JobsError::Uploads)
}

#[cfg(test)]
mod tests {
    use super::super::tests::import;
    use super::*;
    use crate::jobs::{JobOptions, JobRequest, JobSpec, Submission};

    #[tokio::test]
    async fn a_folder_is_there_as_long_as_its_request_and_then_its_job() {
        let root = tempfile::tempdir().unwrap();
        let jobs = Jobs::open(&root.path().join("graft.sqlite"), JobOptions::default()).await.unwrap();
        let folders = ImportFolders::new(root.path().join("incoming"));
        folders.clean(&jobs).await.unwrap();
        let mut paths = Vec::new();
        let mut ids = Vec::new();
        for name in ["a", "b"] {
            let folder = folders.create(1).await.unwrap();
            paths.push(folder.path().to_owned());
            folders.clean(&jobs).await.unwrap();
            assert!(folder.path().exists(), "its request goes on");
            let spec = JobSpec::Import(import(name, &folder.name()));
            let request = JobRequest { spec: &spec, idempotency_key: None, owner: None };
            let Submission::New(job) = jobs.create(&request).await.unwrap() else { panic!() };
            folder.hand_over();
            ids.push(job.id);
        }
        // What a server leaves that is killed while bytes arrive.
        let killed = folders.create(1).await.unwrap();
        let leftover = killed.path().to_owned();
        killed.hand_over();
        let other = root.path().join("incoming/others");
        fs::create_dir(&other).unwrap();

        folders.clean(&jobs).await.unwrap();
        assert_eq!(
            paths.iter().map(|path| path.exists()).collect::<Vec<_>>(),
            [true, true],
            "they wait for their turn"
        );
        assert!(!leftover.exists() && other.exists());
        jobs.cancel(ids[0]).await.unwrap();
        folders.clean(&jobs).await.unwrap();
        assert_eq!(paths.iter().map(|path| path.exists()).collect::<Vec<_>>(), [false, true]);
    }
}
