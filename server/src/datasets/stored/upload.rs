//! Uploads of archives, which arrive in pieces.
//!
//! An upload is a folder in that of its data set: what was said of it, the bytes that have come, and in the end what became
//! of its images. How many bytes have come is the length of the file and is written nowhere else, so that whoever is killed
//! cannot contradict it.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use models::files::write_atomically;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use trainer::data::{DatasetSource, Layout};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{DatasetName, DatasetStore, DatasetStoreError, ImportReport, file_name};

/// What was said of an upload.
const DESCRIPTION: &str = "upload.json";
/// What became of it.
const OUTCOME: &str = "outcome.json";
/// The folder of its bytes, which have the name that the client gives them.
const CONTENT: &str = "content";
/// The folder that a compressed tar is uncompressed into.
const UNPACKED: &str = "unpacked";
/// How many refusals the reason of a failure has.
const NAMED: usize = 10;
/// The names of folders that are not whole yet, or no longer.
const PARTIAL: &str = ".partial-";

/// An archive that is to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewUpload {
    /// Its size in bytes.
    pub length: u64,
    /// What the client calls it.
    pub file_name: String,
    /// How its images are arranged.
    pub layout: Layout,
    /// The classes, if the client names them.
    pub classes: Vec<String>,
}

/// How the images of an upload are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadReading {
    /// How they are arranged.
    pub layout: Layout,
    /// The classes, if the client names them; else empty.
    pub classes: Vec<String>,
}

/// An upload, as far as it has come.
#[derive(Debug, Clone, PartialEq)]
pub struct UploadRecord {
    /// What its address ends in.
    pub id: Uuid,
    /// What was said of it.
    pub of: NewUpload,
    /// How many bytes have come.
    pub offset: u64,
    /// When it is removed unless more comes.
    pub expires_at: Timestamp,
    /// What became of its images, once that is known.
    pub outcome: Option<ImportOutcome>,
}

/// What became of the images of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ImportOutcome {
    /// They are in the data set.
    #[schema(title = "ImportedOutcome")]
    Imported {
        /// How they were understood, and how many there are.
        report: ImportReport,
    },
    /// None of them is in the data set.
    #[schema(title = "FailedOutcome")]
    Failed {
        /// Why, and what to do about it.
        #[schema(example = "flowers.zip: there are pictures beside the class folders; say --layout class_folders")]
        reason: String,
    },
}

/// Whether all bytes have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    /// More are expected, from this offset on.
    Open(u64),
    /// All are there.
    Complete,
}

/// The bytes of an upload, locked against every other process and request.
#[derive(Debug)]
pub struct UploadFile {
    file: File,
    path: PathBuf,
    length: u64,
}

/// Where the bytes of an upload lie until its images are in the data set.
#[derive(Debug, Clone)]
pub(super) struct UploadFolder(PathBuf);

impl UploadFile {
    /// The file, positioned behind the last byte that has come, for somebody who writes on.
    ///
    /// # Errors
    /// The operating system's.
    pub fn writer(&self) -> Result<tokio::fs::File, DatasetStoreError> {
        self.file.try_clone().map(tokio::fs::File::from_std).map_err(DatasetStoreError::io(&self.path))
    }

    /// Waits until what has come is on the disk.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn settle(self) -> Result<Reception, DatasetStoreError> {
        let Self { file, path, length } = self;
        let settled = spawn_blocking(move || {
            file.sync_all()?;
            Ok(file.metadata()?.len())
        });
        let offset = settled.await?.map_err(DatasetStoreError::io(&path))?;
        Ok(if offset < length { Reception::Open(offset) } else { Reception::Complete })
    }

    /// How many bytes are still expected.
    ///
    /// # Errors
    /// The operating system's.
    pub fn missing(&self) -> Result<u64, DatasetStoreError> {
        let offset = self.file.metadata().map_err(DatasetStoreError::io(&self.path))?.len();
        Ok(self.length.saturating_sub(offset))
    }
}

