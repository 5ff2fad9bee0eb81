//! Answers that a thread writes while they are sent.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_blocking;

/// Bytes that are sent at a time.
const CHUNK: usize = 64 << 10;
/// Chunks that wait for the client.
const WAITING: usize = 4;

/// A body of `length` bytes that a blocking function writes. It stops when the client has gone; its error ends the
/// connection before the last byte.
pub(super) fn body(length: u64, write: impl FnOnce(&mut ChunkWriter) -> io::Result<()> + Send + 'static) -> Body {
    let (sender, receiver) = channel(WAITING);
    spawn_blocking(move || {
        let mut writer = ChunkWriter { sender, chunk: Vec::with_capacity(CHUNK) };
        if let Err(error) = write(&mut writer).and_then(|()| writer.flush()) {
            if error.kind() != io::ErrorKind::BrokenPipe {
                tracing::error!(%error, "an answer breaks off");
            }
            // Nobody may be there to hear it.
            drop(writer.sender.blocking_send(Err(error)));
        }
    });
    Body::new(WrittenBody { receiver, left: length })
}

/// Where the bytes of an answer are written to.
pub(super) struct ChunkWriter {
    sender: Sender<io::Result<Bytes>>,
    chunk: Vec<u8>,
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.sender.blocking_send(Ok(chunk.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

struct WrittenBody {
    receiver: Receiver<io::Result<Bytes>>,
    left: u64,
}

impl HttpBody for WrittenBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = std::task::ready!(self.receiver.poll_recv(cx));
        if let Some(Ok(chunk)) = &chunk {
            self.left = self.left.saturating_sub(chunk.len() as u64);
        }
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
