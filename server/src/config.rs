//! Every setting: a flag, an environment variable, a default. Parsed once, here and nowhere else.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

/// Where graft keeps what it keeps.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// Folder for models, cached features, jobs and the ONNX Runtime library [default: the user's data folder]
    #[arg(long, env = "GRAFT_DATA_DIR", global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl DataArgs {
    /// The folder that was named, or `graft` in the user's data folder.
    #[must_use]
    pub fn resolve(&self) -> DataDir {
        let default = || dirs::data_dir().unwrap_or_else(|| PathBuf::from(".")).join("graft");
        DataDir(self.data_dir.clone().unwrap_or_else(default))
    }
}

/// The data folder and its rooms. Nothing else knows where files live.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// This folder.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Published models.
    #[must_use]
    pub fn models_dir(&self) -> PathBuf {
        self.0.join("models")
    }

    /// Features of images.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.0.join("cache").join("features")
    }

    /// Published data sets that were fetched, a folder each.
    #[must_use]
    pub fn datasets_dir(&self) -> PathBuf {
        self.0.join("cache").join("datasets")
    }

    /// Native libraries that `graft runtime install` put there.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.0.join("runtime")
    }

    /// The database of jobs and their events.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.0.join("graft.sqlite")
    }
}

/// What runs models.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// What runs models: `auto` takes ONNX Runtime if its library is found, else tract, and says which and why
    #[arg(long, env = "GRAFT_ENGINE", global = true, value_enum, default_value_t = EngineChoice::Auto)]
    pub engine: EngineChoice,

    /// The ONNX Runtime library file, 1.24 or newer [default: searched for]
    #[arg(long, env = "GRAFT_ORT_LIB", global = true, value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,

    /// The same under the name that other programs with ONNX Runtime use
    #[arg(long, env = "ORT_DYLIB_PATH", global = true, hide = true)]
    pub ort_dylib_path: Option<PathBuf>,

    /// Threads for one inference [default: what the CPU quota of this process allows]
    #[arg(long, env = "GRAFT_THREADS", global = true, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

impl EngineArgs {
    /// The library file that the user named, if any.
    #[must_use]
    pub fn named_library(&self) -> Option<&Path> {
        self.ort_lib.as_deref().or(self.ort_dylib_path.as_deref()).filter(|path| !path.as_os_str().is_empty())
    }

    /// How many threads there are to use. The standard library reads the affinity mask and the cgroup's quota.
    #[must_use]
    pub fn threads(&self) -> NonZeroUsize {
        self.threads.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }
}

/// Which engine the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// ONNX Runtime if there is one, else tract.
    Auto,
    /// ONNX Runtime or an error.
    Ort,
    /// tract, which is compiled in.
    Tract,
}

/// What computes the steps of training.
#[derive(Debug, Clone, Default, Args)]
pub struct KernelArgs {
    /// What computes convolutions in training: `auto` takes oneDNN if its library is found, else graft's own, and says
    /// which and why
    #[arg(long, env = "GRAFT_KERNELS", global = true, value_enum, default_value_t = KernelChoice::Auto)]
    pub kernels: KernelChoice,

    /// How images are kept between layers in training; weights are f32 in any case
    #[arg(long, env = "GRAFT_PRECISION", global = true, value_enum, default_value_t = PrecisionChoice::F32)]
    pub precision: PrecisionChoice,

    /// The oneDNN library file, version 3 [default: searched for]
    #[arg(long, env = "GRAFT_ONEDNN", global = true, value_name = "FILE")]
    pub onednn_lib: Option<PathBuf>,
}

impl KernelArgs {
    /// The library file that the user named, if any.
    #[must_use]
    pub fn named_library(&self) -> Option<&Path> {
        self.onednn_lib.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// The same as arguments of another process.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        let name = |value: Option<PossibleValue>| value.map(|value| value.get_name().into()).unwrap_or_default();
        let mut arguments: Vec<OsString> = vec!["--kernels".into(), name(self.kernels.to_possible_value())];
        arguments.extend(["--precision".into(), name(self.precision.to_possible_value())]);
        arguments.extend(self.named_library().into_iter().flat_map(|path| ["--onednn-lib".into(), path.into()]));
        arguments
    }
}

/// Which kernels the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum KernelChoice {
    /// oneDNN if there is one, else graft's own.
    #[default]
    Auto,
    /// graft's own, which are compiled in.
    Rust,
    /// oneDNN or an error.
    Onednn,
}

/// Which precision the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PrecisionChoice {
    /// Single precision, as every framework trains unless told otherwise.
    #[default]
    F32,
    /// Half the memory and faster on processors with AMX; by oneDNN alone.
    Bf16,
}

/// What is logged, and how.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// What to log: `error`, `warn`, `info`, `debug`, or directives such as `server=debug`
    #[arg(long, env = "GRAFT_LOG", global = true, default_value = "info", value_name = "FILTER")]
    pub log: String,

    /// How to write log lines
    #[arg(long, env = "GRAFT_LOG_FORMAT", global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

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

    /// The largest request body, in megabytes
    #[arg(long, env = "GRAFT_MAX_BODY_MB", default_value_t = 32, value_name = "MB")]
    pub max_body_mb: usize,

    /// The largest image, in megapixels, judged by its header before it is decoded
    #[arg(long, env = "GRAFT_MAX_MEGAPIXELS", default_value_t = 50, value_name = "MP")]
    pub max_megapixels: u64,

    /// The most images in one run of a model; it takes what is waiting and never waits for more
    #[arg(long, env = "GRAFT_MAX_BATCH", default_value_t = NonZeroUsize::new(8).unwrap_or(NonZeroUsize::MIN), value_name = "N")]
    pub max_batch: NonZeroUsize,

    /// The most images that wait for one model; more are answered 429
    #[arg(long, env = "GRAFT_QUEUE", default_value_t = NonZeroUsize::new(64).unwrap_or(NonZeroUsize::MIN), value_name = "N")]
    pub queue: NonZeroUsize,

    /// How long requests in flight may take after SIGTERM, in seconds
    #[arg(long, env = "GRAFT_DRAIN_SECONDS", default_value_t = 20, value_name = "S")]
    pub drain_seconds: u64,

    /// How long a job stays claimed without a sign of life from its server, in seconds
    #[arg(long, env = "GRAFT_JOB_LEASE_SECONDS", default_value_t = 15, value_name = "S", value_parser = clap::value_parser!(u64).range(3..))]
    pub job_lease_seconds: u64,
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
    /// How long a job stays claimed without a sign of life.
    pub job_lease_seconds: u64,
    /// What trains.
    pub kernels: KernelArgs,
    /// Where everything is kept.
    pub data: DataDir,
}

impl ServeArgs {
    /// These settings for a server on this data folder.
    #[must_use]
    pub fn resolve(&self, data: DataDir, kernels: KernelArgs) -> ServeConfig {
        ServeConfig {
            host: self.listen.host,
            port: self.listen.port,
            max_body_mb: self.max_body_mb,
            max_pixels: self.max_megapixels.saturating_mul(1_000_000),
            max_batch: self.max_batch.get(),
            queue: self.queue.get(),
            drain_seconds: self.drain_seconds,
            job_lease_seconds: self.job_lease_seconds,
            kernels,
            data,
        }
    }
}
