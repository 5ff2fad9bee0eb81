//! What a connection and its request tell each other.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use crate::metrics::ConnectionEnd;

/// Where a connection is, shared by its socket and its requests; an extension of every request.
#[derive(Debug, Clone)]
pub struct ConnectionState(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    phase: AtomicU8,
    peer: IpAddr,
    reserve: bool,
    timeout: OnceLock<ConnectionEnd>,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The head of its first request, from the moment it was accepted.
    First,
    /// Another request; the last one is answered.
    Idle,
    /// The rest of a head.
    Head,
    /// A body.
    Body,
    /// The answer; the request is here.
    Answer,
}

impl ConnectionState {
    /// A new connection. One of the reserve answers health checks alone.
    #[must_use]
    pub fn new(peer: IpAddr, class: ConnectionClass) -> Self {
        let reserve = class == ConnectionClass::Reserve;
        Self(Arc::new(Shared { phase: AtomicU8::new(Phase::First as u8), peer, reserve, timeout: OnceLock::new() }))
    }

    /// Where it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Acquire) {
            0 => Phase::First,
            1 => Phase::Idle,
            2 => Phase::Head,
            3 => Phase::Body,
            _ => Phase::Answer,
        }
    }

    /// Goes on to a phase.
    pub fn enter(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Ordering::Release);
    }

    /// The body has arrived: what the client sends or closes from now on is not part of the request.
    pub fn body_received(&self) {
        self.enter(Phase::Answer);
    }

    /// The client was too slow. On record here, because HTTP does not report it for a connection without a request.
    pub fn time_out(&self, end: ConnectionEnd) {
        let _first = self.0.timeout.set(end);
    }

    /// What the client was too slow for, if it was.
    #[must_use]
    pub fn timed_out(&self) -> Option<ConnectionEnd> {
        self.0.timeout.get().copied()
    }

    /// Whether it was accepted beyond the limit, for health checks.
    #[must_use]
    pub fn of_reserve(&self) -> bool {
        self.0.reserve
    }

    /// The address of the client, or of the proxy before it.
    #[must_use]
    pub fn peer(&self) -> IpAddr {
        self.0.peer
    }
}

/// What a connection may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionClass {
    /// Everything.
    Ordinary,
    /// Health checks: there are too many connections.
    Reserve,
}
