//! A client's bytes, with a limit to its patience: how long the head of a request, the next request, and taking an answer
//! may take.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;

use super::socket::Socket;
use crate::http::connection::{ConnectionState, Phase};
use crate::metrics::ConnectionEnd;

/// How long a connection may wait for its client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// For the head of a request.
    pub(super) header: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
}

/// A client that takes nothing of its answer for so long has gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// The bytes below HTTP.
pub(super) enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// A connection's stream with its timers.
pub(super) struct ClientStream {
    transport: Transport,
    state: ConnectionState,
    timeouts: Timeouts,
    /// The number of the phase that the read timer runs for.
    timed: u32,
    read_timer: Pin<Box<Sleep>>,
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl ClientStream {
    pub(super) fn new(transport: Transport, state: ConnectionState, timeouts: Timeouts) -> Self {
        let read_timer = Box::pin(sleep(timeouts.header));
        Self { transport, timed: state.phase_number(), state, timeouts, read_timer, write_timer: None }
    }

    /// The timer of the phase; none runs while a body or an answer is on its way, whose limits are elsewhere.
    fn poll_read_timer(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let phase = self.state.phase();
        let (patience, end) = match phase {
            Phase::First | Phase::Head => (self.timeouts.header, ConnectionEnd::HeaderTimeout),
            Phase::Idle => (self.timeouts.idle, ConnectionEnd::IdleTimeout),
            Phase::Body | Phase::Answer => return Poll::Pending,
        };
        let number = self.state.phase_number();
        if number != self.timed {
            self.timed = number;
            self.read_timer.as_mut().reset(Instant::now() + patience);
        }
        self.read_timer.as_mut().poll(cx).map(|()| self.too_slow(end))
    }

    fn poll_write_timer(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(sleep(WRITE_PATIENCE)));
        timer.as_mut().poll(cx).map(|()| self.too_slow(ConnectionEnd::WriteTimeout))
    }

    fn too_slow(&self, end: ConnectionEnd) -> io::Error {
        self.state.time_out(end);
        io::ErrorKind::TimedOut.into()
    }

    fn watch_write<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.write_timer = None;
            return progress;
        }
        self.poll_write_timer(cx).map(Err)
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        if read.is_pending() {
            return this.poll_read_timer(cx).map(Err);
        }
        if this.state.phase() == Phase::Idle && buf.filled().len() > before {
            this.state.enter(Phase::Head);
        }
        read
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let progress = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        this.watch_write(cx, progress)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let progress = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        this.watch_write(cx, progress)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let progress = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        };
        this.watch_write(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self.transport, Transport::Plain(_))
    }
}
