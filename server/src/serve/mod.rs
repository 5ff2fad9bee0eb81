//! The life of the server.

mod client;
mod connection;
mod greeting;
mod listener;
mod protocol;
mod signals;
mod socket;
mod stream;
#[cfg(feature = "grpc")]
mod streams;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::OptionFuture;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::allocator;
use crate::config::ServeConfig;
use crate::datasets::stored::Importer;
use crate::failure::chain;
#[cfg(feature = "grpc")]
use crate::grpc;
use crate::http::router::{https_only, router};
use crate::http::state::AppState;
use crate::jobs::{ChildCommand, JobQueue, Runner};
use crate::runtime::SelectedEngine;
use crate::telemetry::{self, TelemetryError};
use crate::tracking::{Tracker, TrackingOptions};
use crate::webhooks::WebhookSender;
use connection::Routers;
use listener::{ConnectionRoom, Listener};
use protocol::Protocol;
use signals::{Order, Signals, Stop, told};
use tls::Certificates;

/// How long work that cannot be interrupted may hold up the end of the process.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Keeps SIGHUP, which is to read the configuration again, from ending a server whose configuration is being read.
pub fn survive_hangup() {
    #[expect(unsafe_code, reason = "a call of the C library")]
    // SAFETY: sets no handler; the disposition is replaced when `run` listens for the signal (signal(2)).
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
    }
}

/// Answers requests and works on jobs until it is told to stop by SIGTERM or SIGINT, then finishes what is in flight. A
/// second signal ends it at once. SIGHUP reads settings, keys and certificates again.
///
/// # Errors
/// When the address is taken, the data folder cannot be used, or the server would be open to strangers.
pub fn serve(config: ServeConfig, engine: SelectedEngine, reload: &Reload) -> Result<()> {
    telemetry::log_panics();
    #[cfg(feature = "otel")]
    let _last_spans = config.otlp_endpoint.as_deref().map(crate::traces::Traces::start).transpose()?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(engine.threads.get().max(2)).enable_all().build();
    let runtime = runtime.context("cannot start the threads that answer requests")?;
    let result = runtime.block_on(run(config, engine, reload));
    runtime.shutdown_timeout(LAST_WAIT);
    result
}

async fn run(config: ServeConfig, engine: SelectedEngine, settings: &Reload) -> Result<()> {
    // Before anything else: as process 1 of a container, signals without a handler are ignored.
    let mut signals = Signals::new().context("cannot listen for signals")?;
    let certificates = Certificates::open(&config.access)?.map(Arc::new);
    let (socket, address) = bind(SocketAddr::new(config.host, config.port), "--port").await?;
    #[cfg(feature = "grpc")]
    let grpc = match config.grpc_port {
        Some(port) => Some(bind(SocketAddr::new(config.host, port), "--grpc-port").await?),
        None => None,
    };
    let command = ChildCommand::of_this_program(&config, &engine).context("cannot find this program")?;
    // A task, so that a disk that does not answer holds up neither a signal nor the end of the process.
    let opening = tokio::spawn({
        let config = config.clone();
        async move { AppState::open(&config, engine).await }
    });
    let state = tokio::select! {
        opened = opening => opened.context("opening the data folder panicked")??,
        _ = signals.stop() => return Ok(()),
    };
    let scheme = if certificates.is_some() { "https" } else { "http" };
    greeting::announce(&format!("{scheme}://{address}"), &state);

    let (stop, stopped) = watch::channel(false);
    let registry = state.registry.clone();
    let watching = tokio::spawn(async move { registry.watch().await });
    let losses = tokio::spawn(telemetry::report_losses());
    let trimming = tokio::spawn(allocator::keep_trimmed());
    let jobs = tokio::spawn({
        let (jobs, registry, mut stopped) = (state.jobs.clone(), state.registry.clone(), stopped.clone());
        let uploads = state.imports.clone();
        async move {
            let jobs = tokio::select! {
                jobs = jobs.wait() => jobs,
                () = told(&mut stopped) => return,
            };
            let runner = Runner::new(jobs.clone(), registry, command, config.retention);
            let imports = runner.for_queue(JobQueue::Imports);
            let cleaning = uploads.keep_clean(jobs, stopped.clone());
            tokio::join!(runner.run(stopped.clone()), imports.run(stopped), cleaning);
        }
    });
    let telling = tokio::spawn(tell(&state, config.tracking.clone(), stopped.clone()));
    let importer = Importer::new(state.datasets.clone(), state.limits.image);
    let importing = tokio::spawn(importer.run(stopped.clone()));
    let room = ConnectionRoom::new(&state.limits);
    #[cfg(feature = "grpc")]
    let grpc = OptionFuture::from(grpc.map(|(socket, address)| {
        greeting::announce_grpc(address);
        let listener = Listener::new(socket, &state, room.clone(), certificates.clone());
        let (interface, https_only) = (grpc::router(state.clone()), grpc::tls_only(state.clone()));
        listener.serve(Routers { protocol: Protocol::Grpc, interface, https_only }, stopped.clone())
    }));
    let listener = Listener::new(socket, &state, room, certificates.clone());
    let (interface, https_only) = (router(state.clone()), https_only(state.clone()));
    let http = listener.serve(Routers { protocol: Protocol::Http, interface, https_only }, stopped);
    #[cfg(feature = "grpc")]
    let http = async { tokio::join!(http, grpc).0 };
    let mut server = tokio::spawn(http);

    let stop_kind = loop {
        tokio::select! {
            ended = &mut server => return ended.context("the server panicked"),
            order = signals.next() => match order {
                Order::Stop(stop) => break stop,
                Order::Reload => reload(settings, &state, certificates.as_deref()),
            },
        }
    };
    state.draining.begin();
    announce_drain(&config, stop_kind, &mut signals).await;
    stop.send_replace(true);
    watching.abort();
    losses.abort();
    trimming.abort();
    let finish = async {
        let (server, jobs, importing, telling) = tokio::join!(&mut server, jobs, importing, telling);
        jobs.context("the job runner panicked")?;
        importing.context("the importer of uploads panicked")?;
        telling.context("what tells others about jobs panicked")?;
        server.context("the server panicked")
    };
    drain(finish, Duration::from_secs(config.drain_seconds), &mut signals).await
}

