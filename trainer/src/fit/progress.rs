//! How far a run is.

use serde::{Deserialize, Serialize};

use super::TieBreak;
use crate::events::Event;
use crate::fit::stopping::EarlyStopping;
use crate::optim::schedule::Plateau;

/// Everything that a run goes on from, besides its tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs that are over.
    pub epoch: u64,
    /// Batches of the current epoch that are over.
    pub batch: usize,
    /// Steps that the optimiser has done.
    pub step: u64,
    /// Of the current epoch.
    pub sums: Sums,
    /// One for each epoch that is over.
    pub history: Vec<EpochResult>,
    /// The epoch that did best so far.
    pub best: Option<Best>,
    /// How long nothing has got better.
    pub stopping: Option<EarlyStopping>,
    /// The learning rate, if it depends on the validation loss.
    pub plateau: Option<Plateau>,
    /// Whether the run has come to its end.
    pub finished: bool,
}

/// Sums over training examples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Each example's loss, added up.
    pub loss: f64,
    /// Of examples whose highest logit was their class's.
    pub hits: u64,
    /// How many were seen.
    pub examples: u64,
}

impl Progress {
    /// The history of a run of so many epochs, as events.
    pub(crate) fn epoch_events(&self, epochs: usize) -> Vec<Event> {
        let events = (1..).zip(&self.history).map(|(epoch, result)| Event::Epoch {
            epoch,
            epochs,
            train_loss: result.train_loss,
            validation_loss: result.validation_loss,
            validation_top1: result.validation_top1,
        });
        events.collect()
    }
}

impl Sums {
    /// For each example; 0 before the first.
    #[must_use]
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.examples.max(1) as f64
    }

    /// The share of hits, 0..1.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.hits as f64 / self.examples.max(1) as f64
    }
}

/// What an epoch measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochResult {
    /// Mean loss over the training examples, while the weights changed.
    pub train_loss: f64,
    /// Share of training examples whose highest logit was their class's, 0..1.
    pub train_top1: f64,
    /// Mean cross-entropy over the validation examples.
    pub validation_loss: Option<f64>,
    /// Share of validation examples whose highest logit is their class's, 0..1.
    pub validation_top1: Option<f64>,
    /// Mean average precision of the validation examples, where an example may have several classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_map: Option<f64>,
}

/// The best epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Counted from 1.
    pub epoch: u64,
    /// Its validation result: more hits are better, or a higher mean average precision, and of as many a smaller loss.
    pub top1: f64,
    /// See `top1`.
    pub loss: f64,
}

impl Best {
    /// This epoch, if it is better than the best so far; without validation examples, the later epoch is.
    pub(super) fn beaten_by(best: Option<&Self>, epoch: u64, result: &EpochResult, ties: TieBreak) -> Option<Self> {
        let rank = result.validation_map.or(result.validation_top1);
        let (Some(top1), Some(loss)) = (rank, result.validation_loss) else {
            return Some(Self { epoch, top1: result.train_top1, loss: result.train_loss });
        };
        let wins_tie = |best: &Self| ties == TieBreak::Later || loss < best.loss;
        let better = best.is_none_or(|best| top1 > best.top1 || (top1 == best.top1 && wins_tie(best)));
        better.then_some(Self { epoch, top1, loss })
    }
}
