//! The life of the server.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::ServeConfig;
use crate::http::router::router;
use crate::http::state::AppState;
use crate::jobs::{ChildCommand, Runner};
use crate::runtime::SelectedEngine;

/// How long work that cannot be interrupted may hold up the end of the process.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Answers requests and works on jobs until it is told to stop by SIGTERM or SIGINT, then finishes what is in flight. A
/// second signal ends it at once.
///
/// # Errors
/// When the address is taken or the data folder cannot be used.
pub fn serve(config: ServeConfig, engine: SelectedEngine) -> Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(engine.threads.get().max(2)).enable_all().build();
    let runtime = runtime.context("cannot start the threads that answer requests")?;
    let result = runtime.block_on(run(config, engine));
    runtime.shutdown_timeout(LAST_WAIT);
    result
}

async fn run(config: ServeConfig, engine: SelectedEngine) -> Result<()> {
    // Before anything else: as process 1 of a container, signals without a handler are ignored.
    let mut signals = Signals::new().context("cannot listen for signals")?;
    let address = SocketAddr::new(config.host, config.port);
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; if another server has the port, choose one with --port")
    })?;
    let address = listener.local_addr().context("the system does not tell the port")?;
    let command = ChildCommand::of_this_program(&config, &engine).context("cannot find this program")?;
    let state = AppState::open(&config, engine).await?;
    announce(address, &state).context("cannot write to standard output")?;

    let (stop, stopped) = watch::channel(false);
    let registry = state.registry.clone();
    let watching = tokio::spawn(async move { registry.watch().await });
    let lease = Duration::from_secs(config.job_lease_seconds.max(1));
    let runner = Runner::new(state.jobs.clone(), state.registry.clone(), command, lease);
    let jobs = tokio::spawn({
        let stopped = stopped.clone();
        async move { runner.run(stopped).await }
    });
    let listener = listener.tap_io(|connection| {
        // Answers are small and written at once; waiting for more to send with them only delays them.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let mut asked = stopped;
    let server = axum::serve(listener, router(state.clone()).0).with_graceful_shutdown(async move {
        // An error means that the sender is gone, and then the server should go too.
        let _gone = asked.wait_for(|stop| *stop).await;
    });
    let mut server = tokio::spawn(async move { server.await });

    tokio::select! {
        ended = &mut server => return ended.context("the server panicked")?.context("the server failed"),
        () = signals.received() => {}
    }
    tracing::info!(drain_seconds = config.drain_seconds, "shutting down");
    state.draining.begin();
    stop.send_replace(true);
    watching.abort();
    let finish = async {
        let (server, jobs) = tokio::join!(&mut server, jobs);
        jobs.context("the job runner panicked")?;
        server.context("the server panicked")?.context("the server failed")
    };
    drain(finish, Duration::from_secs(config.drain_seconds), &mut signals).await
}

/// Waits for what is in flight, for so long or until a second signal.
async fn drain(finish: impl Future<Output = Result<()>>, patience: Duration, signals: &mut Signals) -> Result<()> {
    tokio::select! {
        finished = timeout(patience, finish) => match finished {
            Ok(result) => result,
            Err(_) => {
                tracing::warn!("requests are still in flight after the time they had; they are cut off");
                Ok(())
            }
        },
        () = signals.received() => {
            tracing::warn!("told to stop again; requests in flight are cut off");
            Ok(())
        }
    }
}

/// Tells a person where to go. The log is for machines and goes elsewhere.
fn announce(address: SocketAddr, state: &AppState) -> io::Result<()> {
    let engine = &state.engine;
    let mut out = io::stdout().lock();
    writeln!(out, "graft is listening on http://{address}")?;
    writeln!(out, "engine: {} with {} thread(s) ({})", engine.kind, engine.threads, engine.reason)?;
    writeln!(out, "data: {}", state.data.root().display())?;
    out.flush()?;
    tracing::info!(%address, engine = %engine.kind, reason = engine.reason, threads = engine.threads, "listening");
    Ok(())
}

/// The signals that mean: finish and go.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