impl DatasetStore {
    /// Begins an upload.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`], [`DatasetStoreError::UploadTooLarge`], [`DatasetStoreError::Full`] when as many
    /// uploads are unfinished as may be.
    pub async fn create_upload(
        &self,
        name: &DatasetName,
        upload: NewUpload,
    ) -> Result<UploadRecord, DatasetStoreError> {
        self.check(name).await?;
        let limits = self.limits();
        if upload.length > limits.upload_bytes {
            return Err(DatasetStoreError::UploadTooLarge { length: upload.length, most: limits.upload_bytes });
        }
        let unfinished = self.all_uploads().await?.into_iter().filter(|(_, upload)| upload.outcome.is_none()).count();
        if unfinished as u64 >= limits.uploads {
            let (most, of, flag) = (limits.uploads, "unfinished uploads", "--max-uploads");
            return Err(DatasetStoreError::Full { most, of, flag });
        }
        let (root, expiry) = (self.uploads_folder(name), limits.upload_expiry);
        spawn_blocking(move || {
            check_room(&root, upload.length)?;
            create(&root, &upload, expiry)
        })
        .await?
    }

    /// An upload.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`], [`DatasetStoreError::UnknownUpload`].
    pub async fn upload(&self, name: &DatasetName, id: Uuid) -> Result<UploadRecord, DatasetStoreError> {
        self.check(name).await?;
        let (folder, expiry) = (self.upload_folder(name, id), self.limits().upload_expiry);
        spawn_blocking(move || folder.read(id, expiry)).await?
    }

    /// The uploads of a data set, oldest first.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`].
    pub async fn uploads(&self, name: &DatasetName) -> Result<Vec<UploadRecord>, DatasetStoreError> {
        self.check(name).await?;
        let (root, expiry) = (self.uploads_folder(name), self.limits().upload_expiry);
        spawn_blocking(move || list(&root, expiry)).await?
    }

    /// The file that the next bytes of an upload are written to.
    ///
    /// # Errors
    /// [`DatasetStoreError::UnknownUpload`], [`DatasetStoreError::UploadLocked`] while another request writes,
    /// [`DatasetStoreError::UploadOffset`] unless the offset is where the bytes end.
    pub async fn append(&self, name: &DatasetName, id: Uuid, offset: u64) -> Result<UploadFile, DatasetStoreError> {
        self.check(name).await?;
        let (folder, expiry) = (self.upload_folder(name, id), self.limits().upload_expiry);
        let open = move || {
            let file = folder.lock(id, expiry)?;
            let found = file.file.metadata().map_err(DatasetStoreError::io(&file.path))?.len();
            if found != offset {
                return Err(DatasetStoreError::UploadOffset { asked: offset, found });
            }
            Ok(file)
        };
        spawn_blocking(open).await?
    }

    /// Has an upload read again in another way, after its images were not understood.
    ///
    /// # Errors
    /// [`DatasetStoreError::UnknownUpload`], [`DatasetStoreError::UploadNotFailed`].
    pub async fn import_again(
        &self,
        name: &DatasetName,
        id: Uuid,
        reading: UploadReading,
    ) -> Result<UploadRecord, DatasetStoreError> {
        let UploadReading { layout, classes } = reading;
        self.check(name).await?;
        let (folder, expiry) = (self.upload_folder(name, id), self.limits().upload_expiry);
        let again = move || {
            let UploadRecord { of, outcome, .. } = folder.read(id, expiry)?;
            if !matches!(outcome, Some(ImportOutcome::Failed { .. })) {
                return Err(DatasetStoreError::UploadNotFailed(id));
            }
            let _locked = folder.lock(id, expiry)?;
            let path = folder.0.join(DESCRIPTION);
            let text = serde_json::to_vec(&NewUpload { layout, classes, ..of })?;
            write_atomically(&path, &text).map_err(DatasetStoreError::io(&path))?;
            fs::remove_file(folder.0.join(OUTCOME)).map_err(DatasetStoreError::io(&path))?;
            folder.read(id, expiry)
        };
        spawn_blocking(again).await?
    }

    /// Ends an upload; what has come of it is removed. Images that it has brought stay.
    ///
    /// # Errors
    /// [`DatasetStoreError::UnknownUpload`], [`DatasetStoreError::UploadLocked`] while it is written or read.
    pub async fn end_upload(&self, name: &DatasetName, id: Uuid) -> Result<(), DatasetStoreError> {
        self.check(name).await?;
        let (folder, expiry) = (self.upload_folder(name, id), self.limits().upload_expiry);
        let end = move || match folder.read(id, expiry)?.outcome {
            Some(ImportOutcome::Imported { .. }) => folder.remove(),
            _ => {
                let _locked = folder.lock(id, expiry)?;
                folder.remove()
            }
        };
        spawn_blocking(end).await?
    }

