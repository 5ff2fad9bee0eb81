//! One connection from its start to its end.

use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::timeout;
use tower::Service;

use super::client::{ClientWatch, Encryption};
use super::protocol::Protocol;
use super::signals::told;
use super::socket::Socket;
use super::stream::{ClientStream, Timeouts, Transport};
#[cfg(feature = "grpc")]
use super::streams::Streams;
use super::tls::{Certificates, Handshake};
use crate::http::connection::{ConnectionState, Phase};
use crate::metrics::{ConnectionEnd, Metrics};

/// How far the buffer for heads of requests grows before a head that is not whole is answered 431. The last piece that is read
/// may double it.
const HEAD_BYTES: usize = 64 << 10;

/// What answers requests.
#[derive(Debug, Clone)]
pub(super) struct Routers {
    /// What the clients of the port speak.
    pub(super) protocol: Protocol,
    /// What the port is for: the addresses of HTTP, or the calls of gRPC.
    pub(super) interface: Router,
    /// What tells clients that speak HTTP to a port of HTTPS so.
    pub(super) https_only: Router,
}

/// The client did not wait for its answer.
#[derive(Debug, thiserror::Error)]
#[error("the client has gone")]
struct ClientGone;

/// A connection that may be served.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) state: ConnectionState,
    pub(super) timeouts: Timeouts,
    pub(super) metrics: Metrics,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) stopped: watch::Receiver<bool>,
    /// Its place among the ordinary ones.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Answers its requests until it ends.
    pub(super) async fn serve(self, routers: Routers) {
        let (metrics, state) = (self.metrics.clone(), self.state.clone());
        metrics.connected();
        // Counted as broken if this task is stopped and nobody said why.
        let mut count = EndCount { metrics, state, end: ConnectionEnd::Broken };
        if self.answer(routers).await.is_ok() {
            count.end = ConnectionEnd::Closed;
        }
    }

    async fn answer(self, routers: Routers) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let Self { stream, state, timeouts, certificates, mut stopped, permit, .. } = self;
        let socket = Socket::new(stream);
        let (transport, encryption, router) = match &certificates {
            None => (Transport::Plain(socket.clone()), Encryption::None, routers.interface),
            Some(certificates) => {
                let handshake = certificates.accept(socket.clone(), routers.protocol);
                let handshake = timeout(timeouts.header, handshake).await;
                if handshake.is_err() {
                    state.time_out(ConnectionEnd::HeaderTimeout);
                }
                match handshake?? {
                    Handshake::Done(stream) => (Transport::Tls(stream), Encryption::Tls, routers.interface),
                    Handshake::PlainHttp => (Transport::Plain(socket.clone()), Encryption::None, routers.https_only),
                }
            }
        };
        #[cfg(feature = "grpc")]
        if routers.protocol == Protocol::Grpc {
            let streams = Streams { router, state: state.clone(), idle: timeouts.idle, stopped };
            let ended = streams.serve(ClientStream::new(transport, state, timeouts)).await;
            drop(permit);
            return ended.map_err(Into::into);
        }
        // A client that speaks the wrong protocol has to begin again.
        let wrong_protocol = certificates.is_some() && encryption == Encryption::None;
        let one_request = state.of_reserve() || wrong_protocol;
        let watch = ClientWatch { socket, state: state.clone(), encryption };
        let service = service_fn(|request: hyper::Request<Incoming>| handle(router.clone(), watch.clone(), request));
        let stream = TokioIo::new(ClientStream::new(transport, state, timeouts));
        let mut http = http1::Builder::new();
        // The watch tells clients that have gone from clients that have closed their sending half; HTTP cannot.
        http.max_buf_size(HEAD_BYTES).keep_alive(!one_request).half_close(true);
        let mut connection = pin!(http.serve_connection(stream, service));
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

/// Answers a request, or gives it up when its client has gone.
async fn handle(
    mut router: Router,
    watch: ClientWatch,
    request: hyper::Request<Incoming>,
) -> Result<Response, ClientGone> {
    let state = watch.state.clone();
    state.enter(if request.body().is_end_stream() { Phase::Answer } else { Phase::Body });
    let version = request.version();
    let mut request: Request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(state.clone());
    let Ok(response) = tokio::select! {
        biased;
        response = router.call(request) => response,
        () = watch.lost(version) => return Err(ClientGone),
    };
    state.enter(Phase::Idle);
    Ok(response)
}

struct EndCount {
    metrics: Metrics,
    state: ConnectionState,
    end: ConnectionEnd,
}

impl Drop for EndCount {
    fn drop(&mut self) {
        let end = self.state.timed_out().unwrap_or(self.end);
        tracing::debug!(?end, "a connection has ended");
        self.metrics.disconnected(end);
    }
}
