//! Checkpoints on disk.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use models::files::{remove_unfinished, write_atomically};
use models::{Params, Tensor};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use thiserror::Error;

use super::Progress;
use crate::backend::State;

const ENDING: &str = "safetensors";
const BEST: &str = "best.safetensors";
/// Metadata: what is not a tensor, and the run that it is of.
const PROGRESS: &str = "graft.progress";
const RUN: &str = "graft.run";
const TASK: &str = "graft.task";
const BACKEND: &str = "graft.backend";
const FORMAT: &str = "graft.checkpoint";
/// Raised when checkpoints of this version cannot be resumed by the one before, or the other way round.
const FORMAT_VERSION: &str = "2";

/// A folder of checkpoints of one run. Each is written under a temporary name first, so that a killed run loses the steps
/// since the last one and nothing else.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    run: RunIdentity,
    keep: usize,
}

/// What a run is, so that nothing else goes on from its checkpoints.
#[derive(Debug, Clone)]
pub struct RunIdentity {
    /// Equal for runs that end in the same bits.
    pub run: String,
    /// Equal for runs that do the same by whatever they are computed.
    pub task: String,
    /// By what it is computed.
    pub backend: String,
}

/// A run at a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Checkpoint {
    pub(super) progress: Progress,
    pub(super) state: State<'static>,
    /// What computed it, where that is not what computes this run.
    pub(super) foreign: Option<String>,
}

/// Why a checkpoint cannot be read or written.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The disk refuses.
    #[error("the checkpoint {} cannot be read or written: {source}", .path.display())]
    Io {
        /// Its file, or the folder of the run.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not what a run of this version writes.
    #[error("{} is no checkpoint ({reason}); remove it to go on from the one before", .path.display())]
    Damaged {
        /// The checkpoint's file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A checkpoint of a version of graft that numbers or names its runs otherwise.
    #[error(
        "{} was written by another version of graft (checkpoint format {found}; this version resumes format {FORMAT_VERSION}); \
         finish the run with that version, or start again in another folder",
        .path.display()
    )]
    OtherFormat {
        /// The checkpoint's file.
        path: PathBuf,
        /// Its format; `1` for graft 0.1.
        found: String,
    },
    /// A checkpoint of other options, another network or other images.
    #[error(
        "{} is of a run with other options, weights or images; resume with the same, or use another folder",
        .path.display()
    )]
    OtherRun {
        /// The checkpoint's file.
        path: PathBuf,
    },
}

impl Checkpoints {
    /// The checkpoints of this run in a folder, which is made.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] when it cannot be.
    pub fn open(folder: &Path, run: RunIdentity, keep: usize) -> Result<Self, CheckpointError> {
        fs::create_dir_all(folder)
            .and_then(|()| remove_unfinished(folder))
            .map_err(|source| CheckpointError::Io { path: folder.to_owned(), source })?;
        Ok(Self { folder: folder.to_owned(), run, keep })
    }

