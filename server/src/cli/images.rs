//! Where a command's images are: at a path, or published under a name.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use server::datasets::{Downloads, Permission, PublishedDataset};
use trainer::events::Observer;

use super::CommandContext;

/// How images that are named and not there come here.
#[derive(Debug, Args)]
pub(super) struct DownloadArgs {
    /// Fetch a data set that `--data` names (`oxford17`, `cifar10`) from where it is published, once; without this nothing
    /// is fetched
    #[arg(long, env = "GRAFT_DOWNLOAD")]
    download: bool,

    /// A mirror: what stands before the path of each published address, in the place of its scheme and host
    #[arg(long, env = "GRAFT_DATASET_ENDPOINT", value_name = "URL")]
    dataset_endpoint: Option<String>,
}

impl DownloadArgs {
    /// The path that is there, or that of the published data set of this name, which may have to be fetched first. What is
    /// neither stays, for the reader to say so.
    pub(super) fn locate(&self, data: &Path, context: &CommandContext, observer: &mut dyn Observer) -> Result<PathBuf> {
        let published = data.to_str().filter(|_| !data.exists()).and_then(PublishedDataset::find);
        let Some(published) = published else { return Ok(data.to_owned()) };
        let downloads = Downloads {
            folder: &context.data.datasets_dir(),
            permission: if self.download { Permission::Granted } else { Permission::Denied },
            endpoint: self.dataset_endpoint.as_deref(),
        };
        Ok(published.obtain(&downloads, observer)?)
    }
}
