//! Which images a job is about.

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;
use thiserror::Error;
use trainer::data::{DatasetSource, FileAccess};
use utoipa::ToSchema;

use super::stored::{DatasetName, DatasetStore, DatasetStoreError};
use crate::config::DataDir;

/// The images of a job: files that the server may read, or a stored data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum JobDataset {
    /// A stored data set.
    Stored(StoredSource),
    /// What is below a data root.
    Files(DatasetSource),
}

/// A stored data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StoredSource {
    /// `stored`.
    pub kind: StoredKind,
    /// The name of the data set.
    #[schema(value_type = String, example = "flowers", min_length = 1, max_length = 64)]
    pub name: DatasetName,
    /// The number of a snapshot [default: one of the images as they are when the job is accepted].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, example = 3)]
    pub snapshot: Option<u32>,
}

/// The word that says that a data set is a stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoredKind {
    /// It is in the server's data folder.
    Stored,
}

/// The snapshot of a stored data set is not there.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the stored data set `{name}` has no snapshot {}; it was deleted, or is in another data folder",
    number.map_or("yet".to_owned(), |number| number.to_string())
)]
pub struct MissingSnapshot {
    name: DatasetName,
    number: Option<u32>,
}

/// Where images are read from.
pub(crate) struct LocatedImages {
    pub(crate) source: DatasetSource,
    pub(crate) access: FileAccess,
}

impl<'de> Deserialize<'de> for JobDataset {
    /// By the word `stored`: any other `kind` is an older name of a layout of files.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let stored = value.get("kind").and_then(Value::as_str) == Some("stored");
        let read = if stored {
            StoredSource::deserialize(value).map(Self::Stored)
        } else {
            DatasetSource::deserialize(value).map(Self::Files)
        };
        read.map_err(D::Error::custom)
    }
}

impl JobDataset {
    /// A snapshot of a stored data set.
    #[must_use]
    pub fn stored(name: DatasetName, snapshot: u32) -> Self {
        Self::Stored(StoredSource { kind: StoredKind::Stored, name, snapshot: Some(snapshot) })
    }

    /// Whether this is what another one asks for: the same, with a snapshot where the other one names none.
    #[must_use]
    pub fn answers(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::Stored(own), Self::Stored(asked)) => {
                own.name == asked.name && (asked.snapshot.is_none() || own.snapshot == asked.snapshot)
            }
            _ => self == asked,
        }
    }

    /// The files, and where they may be. A manifest is in the data folder, and leads nowhere else.
    pub(crate) fn locate(&self, data: &DataDir, access: &FileAccess) -> Result<LocatedImages, MissingSnapshot> {
        match self {
            Self::Files(source) => Ok(LocatedImages { source: source.clone(), access: access.clone() }),
            Self::Stored(StoredSource { name, snapshot, .. }) => {
                let folder = data.dataset(name);
                let there = snapshot.filter(|number| folder.manifest(*number).is_file());
                let number = there.ok_or_else(|| MissingSnapshot { name: name.clone(), number: *snapshot })?;
                Ok(LocatedImages { source: folder.source(number), access: FileAccess::Everywhere })
            }
        }
    }
}

impl DatasetStore {
    /// The same images with the snapshot that they are now, so that whatever becomes of the data set later changes no job.
    ///
    /// # Errors
    /// [`DatasetStoreError::Unknown`], [`DatasetStoreError::UnknownSnapshot`].
    pub async fn pin(&self, dataset: JobDataset) -> Result<JobDataset, DatasetStoreError> {
        let JobDataset::Stored(StoredSource { name, snapshot, .. }) = dataset else { return Ok(dataset) };
        let snapshot = match snapshot {
            Some(number) => self.find_snapshot(&name, number).await?,
            None => self.snapshot(&name).await?,
        };
        Ok(JobDataset::stored(name, snapshot.number))
    }
}

impl From<DatasetSource> for JobDataset {
    fn from(source: DatasetSource) -> Self {
        Self::Files(source)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};
    use trainer::data::Layout;

    use super::*;

    #[test]
    fn the_word_stored_tells_a_stored_data_set_from_files() {
        let read = |value: Value| from_value::<JobDataset>(value);
        let stored = read(json!({"kind": "stored", "name": "flowers", "snapshot": 3})).unwrap();
        assert_eq!(stored, JobDataset::stored("flowers".parse().unwrap(), 3));
        assert_eq!(serde_json::to_value(&stored).unwrap(), json!({"kind": "stored", "name": "flowers", "snapshot": 3}));
        let files = read(json!({"kind": "folder", "path": "flowers"})).unwrap();
        assert_eq!(files, DatasetSource::new(Layout::Folder, "flowers").into());
        for (value, expected) in [
            (json!({"kind": "stored"}), "missing field `name`"),
            (json!({"kind": "stored", "name": "../x"}), "is not a name of a data set"),
            (json!({"kind": "stored", "name": "a", "path": "b"}), "unknown field `path`"),
            (json!({"name": "a"}), "unknown field `name`"),
        ] {
            let error = read(value).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_request_that_names_no_snapshot_is_answered_by_any() {
        let named = |snapshot| {
            JobDataset::Stored(StoredSource { kind: StoredKind::Stored, name: "a".parse().unwrap(), snapshot })
        };
        assert!(named(Some(3)).answers(&named(None)) && named(Some(3)).answers(&named(Some(3))));
        assert!(!named(Some(3)).answers(&named(Some(4))));
        assert!(!named(Some(3)).answers(&DatasetSource::new(Layout::Auto, "a").into()));
    }
}
