//! Making a version visible, whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use models::weights;
use onnx::ExportOptions;
use trainer::finetune::ModelContent;
use trainer::finetune::report::FinetuneReport;

use super::{GOLDEN_DIR, GOLDEN_FILE, Golden, GoldenEntry, MODEL_FILE, REPORT_FILE, WEIGHTS_FILE};
use super::{ModelName, ModelStore, StoreError};

/// The parts of a new version.
#[derive(Debug, Clone, Copy)]
pub struct Artifacts<'a> {
    /// The model itself.
    pub content: &'a ModelContent,
    /// Images with the logits that the model must reproduce.
    pub golden: &'a [Golden],
    /// The report of the run, for a fine-tuned model.
    pub report: Option<&'a FinetuneReport>,
}

/// How often another process may take the next number first.
const ATTEMPTS: u32 = 16;

impl ModelStore {
    /// Publishes the next version of a model and returns its number. The files are on the disk before the version can be
    /// seen.
    ///
    /// # Errors
    /// [`StoreError`] when the network cannot be exported or the disk refuses; no version is visible then.
    pub fn publish(&self, name: &ModelName, artifacts: &Artifacts<'_>) -> Result<u32, StoreError> {
        let model = self.root.join(name.as_str());
        fs::create_dir_all(&model).map_err(StoreError::io(&model))?;
        let staging =
            tempfile::Builder::new().prefix(".staging-").tempdir_in(&model).map_err(StoreError::io(&model))?;
        stage(staging.path(), artifacts)?;
        let failed = StoreError::io(&model);
        for _ in 0..ATTEMPTS {
            let version = self.latest(name)?.unwrap_or(0) + 1;
            match fs::rename(staging.path(), self.folder(name, version)) {
                Ok(()) => {
                    // The folder has moved; there is nothing left to clean up.
                    let _gone = staging.keep();
                    File::open(&model).and_then(|folder| folder.sync_all()).map_err(failed)?;
                    return Ok(version);
                }
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(io::Error::other("another process kept taking the next version number")))
    }
}

fn stage(folder: &Path, artifacts: &Artifacts<'_>) -> Result<(), StoreError> {
    let Artifacts { content, golden, report } = artifacts;
    match content {
        ModelContent::Native(network) => {
            write(&folder.join(MODEL_FILE), &onnx::export(network, &ExportOptions::default())?)?;
            write(&folder.join(WEIGHTS_FILE), &weights::write_network(network)?)?;
        }
        ModelContent::Opaque(file) => write(&folder.join(MODEL_FILE), file)?,
    }
    if let Some(report) = report {
        write(&folder.join(REPORT_FILE), &json(report)?)?;
    }
    let golden_dir = folder.join(GOLDEN_DIR);
    fs::create_dir(&golden_dir).map_err(StoreError::io(&golden_dir))?;
    for Golden { file_name, bytes, .. } in *golden {
        write(&golden_dir.join(file_name), bytes)?;
    }
    let entries =
        golden.iter().map(|golden| GoldenEntry { file: golden.file_name.clone(), logits: golden.logits.clone() });
    write(&golden_dir.join(GOLDEN_FILE), &json(&entries.collect::<Vec<_>>())?)
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec_pretty(value).map_err(|error| StoreError::Weights(error.into()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(StoreError::io(path))
}
