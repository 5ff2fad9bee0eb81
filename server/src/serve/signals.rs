//! The signals that the server obeys.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// SIGTERM, SIGINT and SIGHUP, none of which ends the process by itself any more.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal tells the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Finish and go.
    Stop(Stop),
    /// Read keys and certificates again.
    Reload,
}

/// Who tells the server to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A supervisor: SIGTERM.
    Terminate,
    /// A person: SIGINT.
    Interrupt,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::Stop(Stop::Terminate),
            _ = self.interrupt.recv() => Order::Stop(Stop::Interrupt),
            _ = self.hangup.recv() => Order::Reload,
        }
    }

    /// Waits until the server is told to stop; while it stops already, there is nothing to read again.
    pub(super) async fn stop(&mut self) -> Stop {
        loop {
            if let Order::Stop(stop) = self.next().await {
                return stop;
            }
        }
    }
}

/// Waits until the server is told to stop. An error means that the sender is gone, and then the server is going too.
pub(super) async fn told(stopped: &mut watch::Receiver<bool>) {
    let _gone = stopped.wait_for(|stop| *stop).await;
}
