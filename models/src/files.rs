//! Publishing files so that a reader sees the whole of one or nothing.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::{Builder, NamedTempFile};

/// After how long without a write a temporary file of a shared folder is abandoned.
pub const ABANDONED: Duration = Duration::from_secs(3600);

/// How the names of temporary files end.
const UNFINISHED: &str = ".partial";

/// A file under a temporary name beside its target. [`commit`](Self::commit) moves it there; a drop without one removes
/// it, and the target stays as it was.
#[derive(Debug)]
pub struct AtomicFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    /// Opens an empty temporary file in the folder of `path`, which must exist.
    ///
    /// # Errors
    /// The operating system's, when it cannot create a file there.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = builder().suffix(UNFINISHED).tempfile_in(folder(path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Its name until it is committed.
    #[must_use]
    pub fn temporary_path(&self) -> &Path {
        self.file.path()
    }

    /// Makes the content durable and visible: syncs the file, replaces whatever has its target's name, syncs the folder.
    ///
    /// # Errors
    /// The operating system's. The target is then the old file or the new one, never a mixture.
    pub fn commit(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path).map_err(|error| error.error)?;
        sync_folder(folder(&self.path))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a file of these bytes, durably and all at once: see [`AtomicFile`].
///
/// # Errors
/// The operating system's; the target is then unchanged, unless only syncing its folder failed.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// Writes a file that is not there yet, and syncs it: for a folder that gets its name when it is whole.
///
/// # Errors
/// The operating system's, as of a file that is there.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes temporary files that interrupted writers left in a folder. Only for a folder with one writer at a time: it cannot
/// tell another's unfinished file from an abandoned one.
///
/// # Errors
/// The operating system's.
pub fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_unfinished(&entry.file_name()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes temporary files that nobody has written to for this long: what killed writers left in a folder that others may
/// be writing to.
///
/// # Errors
/// The operating system's, when the folder cannot be read. A file that another process removes first is none.
pub fn remove_abandoned(folder: &Path, age: Duration) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let written = entry.metadata().and_then(|file| file.modified());
        if is_unfinished(&entry.file_name()) && written.is_ok_and(|time| time.elapsed().is_ok_and(|idle| idle >= age)) {
            fs::remove_file(entry.path()).ok();
        }
    }
    Ok(())
}

fn is_unfinished(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(UNFINISHED))
}

/// Gives a complete and synced file its final name, durably: renames it and syncs the folder that it is in then.
///
/// # Errors
/// The operating system's.
pub fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(folder(to))
}

/// `tempfile` makes files for their owner alone. These are published, so they get what the umask leaves.
#[cfg(unix)]
fn builder() -> Builder<'static, 'static> {
    use std::os::unix::fs::PermissionsExt;
    let mut builder = Builder::new();
    builder.prefix(".").permissions(fs::Permissions::from_mode(0o666));
    builder
}

#[cfg(not(unix))]
fn builder() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".");
    builder
}

/// The folder of a file; the current one for a bare name.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Syncs a folder: a file survives a power failure only together with its name, and a rename only once its folder is on the
/// disk. Elsewhere than on Unix, folders cannot be opened for it.
///
/// # Errors
/// The operating system's.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn a_file_that_is_not_committed_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomically(&path, b"one").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(fs::read(file.temporary_path()).unwrap(), b"half");
        assert_eq!((names(folder.path()).len(), fs::read(&path).unwrap()), (2, b"one".to_vec()));
        drop(file);
        assert_eq!(names(folder.path()), ["a.txt"]);
        // As a killed process leaves it.
        std::mem::forget(AtomicFile::create(&path).unwrap());
        assert_eq!(names(folder.path()).len(), 2);
        remove_abandoned(folder.path(), Duration::from_secs(3600)).unwrap();
        assert_eq!(names(folder.path()).len(), 2, "somebody may be writing it");
        remove_unfinished(folder.path()).unwrap();
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn temporary_files_that_nobody_writes_to_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        std::mem::forget(AtomicFile::create(&folder.path().join("a.txt")).unwrap());
        fs::write(folder.path().join(".b.txt"), b"").unwrap();
        remove_abandoned(folder.path(), Duration::ZERO).unwrap();
        assert_eq!(names(folder.path()), [".b.txt"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_the_operating_systems_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(&folder.path().join("none/a.txt"), b"").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn a_published_file_has_the_permissions_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let [usual, atomic] = ["usual", "atomic"].map(|name| folder.path().join(name));
        fs::write(&usual, b"").unwrap();
        write_atomically(&atomic, b"").unwrap();
        let [usual, atomic] = [usual, atomic].map(|path| fs::metadata(path).unwrap().permissions().mode());
        assert_eq!(usual, atomic);
    }
}
