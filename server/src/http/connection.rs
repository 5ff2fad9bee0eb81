//! What a connection and its request tell each other.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use crate::metrics::ConnectionEnd;

/// Where a connection is, shared by its socket and its requests; an extension of every request.
#[derive(Debug, Clone)]
pub struct ConnectionState(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The kind of the phase in the lowest bits, above them its number.
    phase: AtomicU32,
    peer: IpAddr,
    reserve: bool,
    timeout: OnceLock<ConnectionEnd>,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// The head of its first request, from the moment it was accepted.
    First,
    /// Another request; the last one is answered.
    Idle,
    /// The rest of a head.
    Head,
    /// What follows the head of a request.
    Body,
    /// The answer; the request is here.
    Answer,
}

/// The bits of a phase's kind.
const KIND_BITS: u32 = 3;

impl ConnectionState {
    /// A new connection. One of the reserve answers health checks alone.
    #[must_use]
    pub fn new(peer: IpAddr, class: ConnectionClass) -> Self {
        let reserve = class == ConnectionClass::Reserve;
        Self(Arc::new(Shared { phase: AtomicU32::new(Phase::First as u32), peer, reserve, timeout: OnceLock::new() }))
    }

    /// How far its current request is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Acquire) & ((1 << KIND_BITS) - 1) {
            0 => Phase::First,
            1 => Phase::Idle,
            2 => Phase::Head,
            3 => Phase::Body,
            _ => Phase::Answer,
        }
    }

    /// Tells phases of the same kind apart: a connection is idle behind every answer, each time anew.
    #[must_use]
    pub fn phase_number(&self) -> u32 {
        self.0.phase.load(Ordering::Acquire) >> KIND_BITS
    }

    /// Goes on to a phase.
    pub fn enter(&self, phase: Phase) {
        let next = |number: u32| (number >> KIND_BITS).wrapping_add(1) << KIND_BITS | phase as u32;
        // The closure always gives a value, so there is always one.
        let _always = self.0.phase.fetch_update(Ordering::AcqRel, Ordering::Acquire, |number| Some(next(number)));
    }

    /// The body has arrived: what the client sends or closes from now on is not part of the request.
    pub fn body_received(&self) {
        self.enter(Phase::Answer);
    }

    /// The client was too slow, or had to make room. On record here, because HTTP does not report it for a connection without a
    /// request.
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_phase_that_comes_again_has_another_number() {
        let state = ConnectionState::new(Ipv4Addr::LOCALHOST.into(), ConnectionClass::Ordinary);
        assert_eq!((state.phase(), state.phase_number()), (Phase::First, 0));
        for (number, phase) in (1..).zip([Phase::Idle, Phase::Head, Phase::Body, Phase::Answer, Phase::Idle]) {
            state.enter(phase);
            assert_eq!((state.phase(), state.phase_number()), (phase, number));
        }
    }
}
