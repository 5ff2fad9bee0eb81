//! Stored data sets on the command line: `NAME`, or `NAME@N` for a snapshot.

use std::str::FromStr;

use anyhow::{Context, Result};
use server::config::DatasetLimits;
use server::datasets::stored::{DatasetStoreError, InvalidDatasetName};
use server::datasets::{DatasetName, DatasetStore};
use thiserror::Error;
use tokio::runtime::Runtime;
use trainer::data::DatasetSource;

use super::CommandContext;

/// What stands before the name of a stored data set where a path may stand too.
const PREFIX: &str = "stored:";

/// A stored data set, and perhaps one of its snapshots.
#[derive(Debug, Clone)]
pub(super) struct StoredDataset {
    pub(super) name: DatasetName,
    pub(super) snapshot: Option<u32>,
}

/// A text that names no stored data set.
#[derive(Debug, Error)]
pub(super) enum StoredDatasetError {
    #[error(transparent)]
    Name(#[from] InvalidDatasetName),
    #[error("`{0}` is no number of a snapshot; name a snapshot as in `flowers@3`")]
    Snapshot(String),
}

impl FromStr for StoredDataset {
    type Err = StoredDatasetError;

    fn from_str(text: &str) -> Result<Self, StoredDatasetError> {
        let Some((name, number)) = text.split_once('@') else {
            return Ok(Self { name: text.parse()?, snapshot: None });
        };
        let number = number.parse().map_err(|_| StoredDatasetError::Snapshot(number.to_owned()))?;
        Ok(Self { name: name.parse()?, snapshot: Some(number) })
    }
}

/// The stored data set that a text means, if it begins so.
pub(super) fn named(text: &str) -> Option<Result<StoredDataset, StoredDatasetError>> {
    text.strip_prefix(PREFIX).map(str::parse)
}

impl StoredDataset {
    /// The images to train on: those of the snapshot, or of a new one, so that what is changed meanwhile changes no run.
    pub(super) fn source(&self, context: &CommandContext) -> Result<DatasetSource> {
        let local = LocalStore::open(context)?;
        let snapshot = match self.snapshot {
            Some(number) => local.wait(local.datasets.find_snapshot(&self.name, number))?,
            None => local.wait(local.datasets.snapshot(&self.name))?,
        };
        Ok(local.datasets.folder(&self.name).source(snapshot.number))
    }
}

/// The stored data sets of the data folder, for commands, which wait for each answer.
pub(super) struct LocalStore {
    pub(super) datasets: DatasetStore,
    runtime: Runtime,
}

impl LocalStore {
    pub(super) fn open(context: &CommandContext) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start the thread that reads the database")?;
        Ok(Self { datasets: DatasetStore::new(context.data.clone(), DatasetLimits::unlimited()), runtime })
    }

    pub(super) fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, DatasetStoreError>>,
    ) -> Result<T, DatasetStoreError> {
        self.runtime.block_on(work)
    }
}
