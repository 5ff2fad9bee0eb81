//! The data folder.

use std::path::{Path, PathBuf};

use clap::Args;
use trainer::data::{DatasetFolder, FileAccess};
use trainer::finetune::Folders;

use crate::datasets::DatasetName;

/// Where graft keeps what it keeps.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// Folder for models, cached features, jobs and the ONNX Runtime library [default: the user's data folder]
    #[arg(long, env = "GRAFT_DATA_DIR", global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Puts no `starter`, the model that graft comes with, among the models; one that is there stays
    #[arg(long, env = "GRAFT_NO_STARTER", global = true)]
    pub no_starter: bool,
}

impl DataArgs {
    /// The folder that was named, or `graft` in the user's data folder.
    #[must_use]
    pub fn resolve(&self) -> DataDir {
        let default = || dirs::data_dir().unwrap_or_else(|| PathBuf::from(".")).join("graft");
        DataDir(self.data_dir.clone().unwrap_or_else(default))
    }

    /// What the user says of the model that graft comes with.
    #[must_use]
    pub fn starter(&self) -> StarterChoice {
        if self.no_starter { StarterChoice::LeftOut } else { StarterChoice::Provided }
    }
}

/// Whether the model that graft comes with is put into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StarterChoice {
    /// It is, unless it is there.
    Provided,
    /// It is not. One that is there stays.
    LeftOut,
}

/// The folders that requests may name data in.
#[derive(Debug, Clone, Default, Args)]
pub struct DataRootArgs {
    /// A folder whose images requests may train on; may be given more than once [default: none, so that requests can
    /// name nothing but published data sets that were fetched]
    #[arg(long = "data-root", env = "GRAFT_DATA_ROOT", value_name = "DIR", value_delimiter = ':')]
    pub data_roots: Vec<PathBuf>,
}

impl DataRootArgs {
    /// What requests may read: these folders, and the data sets in the data folder.
    #[must_use]
    pub fn access(&self, data: &DataDir) -> FileAccess {
        let folders = self.data_roots.iter().cloned().chain([data.published_dir()]);
        // Without a current folder there is nothing that a relative path could mean.
        FileAccess::within(folders.filter_map(|folder| std::path::absolute(folder).ok()))
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

    /// Files of models that are being uploaded, a folder each.
    #[must_use]
    pub fn incoming_dir(&self) -> PathBuf {
        self.0.join("incoming")
    }

    /// Features of images.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.0.join("cache").join("features")
    }

    /// Checkpoints of fine-tuning runs that have not finished, a folder each.
    #[must_use]
    pub fn runs_dir(&self) -> PathBuf {
        self.0.join("cache").join("runs")
    }

    /// Uncompressed copies of compressed tar archives.
    #[must_use]
    pub fn archives_dir(&self) -> PathBuf {
        self.0.join("cache").join("archives")
    }

    /// The folders that a fine-tuning run may write to.
    #[must_use]
    pub fn training_folders(&self) -> Folders {
        Folders { features: self.cache_dir(), runs: self.runs_dir(), archives: self.archives_dir() }
    }

    /// Files of the Hugging Face Hub, for a user without a home.
    #[must_use]
    pub fn hub_dir(&self) -> PathBuf {
        self.0.join("cache").join("hub")
    }

    /// Published data sets that were fetched, a folder each.
    #[must_use]
    pub fn published_dir(&self) -> PathBuf {
        self.0.join("cache").join("datasets")
    }

    /// The images and snapshots of stored data sets, a folder each. No request can name a file in it.
    #[must_use]
    pub fn datasets_dir(&self) -> PathBuf {
        self.0.join("datasets")
    }

    /// The folder of one stored data set.
    #[must_use]
    pub fn dataset(&self, name: &DatasetName) -> DatasetFolder {
        DatasetFolder::new(self.datasets_dir().join(name.as_str()))
    }

    /// Classified images that wait for feedback, under their checksums. No data set has a name that begins with a dot.
    #[must_use]
    pub fn inbox(&self) -> DatasetFolder {
        DatasetFolder::new(self.datasets_dir().join(".inbox"))
    }

    /// The database of stored data sets: which there are, and the labels of their images.
    #[must_use]
    pub fn datasets_database(&self) -> PathBuf {
        self.0.join("datasets.sqlite")
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
