//! The folder of one upload.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

use crate::datasets::stored::file_name;

/// How the folders of uploads begin.
const PREFIX: &str = "upload-";
/// How old a folder is when the server that made it is taken for dead.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// The folder of one upload, removed on drop.
#[derive(Debug)]
pub struct IncomingFolder(TempDir);

/// A file that is being written.
#[derive(Debug)]
pub struct IncomingFile {
    file: tokio::fs::File,
    name: String,
}

impl IncomingFolder {
    /// A new folder below this one. Those of dead processes are removed.
    pub(super) async fn new(root: &Path, bytes: u64) -> io::Result<Self> {
        let root = root.to_owned();
        let make = move || {
            fs::create_dir_all(&root)?;
            remove_abandoned(&root)?;
            let disk = rustix::fs::statvfs(&root)?;
            if disk.f_bavail.saturating_mul(disk.f_frsize) < bytes {
                return Err(io::ErrorKind::StorageFull.into());
            }
            tempfile::Builder::new().prefix(PREFIX).tempdir_in(&root).map(Self)
        };
        spawn_blocking(make).await.unwrap_or_else(|error| Err(io::Error::other(error.to_string())))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
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
        let path: PathBuf = self.path().join(&name);
        let file = tokio::fs::File::create_new(path).await?;
        Ok(IncomingFile { file, name })
    }
}

impl IncomingFile {
    /// Adds bytes.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await
    }

    /// Ends the file, and returns its name.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn finish(mut self) -> io::Result<String> {
        self.file.flush().await?;
        Ok(self.name)
    }
}

fn remove_abandoned(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)?.flatten() {
        let changed = entry.metadata().and_then(|file| file.modified()).ok();
        let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if age.is_some_and(|age| age > ABANDONED)
            && entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
        {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_keep_their_names_and_leave_no_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = IncomingFolder::new(root.path(), 1).await.unwrap();
        let mut names = Vec::new();
        for (name, expected) in [
            (Some("flowers.onnx"), "flowers.onnx"),
            (Some("../../etc/passwd"), "passwd"),
            (Some("--labels"), "labels"),
            (None, "model"),
        ] {
            let mut file = folder.file(name, "model").await.unwrap();
            file.write(b"bytes").await.unwrap();
            names.push((file.finish().await.unwrap(), expected));
        }
        assert!(names.iter().all(|(name, expected)| name == expected), "{names:?}");
        assert_eq!(folder.file(Some("passwd"), "model").await.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_disk_without_room_is_told_before_anything_is_sent() {
        let root = tempfile::tempdir().unwrap();
        let error = IncomingFolder::new(root.path(), u64::MAX).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
