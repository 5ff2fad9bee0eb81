//! Every setting: a flag, an environment variable, a key of the configuration file, a default. Parsed once, here and in `cli`; the rest of the server
//! receives plain values.

mod access;
mod collect;
mod data;
mod datasets;
mod file;
pub(crate) mod http;
mod jobs;
mod label_studio;
mod limits;
mod log;
mod memory;
mod provider;
mod ready;
mod runtime;
mod serve;
mod tracking;
mod webhooks;

pub use access::AccessArgs;
pub use collect::{CollectArgs, CollectOptions, CollectPolicy};
pub use data::{DataArgs, DataDir, DataRootArgs, StarterChoice};
pub use datasets::{DatasetLimitArgs, DatasetLimits};
pub use file::{ConfigFile, ConfigFileError};
pub use http::{HttpLimitArgs, HttpLimits};
pub use jobs::JobArgs;
pub use label_studio::{LabelStudioArgs, LabelStudioConfigError};
pub use limits::LimitArgs;
pub use log::{LogArgs, LogFormat};
pub use memory::{MemoryArgs, MemoryConfig};
pub use provider::{ProviderArgs, ProviderChoice, ProviderOptions};
pub use ready::ReadyPolicy;
pub use runtime::{EngineArgs, EngineChoice, EngineOptions, KernelArgs, KernelChoice, KernelOptions};
pub use serve::{ListenArgs, ServeArgs, ServeConfig};
pub use tracking::TrackingArgs;
pub use webhooks::{WebhookArgs, WebhookConfigError};
