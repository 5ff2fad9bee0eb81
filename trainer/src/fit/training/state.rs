//! A run between the memory and the disk.

use super::Training;
use crate::fit::checkpoint::RunIdentity;
use crate::fit::{CheckpointOptions, FitError, FitOptions, LogOptions, SoftTargets, Task};
use crate::identity::{Identity, IdentityError};

impl Training<'_> {
    /// Writes a checkpoint, if there is a place for one.
    pub(super) fn keep(&self) -> Result<(), FitError> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        Ok(checkpoints.write(&self.progress, &self.executor.read_state()?)?)
    }
}

/// What a run is: the network, its first weights, what is trained, what it learns from, and the options except those that only
/// say how long it runs and what is written about it; with what computes it, and without.
pub(super) fn identity(task: &Task<'_>, trained: &[bool]) -> Result<RunIdentity, IdentityError> {
    let checkpoints = CheckpointOptions::default();
    let logging = LogOptions::default();
    let options = FitOptions { epochs: 0, steps: None, checkpoints, logging, ..task.options.clone() };
    let (params, teacher) = (task.params.checksum(), task.teacher.map(SoftTargets::checksum));
    let common = || {
        let identity = Identity::new("graft.fit", 1)
            .with("graph", task.graph)
            .with("params", &params)
            .with("options", &options)
            .with("trained", trained)
            .with("classes", task.training.classes());
        let identity = match task.label_sets {
            None => identity,
            Some(sets) => identity.with("label_sets", sets),
        };
        match &teacher {
            None => identity,
            Some(teacher) => identity.with("teacher", teacher),
        }
    };
    Ok(RunIdentity {
        run: common().with("backend", task.backend.identity()).sha256()?,
        task: common().sha256()?,
        backend: task.backend.to_string(),
    })
}
