//! One writer at a time in the folder of a model.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The lock's file in the folder of a model.
const LOCK_FILE: &str = ".lock";
/// How long another process may hold the lock: it renames a folder, or removes some.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the lock is tried.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// The folder of a model, for as long as this is there. The system releases the lock of a process that is killed.
pub(super) struct WriteLock {
    _file: File,
}

impl WriteLock {
    /// Waits for the lock.
    ///
    /// # Errors
    /// The operating system's, or that another process keeps the lock.
    pub(super) fn take(folder: &Path) -> io::Result<Self> {
        let file = File::options().create(true).truncate(false).write(true).open(folder.join(LOCK_FILE))?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if started.elapsed() < PATIENCE => sleep(TRY_EVERY),
                Err(TryLockError::WouldBlock) => {
                    let text = "another process has been writing a version for a minute; if it is paused, end it";
                    return Err(io::Error::other(text));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}
