//! Which files data may come from, and how they are opened.
//!
//! A data set is named by a path, and the path may come from a stranger. Every file of a data set is opened here: it is a
//! regular file, judged on the open handle, it lies where its reader may read, and it is read up to a limit.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, MetadataExt as _, OpenOptionsExt as _};
use rustix::fs::{FileType, OFlags};

/// The largest image file that is read, in bytes. The pixels have limits of their own.
pub(crate) const IMAGE_BYTES: u64 = 512 << 20;
/// The largest table, list of splits or batch of CIFAR-10 that is read, in bytes: a table of a million images takes half.
pub(crate) const TABLE_BYTES: u64 = 128 << 20;

/// The files that a data set may be read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FileAccess {
    /// Every file that the process may read: for a command, which acts for the user who typed it.
    #[default]
    Everywhere,
    /// Files below these folders, whose paths are absolute. No link leads out of them, and a relative path is looked for
    /// in each. A file that does not exist, one that may not be read and one outside of them give the same error.
    Within(Arc<[PathBuf]>),
}

/// [`FileAccess::Everywhere`], to borrow.
pub(crate) static EVERYWHERE: FileAccess = FileAccess::Everywhere;

/// A regular file that is opened anew each time it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    path: Arc<Path>,
    access: FileAccess,
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FolderEntry {
    pub(crate) name: OsString,
    pub(crate) kind: EntryKind,
}

/// The kind of an entry, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    Folder(FolderId),
    /// A link that leads nowhere, or out of the folders that may be read.
    BrokenLink,
    /// A device, pipe or socket.
    Special,
}

/// The same for two paths to one folder: device and inode.
pub(crate) type FolderId = (u64, u64);

impl FileAccess {
    /// The files below these folders.
    #[must_use]
    pub fn within(roots: impl IntoIterator<Item = PathBuf>) -> Self {
        Self::Within(roots.into_iter().collect())
    }

    /// The file at a path, which is not opened yet.
    #[must_use]
    pub fn file(&self, path: impl Into<PathBuf>) -> DataFile {
        DataFile { path: path.into().into(), access: self.clone() }
    }

    /// Whether there is a regular file at a path that may be read.
    #[must_use]
    pub fn is_file(&self, path: &Path) -> bool {
        match self {
            FileAccess::Everywhere => path.is_file(),
            FileAccess::Within(roots) => {
                below(roots, path, |root, path| root.metadata(path)).is_ok_and(|file| file.is_file())
            }
        }
    }

    /// The identity of a folder, if it is one that may be read.
    pub(crate) fn folder_id(&self, folder: &Path) -> Option<FolderId> {
        match self {
            FileAccess::Everywhere => {
                fs::metadata(folder).ok().filter(fs::Metadata::is_dir).map(|folder| (folder.dev(), folder.ino()))
            }
            FileAccess::Within(roots) => below(roots, folder, |root, path| root.metadata(path))
                .ok()
                .filter(cap_std::fs::Metadata::is_dir)
                .map(|folder| (folder.dev(), folder.ino())),
        }
    }

    /// Every entry of a folder, in no particular order. Nothing is opened but the folder.
    ///
    /// # Errors
    /// The operating system's; within folders, always the same one.
    pub(crate) fn entries(&self, folder: &Path) -> io::Result<Vec<FolderEntry>> {
        match self {
            FileAccess::Everywhere => {
                let entries = fs::read_dir(folder)?.map(|entry| {
                    let entry = entry?;
                    let kind = fs::metadata(entry.path())
                        .map_or(EntryKind::BrokenLink, |file| EntryKind::new(file.mode(), (file.dev(), file.ino())));
                    Ok(FolderEntry { name: entry.file_name(), kind })
                });
                entries.collect()
            }
            FileAccess::Within(roots) => below(roots, folder, |root, path| {
                let folder = root.open_dir(path)?;
                let entries = folder.entries()?.map(|entry| {
                    let name = entry?.file_name();
                    let kind = folder
                        .metadata(&name)
                        .map_or(EntryKind::BrokenLink, |file| EntryKind::new(file.mode(), (file.dev(), file.ino())));
                    Ok(FolderEntry { name, kind })
                });
                entries.collect()
            }),
        }
    }
}

impl EntryKind {
    /// By the mode that `stat` gives.
    fn new(mode: u32, id: FolderId) -> Self {
        match FileType::from_raw_mode(mode) {
            FileType::Directory => Self::Folder(id),
            FileType::RegularFile => Self::File,
            _ => Self::Special,
        }
    }
}

impl DataFile {
    /// The path as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file.
    ///
    /// # Errors
    /// The operating system's, or that it is no regular file; within folders, always the same one.
    pub fn open(&self) -> io::Result<File> {
        // Opening a pipe waits for its writer, and opening a terminal may make it the process's own.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        match &self.access {
            FileAccess::Everywhere => match fs::OpenOptions::new().read(true).custom_flags(flags).open(&self.path) {
                Ok(file) => regular(file),
                // A socket cannot be opened at all, and some devices by few.
                Err(error) => Err(fs::metadata(&self.path).ok().and_then(|kind| irregular(&kind)).unwrap_or(error)),
            },
            FileAccess::Within(roots) => below(roots, &self.path, |root, path| {
                let mut options = cap_std::fs::OpenOptions::new();
                regular(root.open_with(path, options.read(true).custom_flags(flags))?.into_std())
            }),
        }
    }

    /// Its size in bytes.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.open()?.metadata()?.len())
    }

    /// All its bytes, at most so many. The size that the system tells is not believed: some files have none.
    ///
    /// # Errors
    /// As [`open`](Self::open), and for a file of more bytes.
    pub fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open()?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit { Err(too_large(limit)) } else { Ok(bytes) }
    }
}

