//! Signals: Ctrl-C, and files that may not grow.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use models::files::AtomicFile;
use tokio::signal::unix::{SignalKind, signal};

/// Whether somebody wants the command to end.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupt(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    requested: AtomicBool,
    /// A temporary file, which must not outlive the process.
    temporary: Mutex<Option<PathBuf>>,
}

/// What a shell makes of a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

impl Interrupt {
    /// Listens for SIGINT and SIGTERM from now on. The first is told to whoever asks; the second ends the process at once.
    pub(super) fn listen() -> Result<Self> {
        let interrupt = Self::default();
        let Self(shared) = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot listen for Ctrl-C")?;
        let signals =
            runtime.block_on(async { Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)) });
        let (mut interrupts, mut terminations) =
            signals.map_err(|error: std::io::Error| error).context("cannot listen for Ctrl-C")?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! { _ = interrupts.recv() => {} _ = terminations.recv() => {} }
                    if shared.requested.swap(true, Ordering::Relaxed) {
                        if let Some(path) = &*shared.temporary.lock().unwrap_or_else(PoisonError::into_inner) {
                            // It may have got its final name meanwhile.
                            drop(fs::remove_file(path));
                        }
                        exit(INTERRUPTED);
                    }
                }
            });
        });
        Ok(interrupt)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.0.requested.load(Ordering::Relaxed)
    }

    /// Creates a file that is removed before a second signal ends the process.
    pub(super) fn create(&self, path: &Path) -> io::Result<AtomicFile> {
        // Locked from before there is a file, so that no signal comes between it and its name.
        let mut temporary = self.0.temporary.lock().unwrap_or_else(PoisonError::into_inner);
        let file = AtomicFile::create(path)?;
        *temporary = Some(file.temporary_path().to_owned());
        Ok(file)
    }
}

/// Lets a write beyond the limit of file sizes (`ulimit -f`) fail, as on a full disk, instead of ending the process.
pub(super) fn survive_large_files() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot listen for signals")?;
    let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // The handler stays when nobody listens any more.
    runtime.block_on(async { signal(kind) }).map(drop).context("cannot listen for signals")
}
