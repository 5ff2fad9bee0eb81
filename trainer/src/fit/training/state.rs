//! A run between the memory and the disk.

use std::collections::BTreeMap;

use super::Training;
use crate::fit::checkpoint::Checkpoint;
use crate::fit::{CheckpointOptions, FitError, FitOptions, LogOptions, Task};
use crate::identity::{Identity, IdentityError};
use crate::optim::Ema;

impl Training<'_> {
    /// Writes a checkpoint, if there is a place for one.
    pub(super) fn keep(&self) -> Result<(), FitError> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let mut all: BTreeMap<String, &[f32]> = BTreeMap::new();
        let parameters = self.executor.weights().parameters();
        all.extend(parameters.iter().map(|p| (format!("weights/{}", p.name), p.numbers.as_slice())));
        if let Some(ema) = &self.ema {
            all.extend(parameters.iter().zip(ema.averages()).map(|(p, numbers)| (format!("ema/{}", p.name), numbers)));
        }
        let state = self.optimizer.state();
        all.extend(state.iter().map(|(key, numbers)| (format!("optimiser/{key}"), numbers.as_ref())));
        Ok(checkpoints.write(&self.progress, &all)?)
    }

    pub(super) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), FitError> {
        let kind = |prefix: &str| -> BTreeMap<String, &Vec<f32>> {
            let tensors = checkpoint.tensors.iter();
            tensors.filter_map(|(key, numbers)| Some((key.strip_prefix(prefix)?.to_owned(), numbers))).collect()
        };
        let names: Vec<String> = self.executor.weights().parameters().iter().map(|p| p.name.clone()).collect();
        let (weights, averages) = (kind("weights/"), kind("ema/"));
        for (name, numbers) in names.iter().zip(self.executor.weights_mut().numbers_mut()) {
            if let Some(kept) = weights.get(name).filter(|kept| kept.len() == numbers.len()) {
                numbers.copy_from_slice(kept);
            }
        }
        if let Some(options) = self.task.options.ema {
            let averages = names.iter().filter_map(|name| averages.get(name)).map(|numbers| (*numbers).clone());
            self.ema = Some(Ema::resume(options, averages.collect(), self.progress.averaged));
        }
        Ok(self.optimizer.restore(&kind("optimiser/"))?)
    }
}

/// Equal for runs that end in the same bits: the network, its first weights, what is trained, what it learns from, what
/// computes it, and the options except those that only say how long it runs and what is written about it.
pub(super) fn identity(task: &Task<'_>, trained: &[bool]) -> Result<String, IdentityError> {
    let checkpoints = CheckpointOptions::default();
    let logging = LogOptions::default();
    let options = FitOptions { epochs: 0, steps: None, checkpoints, logging, ..task.options.clone() };
    Identity::new("graft.fit", 1)
        .with("graph", task.graph)
        .with("params", task.params.checksum())
        .with("options", options)
        .with("trained", trained)
        .with("backend", task.kernels.identity())
        .with("classes", task.training.classes())
        .sha256()
}
