//! The bytes of images, each under its checksum.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use models::files::write_atomically;
use models::preprocess::{Limits, thumbnail};
use tempfile::Builder;
use trainer::data::{Checksum, DatasetFolder};

use super::DatasetStoreError;

/// The longer side of a thumbnail, in pixels.
pub const THUMBNAIL_SIDE: u32 = 256;
/// Of more files than these the whole file system is synced at once.
const FEW: usize = 64;
/// The lock's file in the folder of a data set.
const LOCK_FILE: &str = ".lock";

/// Held while files are written that no row names yet, so that nobody takes them for left over. The system releases the
/// lock of a process that is killed.
pub(super) struct WriteGuard {
    _file: File,
}

impl WriteGuard {
    /// Shared with other writers; waits for whoever removes files, which is a moment.
    pub(super) fn take(folder: &DatasetFolder) -> Result<Self, DatasetStoreError> {
        let file = lock_file(folder)?;
        file.lock_shared().map_err(DatasetStoreError::io(folder.path()))?;
        Ok(Self { _file: file })
    }

    /// Alone, or not at all.
    pub(super) fn take_alone(folder: &DatasetFolder) -> Result<Option<Self>, DatasetStoreError> {
        let file = lock_file(folder)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(DatasetStoreError::io(folder.path())(error)),
        }
    }
}

fn lock_file(folder: &DatasetFolder) -> Result<File, DatasetStoreError> {
    let path = folder.path().join(LOCK_FILE);
    File::options().create(true).truncate(false).write(true).open(&path).map_err(DatasetStoreError::io(&path))
}

/// Writes the bytes of an image, all at once, unless they are there. They survive a power failure when [`settle`] is done.
pub(super) fn put(folder: &DatasetFolder, bytes: &[u8]) -> Result<Checksum, DatasetStoreError> {
    let checksum = Checksum::of(bytes);
    let path = folder.image(&checksum);
    if fs::metadata(&path).is_ok_and(|file| file.len() == bytes.len() as u64) {
        return Ok(checksum);
    }
    // Not with the folders above: that of a data set which was deleted meanwhile must not come back.
    let write = |parent: &Path| {
        match fs::create_dir(parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let mut file = Builder::new().prefix(".").suffix(".partial").tempfile_in(parent)?;
        file.write_all(bytes)?;
        file.persist(&path).map_err(|error| error.error).map(drop)
    };
    write(path.parent().unwrap_or(folder.path())).map_err(DatasetStoreError::io(&path))?;
    Ok(checksum)
}

/// Waits until these files are on the disk with their names.
pub(super) fn settle(folder: &DatasetFolder, images: &[Checksum]) -> Result<(), DatasetStoreError> {
    let failed = DatasetStoreError::io(folder.path());
    if images.len() > FEW {
        return File::open(folder.path()).and_then(|root| Ok(rustix::fs::syncfs(root)?)).map_err(failed);
    }
    let sync = |image: &Checksum| -> io::Result<()> {
        let path = folder.image(image);
        File::open(&path)?.sync_all()?;
        path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    };
    images.iter().try_for_each(sync).map_err(failed)
}

/// Removes the bytes and the thumbnail of an image that no row names. What cannot be removed only takes space.
pub(super) fn remove(folder: &DatasetFolder, image: &Checksum) {
    for path in [folder.image(image), thumbnail_path(folder, image)] {
        drop(fs::remove_file(path));
    }
}

/// The thumbnail of an image, made if it was not yet.
pub(super) fn thumbnail_of(
    folder: &DatasetFolder,
    image: &Checksum,
    limits: &Limits,
) -> Result<Vec<u8>, DatasetStoreError> {
    let path = thumbnail_path(folder, image);
    if let Ok(bytes) = fs::read(&path) {
        return Ok(bytes);
    }
    let original = folder.image(image);
    let bytes = fs::read(&original).map_err(DatasetStoreError::io(&original))?;
    let small = thumbnail(&bytes, THUMBNAIL_SIDE, limits)?;
    let parent = path.parent().unwrap_or(folder.path());
    fs::create_dir_all(parent).and_then(|()| write_atomically(&path, &small)).map_err(DatasetStoreError::io(&path))?;
    Ok(small)
}

fn thumbnail_path(folder: &DatasetFolder, image: &Checksum) -> std::path::PathBuf {
    let name = image.to_string();
    folder.path().join("thumbnails").join(&name[..2]).join(format!("{name}.jpg"))
}
