//! One connection from its start to its end.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;
use tower::Service;

use super::stream::{ClientStream, Transport};
use super::tls::Certificates;
use crate::http::connection::{ConnectionState, Phase};
use crate::metrics::{ConnectionEnd, Metrics};

/// Heads of requests are smaller; a larger one is answered 431.
const HEAD_BYTES: usize = 64 << 10;

/// How long a connection may wait for its client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// For the head of a request.
    pub(super) header: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
}

/// A connection that may be served.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) state: ConnectionState,
    pub(super) timeouts: Timeouts,
    pub(super) metrics: Metrics,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Connection {
    /// Answers its requests until it ends.
    pub(super) async fn serve(self, router: Router) {
        let (metrics, state) = (self.metrics.clone(), self.state.clone());
        metrics.connected();
        // Counted as broken if this task is stopped.
        let mut count = EndCount { metrics, end: ConnectionEnd::Broken };
        let ended = self.answer(router).await;
        let otherwise = if ended.is_ok() { ConnectionEnd::Closed } else { ConnectionEnd::Broken };
        count.end = state.timed_out().unwrap_or(otherwise);
        tracing::debug!(end = ?count.end, "a connection has ended");
    }

    async fn answer(self, router: Router) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let Self { stream, state, timeouts, certificates, mut stopped, permit, .. } = self;
        let transport = match &certificates {
            None => Transport::Plain(stream),
            Some(certificates) => {
                let handshake = timeout(timeouts.header, certificates.accept(stream)).await;
                if handshake.is_err() {
                    state.time_out(ConnectionEnd::HeaderTimeout);
                }
                Transport::Tls(Box::new(handshake??))
            }
        };
        let one_request = state.of_reserve();
        let service = service_fn(|request: hyper::Request<Incoming>| handle(router.clone(), state.clone(), request));
        let stream = TokioIo::new(ClientStream::new(transport, state.clone(), timeouts));
        let mut http = http1::Builder::new();
        let mut connection =
            pin!(http.max_buf_size(HEAD_BYTES).keep_alive(!one_request).serve_connection(stream, service));
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = told(&mut stopped) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        drop(permit);
        ended.map_err(Into::into)
    }
}

/// Waits until the server is told to stop. An error means that the sender is gone, and then the server is going too.
pub(super) async fn told(stopped: &mut watch::Receiver<bool>) {
    let _gone = stopped.wait_for(|stop| *stop).await;
}

async fn handle(
    mut router: Router,
    state: ConnectionState,
    request: hyper::Request<Incoming>,
) -> Result<axum::response::Response, std::convert::Infallible> {
    state.enter(if request.body().is_end_stream() { Phase::Answer } else { Phase::Body });
    let mut request: Request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(state.clone());
    let response = router.call(request).await;
    state.enter(Phase::Idle);
    response
}

struct EndCount {
    metrics: Metrics,
    end: ConnectionEnd,
}

impl Drop for EndCount {
    fn drop(&mut self) {
        self.metrics.disconnected(self.end);
    }
}
