//! What the strategies work on.

use std::collections::BTreeSet;
use std::path::PathBuf;

use models::Network;
use models::graph::NodeId;

use super::outcome::GraftedHead;
use super::strategy::{FinetuneStrategy, stage_boundary, trained};
use super::{FinetuneError, Task};
use crate::data::{Sample, Split};
use crate::identity::Identity;
use crate::options::OptionError;

/// The stage boundary that was asked for does not exist.
const FEWER_STAGES: OptionError =
    OptionError { option: "tuning.stages", wanted: "no more than the base has stages behind its first" };

/// A base with its new head, the images, and how much of the base is trained.
#[derive(Clone, Copy)]
pub(super) struct TuneContext<'a> {
    pub(super) task: &'a Task<'a>,
    /// The base with the head that the probe trained.
    pub(super) network: &'a Network,
    pub(super) head: &'a GraftedHead,
    pub(super) samples: &'a [&'a Sample],
    pub(super) split: &'a Split,
    pub(super) strategy: FinetuneStrategy,
}

impl TuneContext<'_> {
    /// Where the checkpoints of this run are: the same folder for the same run, so that a run that was killed resumes.
    pub(super) fn run_folder(&self) -> Result<PathBuf, FinetuneError> {
        let paths: Vec<_> = self.samples.iter().map(|sample| sample.path.to_string_lossy()).collect();
        let identity = Identity::new("graft.tuning", 1)
            .with("weights", self.network.params.checksum())
            .with("options", &self.task.options)
            .with("images", paths);
        Ok(self.task.folders.runs.join(&identity.sha256()?[..16]))
    }

    /// The names of the parameters that the strategy trains.
    pub(super) fn trained_names(&self) -> Result<BTreeSet<String>, FinetuneError> {
        let stages = self.task.options.tuning.stages;
        trained(&self.network.graph, self.head.node, self.strategy, stages).ok_or(FEWER_STAGES.into())
    }

    /// The node behind which the last stages begin.
    pub(super) fn stage_boundary(&self) -> Result<NodeId, FinetuneError> {
        stage_boundary(&self.network.graph, self.head.node, self.task.options.tuning.stages).ok_or(FEWER_STAGES.into())
    }
}
