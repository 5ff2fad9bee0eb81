//! Ctrl-C.

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

/// Whether somebody wants the command to end.
#[derive(Debug, Clone, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

/// What a shell makes of a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

impl Interrupt {
    /// Listens for SIGINT and SIGTERM from now on. The first is told to whoever asks; the second ends the process at once.
    pub(super) fn listen() -> Result<Self> {
        let interrupt = Self::default();
        let told = interrupt.clone();
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
                    if told.0.swap(true, Ordering::Relaxed) {
                        exit(INTERRUPTED);
                    }
                }
            });
        });
        Ok(interrupt)
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
