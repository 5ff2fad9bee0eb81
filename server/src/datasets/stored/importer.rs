//! The images of uploads that are complete.

use std::num::NonZeroUsize;
use std::time::Duration;

use jiff::Timestamp;
use models::preprocess::Limits;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::sleep;
use trainer::data::{ArchiveLimits, DatasetError, FileAccess, OpenOptions};
use trainer::events::{Event, Observer};

use super::upload::{UploadFolder, UploadRecord};
use super::{
    DatasetName, DatasetStore, DatasetStoreError, Import, ImportError, ImportOptions, ImportOutcome, ImportedFiles,
};
use crate::failure::chain;

/// How often uploads are looked at that another process has completed, or that have expired.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How many uploads are read at a time, so that a small one does not wait for a large one.
const IMPORTS: usize = 2;

/// Makes images of uploads; cheap to clone.
#[derive(Debug, Clone)]
pub struct Importer {
    store: DatasetStore,
    options: ImportOptions,
}

impl Importer {
    /// One that reads images up to these limits. It decodes one at a time, because the server has requests to answer.
    #[must_use]
    pub fn new(store: DatasetStore, limits: Limits) -> Self {
        Self { store, options: ImportOptions { limits, threads: NonZeroUsize::MIN } }
    }

    /// Works until it is told to stop. An import that is interrupted is begun again by the next server.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut imports = JoinSet::new();
        while !*stop.borrow() {
            if let Err(error) = self.round(&mut imports, &stop).await {
                tracing::error!(cause = chain(&error), "uploads cannot be looked at; they are tried again");
            }
            tokio::select! {
                () = self.store.upload_completed() => {}
                Some(ended) = imports.join_next() => if failed(ended) {
                    // What ails the disk or the database does not go by at once.
                    tokio::select! { () = sleep(LOOK_EVERY) => {} _ = stop.changed() => {} }
                },
                () = sleep(LOOK_EVERY) => {}
                _ = stop.changed() => {}
            }
        }
        while let Some(ended) = imports.join_next().await {
            failed(ended);
        }
    }

    /// Imports what is complete, and removes what has expired.
    async fn round(&self, imports: &mut Imports, stop: &watch::Receiver<bool>) -> Result<(), DatasetStoreError> {
        if !self.store.is_there() {
            return Ok(());
        }
        for (name, upload) in self.store.all_uploads().await? {
            let complete = upload.outcome.is_none() && upload.offset == upload.of.length;
            if complete && imports.len() < IMPORTS {
                let (importer, stop) = (self.clone(), stop.clone());
                imports.spawn(async move { importer.import(&name, &upload, &stop).await });
            } else if complete {
                // Its turn comes when another one has ended.
            } else if upload.expires_at < Timestamp::now() {
                match self.store.end_upload(&name, upload.id).await {
                    Ok(()) => tracing::info!(dataset = %name, upload = %upload.id, "an upload has expired"),
                    // Somebody writes it after all, or has ended it.
                    Err(DatasetStoreError::UploadLocked(_) | DatasetStoreError::UnknownUpload(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn import(
        &self,
        name: &DatasetName,
        upload: &UploadRecord,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), DatasetStoreError> {
        let folder = self.store.upload_folder(name, upload.id);
        let expiry = self.store.limits().upload_expiry;
        let _lock = match folder.lock(upload.id, expiry) {
            Ok(lock) => lock,
            // Another server imports it, or it was ended.
            Err(DatasetStoreError::UploadLocked(_) | DatasetStoreError::UnknownUpload(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let import = self.store.begin_import(name).await?;
        let work =
            Work { import: import.clone(), folder: folder.clone(), upload: upload.clone(), options: self.options };
        let stop = stop.clone();
        let outcome = match spawn_blocking(move || work.read(stop)).await? {
            Ok(files) => match self.store.finish_import(&import, files).await {
                Ok(report) => ImportOutcome::of(report),
                Err(error @ DatasetStoreError::Full { .. }) => ImportOutcome::Failed { reason: error.to_string() },
                Err(error) => return Err(error),
            },
            Err(ImportError::Stopped) => return Ok(()),
            Err(ImportError::Store(error)) => return Err(error),
            Err(ImportError::Source(error)) => ImportOutcome::Failed { reason: error.to_string() },
        };
        let outcome = outcome.without(folder.path());
        tracing::info!(dataset = %name, upload = %upload.id, outcome = outcome.describe(), "an upload was imported");
        folder.conclude(&upload.of, &outcome)
    }
}

type Imports = JoinSet<Result<(), DatasetStoreError>>;

/// An upload that could not be read for want of the disk or the database is read again by the next look.
fn failed(ended: Result<Result<(), DatasetStoreError>, JoinError>) -> bool {
    let outcome = ended.map_err(DatasetStoreError::from).flatten();
    if let Err(error) = &outcome {
        tracing::error!(cause = chain(error), "an upload could not be read; it is tried again");
    }
    outcome.is_err()
}

/// What a thread needs to read an upload.
struct Work {
    import: Import,
    folder: UploadFolder,
    upload: UploadRecord,
    options: ImportOptions,
}

impl Work {
    fn read(&self, stop: watch::Receiver<bool>) -> Result<ImportedFiles, ImportError> {
        let path = self.folder.path();
        let path = std::path::absolute(path).map_err(DatasetStoreError::io(path))?;
        // A table in the place of an archive could name any file of this machine.
        let access = FileAccess::within([path.clone()]);
        let unpacked = self.folder.unpacked();
        let options = OpenOptions { archives: Some(&unpacked), limits: ArchiveLimits::default(), access: &access };
        let source = UploadFolder::source(&self.folder, &self.upload.of);
        let source = trainer::data::DatasetSource {
            path: std::path::absolute(&source.path).map_err(DatasetStoreError::io(&path))?,
            ..source
        };
        let dataset = source.list_in(&options)?;
        if dataset.samples.is_empty() && dataset.account.faults().is_empty() {
            return Err(DatasetError::Unrecognized { path: source.path, holds: vec![] }.into());
        }
        self.import.read(&dataset, &self.options, &mut Stopping(stop))
    }
}

/// Ends an import when the server ends.
struct Stopping(watch::Receiver<bool>);

impl Observer for Stopping {
    fn event(&mut self, _event: Event) {}

    fn stopped(&self) -> bool {
        *self.0.borrow()
    }
}
