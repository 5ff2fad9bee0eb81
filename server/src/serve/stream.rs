//! A client's bytes, with a limit to its patience: how long the head of a request, the next request, and taking an answer
//! may take.
//!
//! A client may close its sending side as soon as its request is sent and still wait for the answer (`shutdown(2)`, or
//! `nc` at the end of its input). It looks the same as a client that has gone. So while a request is being answered, the
//! end of the stream is not reported at once: an interim answer is sent (`100 Continue`, which RFC 9110, 15.2 lets a
//! server send at any time). The system of a client that has gone refuses it, and the request is given up then.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;

use super::connection::Timeouts;
use crate::http::connection::{ConnectionState, Phase};
use crate::metrics::ConnectionEnd;

/// A client that takes nothing of its answer for so long has gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// How often a stream that has ended is asked whether its client is there.
const PROBE_EVERY: Duration = Duration::from_millis(100);
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The bytes below HTTP.
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection's stream with its timers.
pub(super) struct ClientStream {
    transport: Transport,
    state: ConnectionState,
    timeouts: Timeouts,
    /// What the read timer runs for.
    timed: Phase,
    read_timer: Pin<Box<Sleep>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    half_closed: bool,
}

impl ClientStream {
    pub(super) fn new(transport: Transport, state: ConnectionState, timeouts: Timeouts) -> Self {
        let read_timer = Box::pin(sleep(timeouts.header));
        Self { transport, state, timeouts, timed: Phase::First, read_timer, write_timer: None, half_closed: false }
    }

    /// The timer of the phase; none runs while a body or an answer is on its way, whose limits are elsewhere.
    fn poll_read_timer(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let phase = self.state.phase();
        let (patience, end) = match phase {
            Phase::First | Phase::Head => (self.timeouts.header, ConnectionEnd::HeaderTimeout),
            Phase::Idle => (self.timeouts.idle, ConnectionEnd::IdleTimeout),
            Phase::Body | Phase::Answer => return Poll::Pending,
        };
        if phase != self.timed {
            self.timed = phase;
            self.read_timer.as_mut().reset(Instant::now() + patience);
        }
        self.read_timer.as_mut().poll(cx).map(|()| self.too_slow(end))
    }

    /// Whether the stream's end, which was read while a request is being answered, is the client's end.
    fn poll_presence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Transport::Plain(stream) = &self.transport else {
            // Nobody closes one half of TLS.
            return Poll::Ready(Ok(()));
        };
        if !self.half_closed {
            self.half_closed = true;
            // Nothing else is being written: the request is complete and its answer has not begun.
            if let Err(error) = stream.try_write(INTERIM) {
                return Poll::Ready(Err(error));
            }
            self.read_timer.as_mut().reset(Instant::now() + PROBE_EVERY);
        }
        loop {
            if let Some(error) = stream.take_error()? {
                return Poll::Ready(Err(error));
            }
            ready!(self.read_timer.as_mut().poll(cx));
            self.read_timer.as_mut().reset(Instant::now() + PROBE_EVERY);
        }
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
        if this.half_closed && this.state.phase() == Phase::Answer {
            return this.poll_presence(cx);
        }
        let before = buf.filled().len();
        let read = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        match read {
            Poll::Pending => this.poll_read_timer(cx).map(Err),
            Poll::Ready(Ok(())) if buf.filled().len() == before && this.state.phase() == Phase::Answer => {
                this.poll_presence(cx)
            }
            Poll::Ready(Ok(())) => {
                if this.state.phase() == Phase::Idle && buf.filled().len() > before {
                    this.state.enter(Phase::Head);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
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
