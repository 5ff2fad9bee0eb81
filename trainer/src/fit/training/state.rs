//! A run between the memory and the disk.

use std::collections::BTreeMap;

use models::graph::Folding;
use sha2::{Digest, Sha256};

use super::Training;
use crate::fit::checkpoint::Checkpoint;
use crate::fit::{CheckpointOptions, FitError, FitOptions, LogOptions, Task};
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

/// What makes a run the same run: the network, its first weights, what is trained, what it learns from, what computes it, and
/// the options but for those that only say how long it goes on, what is kept and what is written of it.
pub(super) fn identity(task: &Task<'_>, trained: &[bool]) -> String {
    let checkpoints = CheckpointOptions::default();
    let logging = LogOptions::default();
    let options = FitOptions { epochs: 0, steps: None, checkpoints, logging, ..task.options.clone() };
    let mut hash = Sha256::new();
    hash.update(format!("{:?}", task.graph.fingerprint(Folding::Keep)));
    hash.update(task.params.checksum());
    hash.update(format!("{options:?}"));
    hash.update(format!("{trained:?}"));
    hash.update(task.kernels.identity());
    task.training.classes().iter().for_each(|&class| hash.update((class as u64).to_le_bytes()));
    hex::encode(hash.finalize())
}
