//! Publishes a version, whole or not at all.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use models::files::rename_durably;
use models::weights;
use trainer::finetune::report::FinetuneReport;
use trainer::finetune::{ModelContent, Picture};
use trainer::quantize::Quantized;

use super::WEIGHTS_FILE;
use super::lock::WriteLock;
use super::{Availability, BuiltIn, JobOrigin, Manifest, ModelName, ModelStore, StoreError, VariantRecord};
use super::{
    GOLDEN_DIR, GOLDEN_FILE, Golden, GoldenEntry, MANIFEST_FILE, MODEL_FILE, PICTURES_DIR, REPORT_FILE, sync, write,
};

/// The parts of a new version.
#[derive(Debug, Clone, Copy)]
pub struct Artifacts<'a> {
    /// The model itself.
    pub content: &'a ModelContent,
    /// Images with the logits that the model must reproduce.
    pub golden: &'a [Golden],
    /// The report of the run, for a fine-tuned model.
    pub report: Option<&'a FinetuneReport>,
    /// Small pictures of the images that the report names.
    pub pictures: &'a [Picture],
    /// Its variants beside the one in `f32`, if there are any.
    pub quantized: Option<&'a Quantized>,
}

/// The job that publishes, and whether it still may.
pub struct Publication<'a> {
    /// The job and its attempt.
    pub origin: JobOrigin,
    /// Whether this process may still publish for the job. Asked under the lock, right before the rename.
    pub permitted: &'a dyn Fn() -> bool,
}

/// How a version is published.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    /// The job that it is published for, if it is for one.
    pub(super) publication: Option<&'a Publication<'a>>,
    /// Whether a model that has no other version is to answer.
    pub(super) first: Availability,
    /// The checksum of the file inside the program, for a version that comes with it.
    pub(super) built_in: Option<&'a str>,
}

/// The prefix of the folder of an unfinished version.
pub(super) const STAGING: &str = ".staging-";

impl ModelStore {
    /// Publishes the next version of a model and returns its number. The files are on the disk before the version can be
    /// seen. The first version of a model answers; of one that has versions, the one that answers goes on, until
    /// [`set_live`](Self::set_live) says otherwise.
    ///
    /// # Errors
    /// [`StoreError`] when the network cannot be exported or the disk refuses; no version is visible then.
    pub fn publish(&self, name: &ModelName, artifacts: &Artifacts<'_>) -> Result<u32, StoreError> {
        self.publish_with(name, artifacts, Terms { publication: None, first: Availability::Served, built_in: None })
    }

    /// Publishes the one version of a job. If an earlier attempt has published it, returns that version.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); [`StoreError::Withdrawn`] when the job may not publish any more.
    pub fn publish_once(
        &self,
        name: &ModelName,
        artifacts: &Artifacts<'_>,
        publication: &Publication<'_>,
    ) -> Result<u32, StoreError> {
        self.publish_with(
            name,
            artifacts,
            Terms { publication: Some(publication), first: Availability::Served, built_in: None },
        )
    }

    /// Publishes a version that does not answer, not even if it is the first of its model.
    ///
    /// # Errors
    /// As [`publish_once`](Self::publish_once).
    pub fn publish_held(
        &self,
        name: &ModelName,
        artifacts: &Artifacts<'_>,
        publication: Option<&Publication<'_>>,
    ) -> Result<u32, StoreError> {
        self.publish_with(name, artifacts, Terms { publication, first: Availability::Stopped, built_in: None })
    }

    pub(super) fn publish_with(
        &self,
        name: &ModelName,
        artifacts: &Artifacts<'_>,
        Terms { publication, first, built_in }: Terms<'_>,
    ) -> Result<u32, StoreError> {
        if built_in.is_none() {
            self.refuse_built_in(name)?;
        }
        let model = self.root.join(name.as_str());
        fs::create_dir_all(&model).map_err(StoreError::io(&model))?;
        let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(&model).map_err(StoreError::io(&model))?;
        stage(staging.path(), artifacts)?;
        let job = publication.map(|publication| publication.origin.clone());
        let quantized = artifacts.quantized;
        let variants =
            VariantRecord::stage(staging.path(), quantized.map_or(&[][..], |quantized| &quantized.variants))?;
        let quantization = quantized.map(|quantized| quantized.report.clone());
        let manifest = Manifest { published_at: Timestamp::now(), job, variants, quantization };
        write(&staging.path().join(MANIFEST_FILE), &json(&manifest)?)?;
        sync(staging.path())?;

        let _lock = WriteLock::take(&model).map_err(StoreError::io(&model))?;
        if let Some(Publication { origin, permitted }) = publication {
            if let Some(version) = self.published_by(name, &origin.id)? {
                return Ok(version);
            }
            if !permitted() {
                return Err(StoreError::Withdrawn);
            }
        }
        let newest = self.latest(name)?;
        let version = newest.unwrap_or(0).max(self.settings(name)?.last_deleted) + 1;
        self.change_locked(name, |settings| {
            match newest {
                Some(newest) => settings.live = settings.live.or(Some(newest)),
                None => settings.availability = first,
            }
            let built_in =
                built_in.map(|checksum| BuiltIn { version, checksum: checksum.to_owned(), unfinished: true });
            settings.built_in = built_in.or(settings.built_in.take());
        })?;
        rename_durably(staging.path(), &self.folder(name, version)).map_err(StoreError::io(&model))?;
        // The folder has moved; there is nothing left to clean up.
        let _gone = staging.keep();
        Ok(version)
    }
}

fn stage(folder: &Path, artifacts: &Artifacts<'_>) -> Result<(), StoreError> {
    let Artifacts { content, golden, report, pictures, .. } = artifacts;
    write(&folder.join(MODEL_FILE), &content.onnx()?)?;
    if let ModelContent::Native(network) = content {
        write(&folder.join(WEIGHTS_FILE), &weights::write_network(network)?)?;
    }
    if let Some(report) = report {
        write(&folder.join(REPORT_FILE), &json(report)?)?;
    }
    if !pictures.is_empty() {
        let pictures_dir = folder.join(PICTURES_DIR);
        fs::create_dir(&pictures_dir).map_err(StoreError::io(&pictures_dir))?;
        for Picture { file_name, bytes } in *pictures {
            write(&pictures_dir.join(file_name), bytes)?;
        }
        sync(&pictures_dir)?;
    }
    let golden_dir = folder.join(GOLDEN_DIR);
    fs::create_dir(&golden_dir).map_err(StoreError::io(&golden_dir))?;
    for Golden { file_name, bytes, .. } in *golden {
        write(&golden_dir.join(file_name), bytes)?;
    }
    let entries = golden.iter().map(|golden| GoldenEntry {
        file: golden.file_name.clone(),
        logits: golden.logits.clone(),
        noise: golden.noise,
    });
    write(&golden_dir.join(GOLDEN_FILE), &json(&entries.collect::<Vec<_>>())?)?;
    sync(&golden_dir)
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec_pretty(value).map_err(|error| StoreError::Weights(error.into()))
}
