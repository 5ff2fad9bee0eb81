//! How good a classifier is on images whose classes are known: one way to say it for trainings, fine-tunes and stored
//! models alike.

mod better;
mod evaluation;
mod interval;
mod missing;
mod mistakes;
mod multi_label;
mod reliability;
mod temperature;
#[cfg(test)]
mod tests;
mod truths;

pub use better::Better;
pub use evaluation::{ClassResult, Evaluation};
pub use interval::ConfidenceInterval;
pub(crate) use missing::null_is_nan;
pub use mistakes::{
    CellAnswers, CellRows, ConfusedPair, ImageAnswer, NotableAnswers, NotableRows, RankedAnswers, confused_pairs,
};
pub use multi_label::best_thresholds;
pub(crate) use multi_label::joint_cross_entropy;
pub use reliability::{Reliability, ReliabilityBin};
pub(crate) use temperature::fit_joint_temperature;
pub use temperature::fit_temperature;
pub use truths::Truths;