async fn bind(address: SocketAddr, option: &str) -> Result<(TcpListener, SocketAddr)> {
    let socket = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; if another server has the port, choose one with {option}")
    })?;
    let address = socket.local_addr().context("the system does not tell the port")?;
    Ok((socket, address))
}

/// Tells other servers about jobs: webhooks when they have ended, a tracking server how they go.
fn tell(
    state: &AppState,
    tracking: Option<TrackingOptions>,
    stopped: watch::Receiver<bool>,
) -> impl Future<Output = ()> + use<> {
    let sender = state.webhooks.clone().map(|options| WebhookSender::new(state.jobs.clone(), options));
    let store = state.registry.store().clone();
    let tracker = tracking.map(|options| Tracker::new(state.jobs.clone(), store, options));
    let (sending, tracking) =
        (sender.map(|sender| sender.run(stopped.clone())), tracker.map(|tracker| tracker.run(stopped)));
    async {
        tokio::join!(OptionFuture::from(sending), OptionFuture::from(tracking));
    }
}

/// Goes on answering while load balancers learn from `/health/ready` that they should send requests elsewhere. A person at
/// the keyboard does not wait for that.
async fn announce_drain(config: &ServeConfig, stop: Stop, signals: &mut Signals) {
    let delay = match stop {
        Stop::Terminate => Duration::from_secs(config.drain_delay_seconds),
        Stop::Interrupt => Duration::ZERO,
    };
    tracing::info!(drain_delay_seconds = delay.as_secs(), drain_seconds = config.drain_seconds, "shutting down");
    tokio::select! {
        () = sleep(delay) => {}
        _ = signals.stop() => {}
    }
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
        _ = signals.stop() => {
            tracing::warn!("told to stop again; requests in flight are cut off");
            Ok(())
        }
    }
}

/// Reads settings, keys and certificates again. What cannot be used leaves the old in force.
fn reload(settings: &Reload, state: &AppState, certificates: Option<&Certificates>) {
    match settings().and_then(|settings| Ok(settings.apply()?)) {
        Ok(()) => tracing::info!("the configuration is reloaded"),
        Err(error) => {
            let cause = chain(error.as_ref());
            tracing::error!(cause, "the configuration cannot be reloaded; what was set stays in force");
        }
    }
    match state.access.reload() {
        Ok(keys) => tracing::info!(keys, "the keys are read again"),
        Err(error) => tracing::error!(error = chain(&error), "the keys before stay in force"),
    }
    if let Some(certificates) = certificates {
        match certificates.reload() {
            Ok(()) => tracing::info!("the certificates are read again"),
            Err(error) => tracing::error!(error = chain(&error), "the certificates before stay in force"),
        }
    }
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
