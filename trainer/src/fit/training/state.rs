//! A run between the memory and the disk.

use super::Training;
use crate::fit::{CheckpointOptions, FitError, FitOptions, LogOptions, Task};
use crate::identity::{Identity, IdentityError};

impl Training<'_> {
    /// Writes a checkpoint, if there is a place for one.
    pub(super) fn keep(&self) -> Result<(), FitError> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        Ok(checkpoints.write(&self.progress, &self.executor.read_state()?)?)
    }
}

/// Equal for runs that end in the same bits: the network, its first weights, what is trained, what it learns from, what
/// computes it, and the options except those that only say how long it runs and what is written about it.
pub(super) fn identity(task: &Task<'_>, trained: &[bool]) -> Result<String, IdentityError> {
    let checkpoints = CheckpointOptions::default();
    let logging = LogOptions::default();
    let options = FitOptions { epochs: 0, steps: None, checkpoints, logging, ..task.options.clone() };
    let identity = Identity::new("graft.fit", 1)
        .with("graph", task.graph)
        .with("params", task.params.checksum())
        .with("options", options)
        .with("trained", trained)
        .with("backend", task.backend.identity())
        .with("classes", task.training.classes());
    let identity = match task.label_sets {
        None => identity,
        Some(sets) => identity.with("label_sets", sets),
    };
    match task.teacher {
        None => identity.sha256(),
        Some(teacher) => identity.with("teacher", teacher.checksum()).sha256(),
    }
}
