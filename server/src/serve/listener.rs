//! Accepting connections, and how many.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::connection::{Connection, Routers};
use super::signals::told;
use super::stream::Timeouts;
use super::tls::Certificates;
use crate::config::HttpLimits;
use crate::http::connection::{ConnectionClass, ConnectionState, Phase};
use crate::http::state::AppState;
use crate::metrics::{ConnectionEnd, Metrics};

/// Connections beyond the limit, so that health checks are answered when strangers hold all others. When they are taken as well,
/// the newest takes the place of the one that has waited longest: a health check has its answer before sixteen more have come.
const RESERVE: usize = 16;
/// Files for everything that is no connection: models, the database, the training process.
const OTHER_FILES: u64 = 256;
/// A connection of the reserve has to make room soon.
const RESERVE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long accepting rests when the system has no file left.
const NO_FILE_LEFT: Duration = Duration::from_millis(200);

/// Room for connections, which all ports share.
#[derive(Debug, Clone)]
pub(super) struct ConnectionRoom {
    ordinary: Arc<Semaphore>,
    reserve: Arc<Reserve>,
}

impl ConnectionRoom {
    pub(super) fn new(limits: &HttpLimits) -> Self {
        let connections = affordable(limits.connections).min(Semaphore::MAX_PERMITS);
        Self { ordinary: Arc::new(Semaphore::new(connections)), reserve: Arc::default() }
    }
}

/// The connections of the reserve, the oldest first.
#[derive(Debug, Default)]
struct Reserve(Mutex<VecDeque<(ConnectionState, AbortHandle)>>);

impl Reserve {
    /// Whether there is a place: a free one, or that of the connection that has waited longest without a request to answer.
    fn make_room(&self) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(_, task)| !task.is_finished());
        if held.len() < RESERVE {
            return true;
        }
        let waiting = held.iter().position(|(state, _)| !matches!(state.phase(), Phase::Body | Phase::Answer));
        let Some((state, task)) = waiting.and_then(|place| held.remove(place)) else { return false };
        state.time_out(ConnectionEnd::Refused);
        task.abort();
        true
    }

    fn add(&self, state: ConnectionState, task: AbortHandle) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back((state, task));
    }
}

/// A bound socket with its limits.
pub(super) struct Listener {
    socket: TcpListener,
    room: ConnectionRoom,
    timeouts: Timeouts,
    metrics: Metrics,
    certificates: Option<Arc<Certificates>>,
}

impl Listener {
    pub(super) fn new(
        socket: TcpListener,
        state: &AppState,
        room: ConnectionRoom,
        certificates: Option<Arc<Certificates>>,
    ) -> Self {
        let limits = &state.limits;
        Self {
            socket,
            room,
            timeouts: Timeouts { header: limits.header_timeout, idle: limits.idle_timeout },
            metrics: state.metrics.clone(),
            certificates,
        }
    }

    /// Serves connections until told to stop, then those that are open to the end of their requests.
    pub(super) async fn serve(self, routers: Routers, mut stopped: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = told(&mut stopped) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if let Some(connection) = self.admit(stream, peer, stopped.clone()) {
                        let state = connection.state.clone();
                        let task = connections.spawn(connection.serve(routers.clone()));
                        if state.of_reserve() {
                            self.room.reserve.add(state, task);
                        }
                    }
                }
                Err(error) => rest_after(&error).await,
            }
            while connections.try_join_next().is_some() {}
        }
        drop(self.socket);
        while connections.join_next().await.is_some() {}
    }

    /// `None` when the whole reserve is being answered; the connection is closed then.
    fn admit(&self, stream: TcpStream, peer: SocketAddr, stopped: watch::Receiver<bool>) -> Option<Connection> {
        let (class, permit, timeouts) = if let Ok(permit) = self.room.ordinary.clone().try_acquire_owned() {
            (ConnectionClass::Ordinary, Some(permit), self.timeouts)
        } else if self.room.reserve.make_room() {
            let timeouts = Timeouts { header: RESERVE_TIMEOUT, idle: RESERVE_TIMEOUT };
            (ConnectionClass::Reserve, None, timeouts)
        } else {
            self.metrics.refused(ConnectionEnd::Refused);
            return None;
        };
        // Answers are small and written at once; waiting for more to send with them only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        Some(Connection {
            stream,
            state: ConnectionState::new(peer.ip(), class),
            timeouts,
            metrics: self.metrics.clone(),
            certificates: self.certificates.clone(),
            stopped,
            permit,
        })
    }
}

/// A client that went before it was accepted is no reason to rest; a lack of files passes when a connection ends.
async fn rest_after(error: &io::Error) {
    let gone = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionReset];
    if !gone.contains(&error.kind()) {
        tracing::error!(%error, "cannot accept connections");
        sleep(NO_FILE_LEFT).await;
    }
}

/// As many of these connections as there may be open files, after the soft limit is raised to the hard one.
fn affordable(configured: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
    let Some(files) = getrlimit(Resource::Nofile).current else { return configured };
    let affordable = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    let connections = configured.min(affordable.saturating_sub(RESERVE)).max(1);
    if connections < configured {
        tracing::warn!(files, connections, configured, "the limit of open files allows fewer connections");
    }
    connections
}
