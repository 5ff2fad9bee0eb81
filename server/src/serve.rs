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
use crate::failure::chain;
use crate::http::router::router;
use crate::http::state::AppState;
use crate::jobs::{ChildCommand, Runner};
use crate::runtime::SelectedEngine;
use crate::telemetry::{self, TelemetryError};

/// How long work that cannot be interrupted may hold up the end of the process.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Answers requests and works on jobs until it is told to stop by SIGTERM or SIGINT, then finishes what is in flight. A
/// second signal ends it at once.
///
/// # Errors
/// When the address is taken or the data folder cannot be used.
pub fn serve(config: ServeConfig, engine: SelectedEngine, reload: &Reload) -> Result<()> {
    telemetry::log_panics();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(engine.threads.get().max(2)).enable_all().build();
    let runtime = runtime.context("cannot start the threads that answer requests")?;
    let result = runtime.block_on(run(config, engine, reload));
    runtime.shutdown_timeout(LAST_WAIT);
    result
}

async fn run(config: ServeConfig, engine: SelectedEngine, reload: &Reload) -> Result<()> {
    // Before anything else: as process 1 of a container, signals without a handler are ignored.
    let mut signals = Signals::new().context("cannot listen for signals")?;
    let address = SocketAddr::new(config.host, config.port);
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; if another server has the port, choose one with --port")
    })?;
    let address = listener.local_addr().context("the system does not tell the port")?;
    let command = ChildCommand::of_this_program(&config, &engine).context("cannot find this program")?;
    let state = AppState::open(&config, engine).await?;
    announce(address, &state);

    let (stop, stopped) = watch::channel(false);
    let registry = state.registry.clone();
    let watching = tokio::spawn(async move { registry.watch().await });
    let losses = tokio::spawn(telemetry::report_losses());
    let jobs = tokio::spawn({
        let (jobs, registry, mut stopped) = (state.jobs.clone(), state.registry.clone(), stopped.clone());
        async move {
            let jobs = tokio::select! {
                jobs = jobs.wait() => jobs,
                _ = stopped.wait_for(|stop| *stop) => return,
            };
            Runner::new(jobs, registry, command, config.retention).run(stopped).await;
        }
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
        () = signals.received(reload) => {}
    }
    tracing::info!(drain_seconds = config.drain_seconds, "shutting down");
    state.draining.begin();
    stop.send_replace(true);
    watching.abort();
    losses.abort();
    let finish = async {
        let (server, jobs) = tokio::join!(&mut server, jobs);
        jobs.context("the job runner panicked")?;
        server.context("the server panicked")?.context("the server failed")
    };
    tokio::select! {
        finished = drain(finish, Duration::from_secs(config.drain_seconds)) => finished,
        () = signals.received(reload) => {
            tracing::warn!("told to stop again; requests in flight are cut off");
            Ok(())
        }
    }
}

/// Waits for what is in flight, for so long.
async fn drain(finish: impl Future<Output = Result<()>>, patience: Duration) -> Result<()> {
    match timeout(patience, finish).await {
        Ok(result) => result,
        Err(_) => {
            tracing::warn!("requests are still in flight after the time they had; they are cut off");
            Ok(())
        }
    }
}

/// Tells a person where to go. The log is for machines and goes elsewhere.
fn announce(address: SocketAddr, state: &AppState) {
    let engine = &state.engine;
    let text = format!(
        "graft is listening on http://{address}\nengine: {} with {} thread(s) ({})\ndata: {}\n",
        engine.kind,
        engine.threads,
        engine.reason,
        state.data.root().display()
    );
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        tracing::warn!(%error, "standard output takes nothing; serving all the same");
    }
    tracing::info!(%address, engine = %engine.kind, reason = engine.reason, threads = engine.threads, "listening");
}

/// The settings that can change while the server runs.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// What is logged.
    pub log: String,
}

impl LiveSettings {
    fn apply(&self) -> Result<(), TelemetryError> {
        telemetry::set_filter(&self.log)
    }
}

/// Reads the settings again, from where they came.
pub type Reload = Box<dyn Fn() -> Result<LiveSettings> + Send + Sync>;

/// The signals that a server listens to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Without a handler, a file that may not grow any more ends the process instead of failing a write.
    _file_size: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    /// Until the server is told to stop. A hangup reloads the settings that can change while it runs, and ends nothing.
    async fn received(&mut self, reload: &Reload) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => match reload().and_then(|settings| Ok(settings.apply()?)) {
                    Ok(()) => tracing::info!("the configuration is reloaded"),
                    Err(error) => {
                        let cause = chain(error.as_ref());
                        tracing::error!(cause, "the configuration cannot be reloaded; what was set stays in force");
                    }
                },
            }
        }
    }
}
