//! The server.

use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroUsize};

use clap::Args;

use super::{DataDir, DataRootArgs, JobArgs, KernelOptions, LimitArgs, LogArgs};
use crate::jobs::JobOptions;

/// Where the server listens.
#[derive(Debug, Clone, Args)]
pub struct ListenArgs {
    /// The address to listen on; 0.0.0.0 for every interface
    #[arg(long, env = "GRAFT_HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,

    /// The port to listen on; 0 for any free one
    #[arg(long, env = "GRAFT_PORT", default_value_t = 8080)]
    pub port: u16,
}

/// How the server serves.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Where to listen.
    #[command(flatten)]
    pub listen: ListenArgs,

    /// What requests may read.
    #[command(flatten)]
    pub roots: DataRootArgs,

    /// The largest request body, in megabytes
    #[arg(long, env = "GRAFT_MAX_BODY_MB", default_value_t = 32, value_name = "MB")]
    pub max_body_mb: usize,

    /// How large an image may be.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// The most images in one run of a model; it takes what is waiting and never waits for more
    #[arg(long, env = "GRAFT_MAX_BATCH", default_value_t = NonZeroUsize::new(8).unwrap_or(NonZeroUsize::MIN), value_name = "N")]
    pub max_batch: NonZeroUsize,

    /// The most images that wait for one model; more are answered 429
    #[arg(long, env = "GRAFT_QUEUE", default_value_t = NonZeroUsize::new(64).unwrap_or(NonZeroUsize::MIN), value_name = "N")]
    pub queue: NonZeroUsize,

    /// How long requests in flight may take after SIGTERM, in seconds
    #[arg(long, env = "GRAFT_DRAIN_SECONDS", default_value_t = 20, value_name = "S")]
    pub drain_seconds: u64,

    /// How much jobs may take.
    #[command(flatten)]
    pub jobs: JobArgs,
}

/// How the server serves, as plain values.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 for any free one.
    pub port: u16,
    /// The largest request body, in megabytes.
    pub max_body_mb: usize,
    /// The largest image, in pixels.
    pub max_pixels: u64,
    /// The most images in one run of a model.
    pub max_batch: usize,
    /// The most images that wait for one model.
    pub queue: usize,
    /// How long requests in flight may take after SIGTERM.
    pub drain_seconds: u64,
    /// How much jobs may take.
    pub jobs: JobOptions,
    /// How many versions of each model are kept; `None` for all.
    pub retention: Option<NonZeroU32>,
    /// What the training process logs.
    pub log: LogArgs,
    /// The folders that requests may name data in.
    pub roots: DataRootArgs,
    /// The training backend.
    pub kernels: KernelOptions,
    /// The data folder.
    pub data: DataDir,
}

impl ServeArgs {
    /// These settings for a server on this data folder.
    #[must_use]
    pub fn resolve(&self, data: DataDir, kernels: KernelOptions, log: LogArgs) -> ServeConfig {
        ServeConfig {
            host: self.listen.host,
            port: self.listen.port,
            max_body_mb: self.max_body_mb,
            max_pixels: self.limits.limits().max_pixels,
            max_batch: self.max_batch.get(),
            queue: self.queue.get(),
            drain_seconds: self.drain_seconds,
            jobs: self.jobs.options(),
            retention: self.jobs.retention(),
            log,
            roots: self.roots.clone(),
            kernels,
            data,
        }
    }
}
