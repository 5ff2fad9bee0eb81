//! What training made and measured, by whichever strategy.

use std::path::PathBuf;

use models::Network;
use models::graph::NodeId;
use onnx::parity::propagated_noise;

use super::calibration::Calibration;
use super::certainty::Certainty;
use super::fold_results::FoldResults;
use super::probe::OutOfFold;
use super::{FinetuneStrategy, HeadChoice};
use crate::events::Event;
use crate::metrics::{Evaluation, Truths};

/// The head that training began with.
#[derive(Clone)]
pub(super) struct GraftedHead {
    pub(super) node: NodeId,
    /// How it was chosen.
    pub(super) choice: Option<HeadChoice>,
    /// The largest number that it takes, of any image.
    pub(super) largest_input: f32,
}

/// A trained network and its results.
#[derive(Clone)]
pub(super) struct Outcome {
    /// The base with its new head. Of an opaque base, the head alone.
    pub(super) network: Network,
    /// What was trained; never `auto`.
    pub(super) strategy: FinetuneStrategy,
    pub(super) head: GraftedHead,
    /// The epoch whose weights these are, counted from one.
    pub(super) best_epoch: Option<usize>,
    /// An [`Event::Epoch`] for each epoch.
    pub(super) history: Vec<Event>,
    pub(super) validation: SubsetResult,
    pub(super) test: SubsetResult,
    /// What models said to images that they were not trained on, each once, where images were divided into folds. Then the test
    /// images are those of the training, and measure nothing.
    pub(super) measured: Option<SubsetResult>,
    /// The same, fold by fold.
    pub(super) folds: Option<FoldResults>,
    /// What heads said to training images that they were not trained on, where nothing but the head was trained.
    pub(super) out_of_fold: Option<OutOfFold>,
    /// How its logits were divided, once they are.
    pub(super) calibration: Option<Calibration>,
    pub(super) certainty: Option<Certainty>,
    /// Where checkpoints were written.
    pub(super) checkpoints: Option<PathBuf>,
}

impl Outcome {
    /// That of a network with this head, without images.
    #[cfg(test)]
    pub(super) fn of_head(network: Network, head: NodeId) -> Self {
        let nothing = SubsetResult::new(vec![], Truths::exclusive(&[], 2), None);
        Self {
            network,
            strategy: FinetuneStrategy::Head,
            head: GraftedHead { node: head, choice: None, largest_input: 1.0 },
            best_epoch: None,
            history: vec![],
            validation: nothing.clone(),
            test: nothing,
            measured: None,
            folds: None,
            out_of_fold: None,
            calibration: None,
            certainty: None,
            checkpoints: None,
        }
    }

    /// What measures it.
    pub(super) fn result(&self) -> &SubsetResult {
        self.measured.as_ref().unwrap_or(&self.test)
    }

    /// The difference of a logit that comes from the noise of the features, by the weights of the new head.
    pub(super) fn noise(&self) -> f64 {
        let head = self.network.graph.node(self.head.node);
        let weight = head.params.first().and_then(|name| self.network.params.get(name));
        weight.map_or(0.0, |weight| {
            let width = weight.shape().last().copied().unwrap_or(1);
            propagated_noise(weight.data(), width, &[self.head.largest_input])
        })
    }
}

/// What a network says to the images of a subset.
#[derive(Clone)]
pub(super) struct SubsetResult {
    /// `[n, classes]`, row-major, in the order of the split.
    pub(super) logits: Vec<f32>,
    pub(super) evaluation: Evaluation,
}

impl SubsetResult {
    pub(super) fn new(logits: Vec<f32>, truths: Truths<'_>, thresholds: Option<&[f32]>) -> Self {
        let evaluation = Evaluation::of(&logits, truths, thresholds);
        Self { logits, evaluation }
    }
}