    /// The last, if there is one.
    pub(super) fn last(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let Some(path) = self.all()?.pop() else { return Ok(None) };
        let damaged = |reason: String| CheckpointError::Damaged { path: path.clone(), reason };
        let bytes = fs::read(&path).map_err(|source| CheckpointError::Io { path: path.clone(), source })?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(error.to_string()))?;
        let texts = metadata.metadata().clone().unwrap_or_default();
        let format = texts.get(FORMAT).map_or("1", String::as_str);
        if format != FORMAT_VERSION {
            return Err(CheckpointError::OtherFormat { path, found: format.to_owned() });
        }
        let is_same = texts.get(RUN) == Some(&self.run.run);
        if !is_same && texts.get(TASK) != Some(&self.run.task) {
            return Err(CheckpointError::OtherRun { path });
        }
        let foreign = texts.get(BACKEND).filter(|_| !is_same).cloned();
        let progress = texts.get(PROGRESS).ok_or_else(|| damaged("it does not say how far it is".to_owned()))?;
        let progress = serde_json::from_str(progress).map_err(|error| damaged(error.to_string()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
        let tensors = file.tensors().into_iter().map(|(name, tensor)| (name, Cow::Owned(numbers(tensor.data()))));
        Ok(Some(Checkpoint { progress, state: tensors.collect(), foreign }))
    }

    /// Keeps one, and removes those before the last ones.
    pub(super) fn write(&self, progress: &Progress, state: &State<'_>) -> Result<(), CheckpointError> {
        let path = self.folder.join(format!("step-{:09}-{:03}.{ENDING}", progress.step, progress.epoch));
        let texts = self.texts(text(progress, &path)?);
        let tensors = state.iter().map(|(name, numbers)| (name.clone(), vec![numbers.len()], numbers.as_ref()));
        write(&path, tensors.collect(), texts)?;
        let all = self.all()?;
        for old in &all[..all.len().saturating_sub(self.keep)] {
            fs::remove_file(old).map_err(|source| CheckpointError::Io { path: old.clone(), source })?;
        }
        Ok(())
    }

    /// Keeps the best weights so far.
    pub(super) fn write_best(&self, params: &Params, progress: &Progress) -> Result<(), CheckpointError> {
        let path = self.folder.join(BEST);
        let texts = self.texts(text(&progress.best, &path)?);
        let tensors = params.iter().map(|(name, tensor)| (name.to_owned(), tensor.shape().to_vec(), tensor.data()));
        write(&path, tensors.collect(), texts)
    }

    /// The best weights so far; `None` if there are none of this run.
    pub(super) fn best(&self) -> Option<Params> {
        let bytes = fs::read(self.folder.join(BEST)).ok()?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).ok()?;
        let texts = metadata.metadata().as_ref()?;
        if texts.get(RUN) != Some(&self.run.run) && texts.get(TASK) != Some(&self.run.task) {
            return None;
        }
        let file = SafeTensors::deserialize(&bytes).ok()?;
        let tensors = file.tensors().into_iter();
        Some(tensors.map(|(name, tensor)| (name, Tensor::new(tensor.shape(), numbers(tensor.data())))).collect())
    }

    /// What is written beside the tensors.
    fn texts(&self, progress: String) -> [(&'static str, String); 5] {
        let RunIdentity { run, task, backend } = self.run.clone();
        [(FORMAT, FORMAT_VERSION.to_owned()), (RUN, run), (TASK, task), (BACKEND, backend), (PROGRESS, progress)]
    }

    /// Oldest first.
    fn all(&self) -> Result<Vec<PathBuf>, CheckpointError> {
        let failed = |source| CheckpointError::Io { path: self.folder.clone(), source };
        let mut all: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let is_one = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("step-"));
            if is_one && path.extension().is_some_and(|ending| ending == ENDING) {
                all.push(path);
            }
        }
        all.sort();
        Ok(all)
    }
}

fn text(value: &impl serde::Serialize, path: &Path) -> Result<String, CheckpointError> {
    let failed = |error: serde_json::Error| CheckpointError::Io { path: path.to_owned(), source: error.into() };
    serde_json::to_string(value).map_err(failed)
}

fn write(
    path: &Path,
    tensors: Vec<(String, Vec<usize>, &[f32])>,
    texts: [(&str, String); 5],
) -> Result<(), CheckpointError> {
    let write = || -> io::Result<()> {
        let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
            .into_iter()
            .map(|(name, shape, numbers)| (name, shape, numbers.iter().flat_map(|x| x.to_le_bytes()).collect()))
            .collect();
        let views = bytes
            .iter()
            .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(io::Error::other)?;
        let texts = texts.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        let file = serialize(views, Some(texts)).map_err(io::Error::other)?;
        write_atomically(path, &file)
    };
    write().map_err(|source| CheckpointError::Io { path: path.to_owned(), source })
}

fn numbers(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
