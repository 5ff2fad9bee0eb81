//! The server.

use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroUsize};

use clap::Args;

use super::{
    AccessArgs, CollectArgs, CollectOptions, DataDir, DataRootArgs, DatasetLimitArgs, DatasetLimits, HttpLimitArgs,
    HttpLimits, JobArgs, KernelOptions, LabelStudioArgs, LogArgs, MemoryArgs, MemoryConfig, ProviderArgs,
    ProviderOptions, ReadyPolicy, TrackingArgs, WebhookArgs,
};
use crate::inference::RunProfile;
use crate::jobs::JobOptions;
use crate::tracking::TrackingOptions;

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
    /// Address and port.
    #[command(flatten)]
    pub listen: ListenArgs,

    /// What requests may read.
    #[command(flatten)]
    pub roots: DataRootArgs,

    /// What one client may cost.
    #[command(flatten)]
    pub limits: HttpLimitArgs,

    /// Who may use the server.
    #[command(flatten)]
    pub access: AccessArgs,

    /// Whose models must answer before `/health/ready` does: `any`, `all`, or names separated by commas
    #[arg(long, env = "GRAFT_READY", default_value = "any", value_name = "POLICY")]
    pub ready: ReadyPolicy,

    /// The most images in one run of a model; it takes what is waiting and never waits for more
    #[arg(long, env = "GRAFT_MAX_BATCH", default_value_t = NonZeroUsize::MIN, value_name = "N")]
    pub max_batch: NonZeroUsize,

    /// What computes inside ONNX Runtime.
    #[command(flatten)]
    pub provider: ProviderArgs,

    /// What the engines of a model are chosen for
    #[arg(long, env = "GRAFT_PROFILE", value_enum, default_value_t, value_name = "PROFILE")]
    pub profile: RunProfile,

    /// How many percentage points of accuracy a faster variant of a model (`graft quantize`) may cost to answer in the place of the one
    /// that was trained; below 0 for none
    #[arg(long, env = "GRAFT_MAX_ACCURACY_DROP", default_value_t = 0.5, value_name = "POINTS", allow_negative_numbers = true, value_parser = points)]
    pub max_accuracy_drop: f64,

    /// What models may take.
    #[command(flatten)]
    pub memory: MemoryArgs,

    /// How long the server still answers after SIGTERM while `/health/ready` says 503, in seconds
    #[arg(long, env = "GRAFT_DRAIN_DELAY_SECONDS", default_value_t = 2, value_name = "S")]
    pub drain_delay_seconds: u64,

    /// How long requests in flight may take after SIGTERM, in seconds
    #[arg(long, env = "GRAFT_DRAIN_SECONDS", default_value_t = 20, value_name = "S")]
    pub drain_seconds: u64,

    /// The port that answers gRPC, on the same address; 0 for any free one
    #[cfg(feature = "grpc")]
    #[arg(long, env = "GRAFT_GRPC_PORT", value_name = "PORT")]
    pub grpc_port: Option<u16>,

    /// Sends the spans of requests to the OpenTelemetry collector at this address, by OTLP over HTTP
    #[cfg(feature = "otel")]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,

    /// How much jobs may take.
    #[command(flatten)]
    pub jobs: JobArgs,

    /// How much stored data sets may take.
    #[command(flatten)]
    pub datasets: DatasetLimitArgs,

    /// Which classified images wait for feedback.
    #[command(flatten)]
    pub collect: CollectArgs,

    /// Whom the server tells when a job has ended.
    #[command(flatten)]
    pub webhooks: WebhookArgs,

    /// Where fine-tunes are recorded.
    #[command(flatten)]
    pub tracking: TrackingArgs,

    /// The Label Studio that the server works with.
    #[command(flatten)]
    pub label_studio: LabelStudioArgs,
}

/// A number of percentage points.
fn points(text: &str) -> Result<f64, String> {
    let points = text.parse::<f64>().ok().filter(|points| points.is_finite());
    points.ok_or_else(|| format!("`{text}` is no number of percentage points, such as 0.5"))
}

/// How the server serves, as plain values.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 for any free one.
    pub port: u16,
    /// What one client may cost.
    pub limits: HttpLimits,
    /// Who may use the server.
    pub access: AccessArgs,
    /// Whose models must answer before the server is ready.
    pub ready: ReadyPolicy,
    /// The most images in one run of a model.
    pub max_batch: usize,
    /// What the engines of a model are chosen for.
    pub profile: RunProfile,
    /// How many percentage points of accuracy a faster variant of a model may cost.
    pub max_accuracy_drop: f64,
    /// What models may take.
    pub memory: MemoryConfig,
    /// How long the server still answers after SIGTERM.
    pub drain_delay_seconds: u64,
    /// How long requests in flight may take after SIGTERM.
    pub drain_seconds: u64,
    /// The port that answers gRPC, if one does; 0 for any free one.
    #[cfg(feature = "grpc")]
    pub grpc_port: Option<u16>,
    /// The collector that spans are sent to, if they are sent.
    #[cfg(feature = "otel")]
    pub otlp_endpoint: Option<String>,
    /// How much jobs may take.
    pub jobs: JobOptions,
    /// How much stored data sets may take.
    pub datasets: DatasetLimits,
    /// Which classified images wait for feedback, if any.
    pub collect: Option<CollectOptions>,
    /// Whom the server tells when a job has ended.
    pub webhooks: WebhookArgs,
    /// Where fine-tunes are recorded, if anywhere.
    pub tracking: Option<TrackingOptions>,
    /// The Label Studio that the server works with.
    pub label_studio: LabelStudioArgs,
    /// How many versions of each model are kept; `None` for all.
    pub retention: Option<NonZeroU32>,
    /// What the training process logs.
    pub log: LogArgs,
    /// The folders that requests may name data in.
    pub roots: DataRootArgs,
    /// The training backend.
    pub kernels: KernelOptions,
    /// What computes inside ONNX Runtime.
    pub provider: ProviderOptions,
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
            limits: self.limits.resolve(),
            access: self.access.clone(),
            ready: self.ready.clone(),
            max_batch: self.max_batch.get(),
            profile: self.profile,
            max_accuracy_drop: self.max_accuracy_drop,
            memory: self.memory.resolve(),
            drain_delay_seconds: self.drain_delay_seconds,
            drain_seconds: self.drain_seconds,
            #[cfg(feature = "grpc")]
            grpc_port: self.grpc_port,
            #[cfg(feature = "otel")]
            otlp_endpoint: self.otlp_endpoint.clone(),
            jobs: self.jobs.options(),
            datasets: self.datasets.resolve(),
            collect: self.collect.resolve(),
            webhooks: self.webhooks.clone(),
            tracking: self.tracking.resolve(),
            label_studio: self.label_studio.clone(),
            retention: self.jobs.retention(),
            log,
            roots: self.roots.clone(),
            kernels,
            provider: self.provider.resolve(),
            data,
        }
    }
}
