//! The TCP stream of a connection, shared by HTTP, which reads and writes it, and by the watch over its client.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP stream with several owners; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Socket(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stream: TcpStream,
    /// Whether bytes wait for room in the system's buffer.
    blocked: AtomicBool,
}

/// What the peer has done to the stream, as far as it can be seen here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PeerState {
    /// It has closed nothing.
    Open,
    /// It has closed its sending half: it waits for an answer, or has gone.
    HalfClosed,
    /// Nobody waits for an answer any more.
    Gone,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Shared { stream, blocked: AtomicBool::new(false) }))
    }

    /// Looks at the peer without waiting and without taking any of its bytes. A peer with bytes that nobody has read yet
    /// counts as open.
    pub(super) fn peer(&self) -> PeerState {
        let stream = &self.0.stream;
        if !matches!(stream.take_error(), Ok(None)) {
            return PeerState::Gone;
        }
        // The stream is one that never waits.
        match SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]) {
            Ok(0) => PeerState::HalfClosed,
            Ok(_) => PeerState::Open,
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => PeerState::Open,
            Err(_) => PeerState::Gone,
        }
    }

    /// Waits for the first byte that nobody has read yet, and leaves it there; `None` at the end of the stream.
    pub(super) async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        let length = self.0.stream.peek(&mut byte).await?;
        Ok((length > 0).then_some(byte[0]))
    }

    /// Sends bytes that belong to no answer. While an answer waits for room they are left out: the peer's system tells the
    /// same about the answer.
    ///
    /// # Errors
    /// When the peer has gone.
    pub(super) fn interject(&self, bytes: &[u8]) -> io::Result<()> {
        if self.0.blocked.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.0.stream.try_write(bytes) {
            Ok(sent) if sent == bytes.len() => Ok(()),
            // The rest could not be told from the answer.
            Ok(_) => Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn poll_send(
        &self,
        cx: &mut Context<'_>,
        send: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let stream = &self.0.stream;
        let progress = loop {
            match stream.poll_write_ready(cx) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => match send(stream) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    sent => break Poll::Ready(sent),
                },
            }
        };
        self.0.blocked.store(progress.is_pending(), Ordering::Relaxed);
        progress
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = &self.0.stream;
        loop {
            ready!(stream.poll_read_ready(cx))?;
            match stream.try_read_buf(buf) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match SockRef::from(&self.0.stream).shutdown(Shutdown::Write) {
            // A peer that has gone has shut down both sides.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            done => done,
        })
    }
}