    /// The uploads of all data sets.
    pub(super) async fn all_uploads(&self) -> Result<Vec<(DatasetName, UploadRecord)>, DatasetStoreError> {
        let names: Vec<DatasetName> = self.list().await?.iter().filter_map(|record| record.name.parse().ok()).collect();
        let (store, expiry) = (self.clone(), self.limits().upload_expiry);
        let all = move || {
            let mut uploads = Vec::new();
            for name in names {
                let own = list(&store.uploads_folder(&name), expiry)?;
                uploads.extend(own.into_iter().map(|upload| (name.clone(), upload)));
            }
            Ok(uploads)
        };
        spawn_blocking(all).await?
    }

    fn uploads_folder(&self, name: &DatasetName) -> PathBuf {
        self.folder(name).path().join("uploads")
    }

    pub(super) fn upload_folder(&self, name: &DatasetName, id: Uuid) -> UploadFolder {
        UploadFolder(self.uploads_folder(name).join(id.to_string()))
    }
}

impl UploadFolder {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The archive as images, once all of it has come.
    pub(super) fn source(&self, upload: &NewUpload) -> DatasetSource {
        let path = self.content(upload);
        DatasetSource { layout: upload.layout, path, classes: upload.classes.clone() }
    }

    pub(super) fn unpacked(&self) -> PathBuf {
        self.0.join(UNPACKED)
    }

    fn content(&self, upload: &NewUpload) -> PathBuf {
        self.0.join(CONTENT).join(&upload.file_name)
    }

    /// The bytes, for this process alone.
    pub(super) fn lock(&self, id: Uuid, expiry: Duration) -> Result<UploadFile, DatasetStoreError> {
        let UploadRecord { of, .. } = self.read(id, expiry)?;
        let path = self.content(&of);
        let file = match File::options().read(true).append(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(DatasetStoreError::UnknownUpload(id)),
            Err(error) => return Err(DatasetStoreError::io(&path)(error)),
        };
        match file.try_lock() {
            Ok(()) => Ok(UploadFile { file, path, length: of.length }),
            Err(TryLockError::WouldBlock) => Err(DatasetStoreError::UploadLocked(id)),
            Err(TryLockError::Error(error)) => Err(DatasetStoreError::io(&path)(error)),
        }
    }

    pub(super) fn read(&self, id: Uuid, expiry: Duration) -> Result<UploadRecord, DatasetStoreError> {
        let path = self.0.join(DESCRIPTION);
        let Some(text) = existing(fs::read(&path), &path)? else { return Err(DatasetStoreError::UnknownUpload(id)) };
        let of: NewUpload = serde_json::from_slice(&text)?;
        let path = self.0.join(OUTCOME);
        let outcome = existing(fs::read(&path), &path)?;
        let outcome: Option<ImportOutcome> = outcome.map(|text| serde_json::from_slice(&text)).transpose()?;
        let path = self.content(&of);
        let content = existing(fs::metadata(&path), &path)?;
        // Once its images are in the data set, the bytes are not needed.
        let offset = content.as_ref().map_or(of.length, fs::Metadata::len);
        let written = content.and_then(|file| file.modified().ok());
        let written = written.or_else(|| fs::metadata(self.0.join(OUTCOME)).and_then(|file| file.modified()).ok());
        let expires_at = Timestamp::try_from(written.unwrap_or_else(SystemTime::now) + expiry);
        Ok(UploadRecord { id, of, offset, expires_at: expires_at.unwrap_or(Timestamp::MAX), outcome })
    }

    /// Says what became of the images. Of those that are in the data set the bytes go.
    pub(super) fn conclude(&self, upload: &NewUpload, outcome: &ImportOutcome) -> Result<(), DatasetStoreError> {
        let path = self.0.join(OUTCOME);
        write_atomically(&path, &serde_json::to_vec(outcome)?).map_err(DatasetStoreError::io(&path))?;
        // What cannot be removed takes space until the upload expires.
        drop(fs::remove_dir_all(self.unpacked()));
        if matches!(outcome, ImportOutcome::Imported { .. }) {
            drop(fs::remove_file(self.content(upload)));
        }
        Ok(())
    }

    pub(super) fn remove(&self) -> Result<(), DatasetStoreError> {
        let gone = self.0.with_file_name(format!("{PARTIAL}{}", Uuid::now_v7()));
        fs::rename(&self.0, &gone).and_then(|()| fs::remove_dir_all(&gone)).map_err(DatasetStoreError::io(&self.0))
    }
}