/// The error for a file or a member of more bytes than are read.
pub(crate) fn too_large(limit: u64) -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {} MiB, the limit", limit >> 20))
}

fn regular(file: File) -> io::Result<File> {
    irregular(&file.metadata()?).map_or(Ok(file), Err)
}

/// The error for anything but a regular file.
fn irregular(kind: &fs::Metadata) -> Option<io::Error> {
    let what = if kind.is_dir() { "a folder" } else { "a device, pipe or socket" };
    (!kind.is_file()).then(|| io::Error::other(format!("it is {what}, not a file")))
}

/// Looks for a path in each root, and hides why it is in none: the reason tells a stranger what else the machine has.
fn below<T>(roots: &[PathBuf], path: &Path, look: impl Fn(&Dir, &Path) -> io::Result<T>) -> io::Result<T> {
    let mut within = roots.iter().filter_map(|root| {
        let relative = if path.is_absolute() { path.strip_prefix(root).ok()? } else { path };
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let folder = Dir::open_ambient_dir(root, ambient_authority()).ok()?;
        look(&folder, relative).ok()
    });
    within.next().ok_or_else(|| {
        let text = "no file or folder below a data root is readable under this path; --data-root names data roots";
        io::Error::new(ErrorKind::NotFound, text)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, Mode, mknodat};

    use super::*;

    /// A data root beside a secret, with links and a pipe in it.
    fn roots() -> (tempfile::TempDir, FileAccess) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("set")).unwrap();
        fs::write(folder.path().join("secret"), "token").unwrap();
        fs::write(root.join("set/a.csv"), "a.jpg,rose\n").unwrap();
        symlink(folder.path().join("secret"), root.join("absolute")).unwrap();
        symlink("../../secret", root.join("set/relative")).unwrap();
        symlink("a.csv", root.join("set/inside")).unwrap();
        symlink(folder.path(), root.join("up")).unwrap();
        mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let access = FileAccess::within([root]);
        (folder, access)
    }

    #[test]
    fn files_below_a_root_are_read_by_absolute_and_by_relative_paths() {
        let (folder, access) = roots();
        let root = folder.path().join("root");
        let paths = [root.join("set/a.csv"), "set/a.csv".into(), "set/inside".into(), root.join("set/../set/./a.csv")];
        for path in paths {
            assert_eq!(access.file(&path).read(100).unwrap(), b"a.jpg,rose\n", "{}", path.display());
            assert!(access.is_file(&path));
        }
        let mut entries: Vec<_> = access.entries(&root).unwrap().into_iter().map(|e| (e.name, e.kind)).collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let [absolute, pipe, (_, EntryKind::Folder(_)), up] = &entries[..] else { panic!("{entries:?}") };
        let expected =
            [("absolute", EntryKind::BrokenLink), ("pipe", EntryKind::Special), ("up", EntryKind::BrokenLink)];
        let expected = expected.map(|(name, kind)| (name.into(), kind));
        assert_eq!([absolute, pipe, up], expected.each_ref(), "links out lead nowhere");
        assert_eq!(access.entries(Path::new("set")).unwrap().len(), 3);
    }

    #[test]
    fn missing_forbidden_and_foreign_files_give_one_error() {
        let (folder, access) = roots();
        let root = folder.path().join("root");
        let refused = [
            root.join("missing"),
            root.join("absolute"),
            root.join("set/relative"),
            root.join("up/secret"),
            root.join("../secret"),
            root.join("set"),
            root.join("pipe"),
            root.join("nul\0byte"),
            folder.path().join("secret"),
            "../secret".into(),
            "/etc/passwd".into(),
            "/dev/zero".into(),
            "/proc/self/environ".into(),
            "/proc/self/root/etc/passwd".into(),
            PathBuf::new(),
        ];
        let mut messages: Vec<String> = Vec::new();
        for path in &refused {
            messages.push(access.file(path).read(100).unwrap_err().to_string());
            assert!(!access.is_file(path), "{}", path.display());
        }
        messages.push(access.entries(Path::new("/etc")).unwrap_err().to_string());
        messages.dedup();
        assert_eq!(messages.len(), 1, "{messages:#?}");
        assert!(messages[0].contains("--data-root"), "{}", messages[0]);
    }

    #[test]
    fn without_roots_nothing_is_read() {
        let file = FileAccess::within([]).file("/etc/passwd");
        assert_eq!(file.open().unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn devices_and_pipes_are_no_files_and_are_refused_at_once() {
        let (folder, _) = roots();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [PathBuf::from("/dev/zero"), folder.path().join("root/pipe"), socket] {
            let error = FileAccess::Everywhere.file(&path).read(100).unwrap_err();
            assert_eq!(error.to_string(), "it is a device, pipe or socket, not a file", "{}", path.display());
        }
        let error = FileAccess::Everywhere.file(folder.path()).read(100).unwrap_err();
        assert_eq!(error.to_string(), "it is a folder, not a file");
    }

    #[test]
    fn a_file_is_read_up_to_the_limit_and_no_further() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = FileAccess::Everywhere.file(&path).read(1 << 20).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::FileTooLarge, "it has more than 1 MiB, the limit")
        );
        fs::write(&path, [7; 100]).unwrap();
        assert_eq!(FileAccess::Everywhere.file(&path).read(100).unwrap().len(), 100);
    }
}
