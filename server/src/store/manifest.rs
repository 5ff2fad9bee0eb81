//! Where a version comes from.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use trainer::quantize::QuantizationReport;

use super::{MANIFEST_FILE, ModelName, ModelStore, StoreError, VariantRecord, read_file};

/// The origin of a version and its variants, in a file beside the others. Versions of 0.2 have none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// When the version was written.
    pub published_at: Timestamp,
    /// The job that made it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobOrigin>,
    /// Its variants beside the one in `f32`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<VariantRecord>,
    /// What was measured of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<QuantizationReport>,
}

/// The execution of a job that made a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOrigin {
    /// The job's id. A job publishes one version, whichever of its attempts it is.
    pub id: String,
    /// The attempt, counted from 1.
    pub attempt: u32,
}

impl ModelStore {
    /// The version of this model that a job has published.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the model's folder cannot be read.
    pub fn published_by(&self, name: &ModelName, job: &str) -> Result<Option<u32>, StoreError> {
        let versions = self.versions(name)?;
        let origin = |version: &u32| self.manifest(name, *version).and_then(|manifest| manifest.job);
        Ok(versions.into_iter().rev().find(|version| origin(version).is_some_and(|origin| origin.id == job)))
    }

    /// Where a version comes from. `None` for a version without a manifest, or with a damaged one: no job of this server wrote it.
    #[must_use]
    pub fn manifest(&self, name: &ModelName, version: u32) -> Option<Manifest> {
        let bytes = read_file(&self.folder(name, version).join(MANIFEST_FILE)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}
