//! One connection of HTTP/2, whose requests come side by side.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::time::timeout;
use tower::Service;

use super::signals::told;
use super::stream::ClientStream;
use crate::http::connection::{ConnectionState, Phase};
use crate::metrics::ConnectionEnd;

/// Requests of a connection at a time. RFC 9113, 6.5.2 recommends no fewer; clients hold back what is more.
const REQUESTS: u32 = 100;
/// The heads of a request, unpacked.
const HEAD_BYTES: u32 = 64 << 10;
/// Bytes that a client may send before they are read.
const WINDOW: u32 = 512 << 10;
/// How long a client has for taking its last answers and for saying that it knows of the end.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// What answers the requests of a connection.
pub(super) struct Streams {
    pub(super) router: Router,
    pub(super) state: ConnectionState,
    pub(super) idle: Duration,
    pub(super) stopped: watch::Receiver<bool>,
}

impl Streams {
    /// Answers requests until the connection ends. One that is idle, or of a server that stops, is told which requests will still be
    /// answered, so that its client sends others elsewhere (GOAWAY).
    pub(super) async fn serve(self, stream: ClientStream) -> hyper::Result<()> {
        let Self { router, state, idle, mut stopped } = self;
        // The stream's timers are those of requests that come one after another.
        state.enter(Phase::Answer);
        let (running, watched) = watch::channel(0);
        let service = service_fn(|request: hyper::Request<Incoming>| {
            let running = Running::begin(running.clone());
            answer(router.clone(), request.map(axum::body::Body::new), state.clone(), running)
        });
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(REQUESTS)
            .max_header_list_size(HEAD_BYTES)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = &mut connection => return ended,
            () = told(&mut stopped) => {}
            () = idle_for(idle, watched.clone()) => state.time_out(ConnectionEnd::IdleTimeout),
        }
        connection.as_mut().graceful_shutdown();
        // A client that takes nothing and acknowledges nothing has gone.
        tokio::select! {
            ended = connection => ended,
            () = idle_for(LAST_ANSWERS, watched) => Ok(()),
        }
    }
}

async fn answer(
    mut router: Router,
    mut request: Request,
    state: ConnectionState,
    _running: Running,
) -> Result<Response, Infallible> {
    request.extensions_mut().insert(state);
    router.call(request).await
}

/// Returns when no request has begun or ended for so long, and none runs.
async fn idle_for(patience: Duration, mut running: watch::Receiver<u32>) {
    loop {
        let none = *running.borrow_and_update() == 0;
        let changed = match none {
            true => match timeout(patience, running.changed()).await {
                Ok(changed) => changed,
                Err(_elapsed) => return,
            },
            false => running.changed().await,
        };
        if changed.is_err() {
            // The connection has ended, and says so itself.
            std::future::pending::<()>().await;
        }
    }
}

/// A request that is being answered, in the count of its connection.
struct Running(watch::Sender<u32>);

impl Running {
    fn begin(count: watch::Sender<u32>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test]
    async fn a_connection_is_idle_from_the_end_of_its_last_request() {
        const PATIENCE: Duration = Duration::from_millis(400);
        let (count, watched) = watch::channel(0);
        let idle = tokio::spawn(async move {
            idle_for(PATIENCE, watched).await;
            Instant::now()
        });
        let running = Running::begin(count.clone());
        sleep(2 * PATIENCE).await;
        assert!(!idle.is_finished(), "a request runs");
        // One that is over before anybody looks counts as well.
        drop(running);
        drop(Running::begin(count.clone()));
        let over = Instant::now();
        assert!(idle.await.unwrap() - over >= PATIENCE);
    }
}
