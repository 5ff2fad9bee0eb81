//! The folder of one upload.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

use super::UploadedFile;
use crate::datasets::stored::file_name;

/// How the folders of uploads begin.
pub(super) const PREFIX: &str = "upload-";
/// In the folder of an upload. No file of a client has a name that begins with a dot.
const LOCK_FILE: &str = ".lock";
/// How often a folder is made anew that was removed in the moment before it was locked.
const TRIES: usize = 8;

/// Where the folders of uploads are; cheap enough to clone.
#[derive(Debug, Clone)]
pub struct ImportFolders(pub(super) PathBuf);

/// The folder of one upload, removed on drop. The system releases its lock when the process is killed, which tells others that
/// nobody owns it.
#[derive(Debug)]
pub struct IncomingFolder {
    folder: TempDir,
    _lock: File,
}

/// A file that is being written.
pub struct IncomingFile {
    file: tokio::fs::File,
    name: String,
    bytes: u64,
    hash: Sha256,
}

impl ImportFolders {
    /// Below this folder, which is made when the first upload comes.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self(root)
    }

    /// A folder for the files of one upload, with room for so many bytes.
    ///
    /// # Errors
    /// When it cannot be made, or the disk has no such room.
    pub async fn create(&self, bytes: u64) -> io::Result<IncomingFolder> {
        let root = self.0.clone();
        let make = move || {
            fs::create_dir_all(&root)?;
            let disk = rustix::fs::statvfs(&root)?;
            if disk.f_bavail.saturating_mul(disk.f_frsize) < bytes {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let made = (0..TRIES).find_map(|_| locked(&root).transpose());
            made.unwrap_or_else(|| Err(io::Error::other("every new folder of an upload is removed at once")))
        };
        spawn_blocking(make).await.unwrap_or_else(|error| Err(io::Error::other(error.to_string())))
    }
}

/// A new folder with its lock; `None` if whoever removes what nobody owns was faster.
fn locked(root: &Path) -> io::Result<Option<IncomingFolder>> {
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(root)?;
    let lock = match lock(folder.path()) {
        Ok(Some(lock)) => lock,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(folder.path().try_exists()?.then_some(IncomingFolder { folder, _lock: lock }))
}

/// The lock of a folder; `None` if somebody has it. A file, because network file systems lock nothing that is open to be read alone.
pub(super) fn lock(folder: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(folder.join(LOCK_FILE))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

impl IncomingFolder {
    /// Where the files lie.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its name, by which a job finds it.
    #[must_use]
    pub fn name(&self) -> String {
        self.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A new file, called as the client calls it, or like this where that is no name.
    ///
    /// # Errors
    /// The operating system's; `AlreadyExists` for a name that another file of the upload has.
    pub async fn file(&self, name: Option<&str>, otherwise: &str) -> io::Result<IncomingFile> {
        let name = name.and_then(file_name).unwrap_or_else(|| otherwise.to_owned());
        // A name is an argument of a command, too, which must not take it for an option.
        let name = name.trim_start_matches('-').to_owned();
        let name = if name.is_empty() { otherwise.to_owned() } else { name };
        let file = tokio::fs::File::create_new(self.path().join(&name)).await?;
        Ok(IncomingFile { file, name, bytes: 0, hash: Sha256::new() })
    }

    /// Brings the names of the files, and that of the folder, onto the disk; the files themselves are there.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn settle(&self) -> io::Result<()> {
        let folders = [Some(self.path().to_owned()), self.path().parent().map(Path::to_owned)];
        let sync = move || folders.into_iter().flatten().try_for_each(|folder| File::open(folder)?.sync_all());
        spawn_blocking(sync).await.unwrap_or_else(|error| Err(io::Error::other(error.to_string())))
    }

    /// Leaves the folder to the job that names it.
    pub fn hand_over(self) {
        let _path = self.folder.keep();
    }
}

impl IncomingFile {
    /// Adds bytes.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).await
    }

    /// Ends the file, which is on the disk then.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn finish(mut self) -> io::Result<UploadedFile> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        Ok(UploadedFile { name: self.name, bytes: self.bytes, sha256: hex::encode(self.hash.finalize()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_keep_their_names_and_leave_no_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = ImportFolders::new(root.path().to_owned()).create(1).await.unwrap();
        let mut names = Vec::new();
        for (name, expected) in [
            (Some("flowers.onnx"), "flowers.onnx"),
            (Some("../../etc/passwd"), "passwd"),
            (Some("--labels"), "labels"),
            (None, "model"),
        ] {
            let mut file = folder.file(name, "model").await.unwrap();
            file.write(b"ab").await.unwrap();
            file.write(b"c").await.unwrap();
            let file = file.finish().await.unwrap();
            // `printf abc | sha256sum`
            assert_eq!(file.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
            assert_eq!(file.bytes, 3);
            names.push((file.name, expected));
        }
        assert!(names.iter().all(|(name, expected)| name == expected), "{names:?}");
        let again = folder.file(Some("passwd"), "model").await;
        assert_eq!(again.err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        folder.settle().await.unwrap();
        let hidden = folder.file(Some(".lock"), "model").await.unwrap().finish().await.unwrap();
        assert_eq!(hidden.name, "lock", "the lock is no file of a client");
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_folder_that_was_handed_over_stays() {
        let root = tempfile::tempdir().unwrap();
        let folder = ImportFolders::new(root.path().to_owned()).create(1).await.unwrap();
        let path = folder.path().to_owned();
        assert!(lock(&path).unwrap().is_none(), "its request has it");
        folder.hand_over();
        assert!(path.exists() && lock(&path).unwrap().is_some());
    }

    #[tokio::test]
    async fn a_disk_without_room_is_told_before_anything_is_sent() {
        let root = tempfile::tempdir().unwrap();
        let error = ImportFolders::new(root.path().to_owned()).create(u64::MAX).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