impl ImportOutcome {
    /// What a report comes to: without one usable image, a failure.
    pub(super) fn of(report: ImportReport) -> Self {
        if report.added + report.present > 0 || report.refused == 0 {
            return Self::Imported { report };
        }
        let more = report.refused.saturating_sub(NAMED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let named: Vec<&str> = report.refusals.iter().take(NAMED).map(String::as_str).collect();
        Self::Failed { reason: format!("none of the images can be used: {}{more}", named.join("; ")) }
    }

    /// For the log.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Imported { report } => {
                format!("{} images added, {} there already, {} refused", report.added, report.present, report.refused)
            }
            Self::Failed { reason } => format!("failed: {reason}"),
        }
    }

    /// The same without the server's path of the archive, which is nobody's business.
    pub(super) fn without(mut self, folder: &Path) -> Self {
        let content = folder.join(CONTENT).join("");
        let absolute = std::path::absolute(&content).unwrap_or_else(|_| content.clone());
        let strip = |text: &mut String| {
            *text = [&absolute, &content]
                .iter()
                .fold(text.clone(), |text, path| text.replace(&*path.to_string_lossy(), ""));
        };
        match &mut self {
            Self::Failed { reason } => strip(reason),
            Self::Imported { report } => {
                report.refusals.iter_mut().for_each(strip);
                report.understood.warnings.iter_mut().for_each(strip);
                let omissions = report.understood.omissions.iter_mut();
                omissions.flat_map(|omission| omission.examples.iter_mut()).for_each(strip);
            }
        }
        self
    }
}

/// A folder that is seen whole or not at all.
fn create(root: &Path, upload: &NewUpload, expiry: Duration) -> Result<UploadRecord, DatasetStoreError> {
    let id = Uuid::now_v7();
    let (partial, folder) =
        (UploadFolder(root.join(format!("{PARTIAL}{id}"))), UploadFolder(root.join(id.to_string())));
    let text = serde_json::to_vec(upload)?;
    let write = || {
        fs::create_dir_all(partial.0.join(CONTENT))?;
        File::create_new(partial.content(upload))?;
        write_atomically(&partial.0.join(DESCRIPTION), &text)?;
        models::files::rename_durably(&partial.0, &folder.0)
    };
    write().map_err(DatasetStoreError::io(root))?;
    folder.read(id, expiry)
}

/// The uploads in a folder. What killed processes left of others is removed.
fn list(root: &Path, expiry: Duration) -> Result<Vec<UploadRecord>, DatasetStoreError> {
    let mut uploads = Vec::new();
    for entry in existing(fs::read_dir(root), root)?.into_iter().flatten() {
        let entry = entry.map_err(DatasetStoreError::io(root))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Ok(id) = name.parse::<Uuid>() {
            match UploadFolder(entry.path()).read(id, expiry) {
                Ok(upload) => uploads.push(upload),
                // It was ended meanwhile.
                Err(DatasetStoreError::UnknownUpload(_)) => {}
                Err(error) => return Err(error),
            }
        } else if name.starts_with(PARTIAL) && is_old(&entry.path()) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
    uploads.sort_by_key(|upload| upload.id);
    Ok(uploads)
}

/// Whether whoever wrote a folder is taken for dead.
fn is_old(folder: &Path) -> bool {
    let changed = fs::metadata(folder).and_then(|folder| folder.modified());
    changed.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > models::files::ABANDONED))
}

fn existing<T>(read: io::Result<T>, path: &Path) -> Result<Option<T>, DatasetStoreError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DatasetStoreError::io(path)(error)),
    }
}

/// Refuses an upload that the disk has no room for now.
fn check_room(root: &Path, length: u64) -> Result<(), DatasetStoreError> {
    fs::create_dir_all(root).map_err(DatasetStoreError::io(root))?;
    let disk = rustix::fs::statvfs(root).map_err(|error| DatasetStoreError::io(root)(error.into()))?;
    if disk.f_bavail.saturating_mul(disk.f_frsize) < length {
        return Err(DatasetStoreError::io(root)(ErrorKind::StorageFull.into()));
    }
    Ok(())
}

impl NewUpload {
    /// An upload of so many bytes, called as the client calls it.
    #[must_use]
    pub fn new(length: u64, name: Option<&str>) -> Self {
        let file_name = name.and_then(file_name).unwrap_or_else(|| "upload".to_owned());
        Self { length, file_name, layout: Layout::default(), classes: vec![] }
    }
}
